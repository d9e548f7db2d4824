// SPDX-License-Identifier: Apache-2.0
// What is laid over the photo: the floor's lines, outlines with their heights, people.

export const COLOURS = { floor: "#2fd0a0", wall: "#b9c0c6", table: "#e69f00", seat: "#e58fc0", occluder: "#56b4e9" };
const GRID_M = 0.5;
const REACH_M = 6;

export function trace(pen, points, closed = false) {
  pen.beginPath();
  let open = false;
  for (const point of points) {
    if (point === null) open = false;
    else if (open) pen.lineTo(...point);
    else {
      pen.moveTo(...point);
      open = true;
    }
  }
  if (closed) pen.closePath();
}

// The closed outline of corners in metres at a level, bent as the lens bends it.
export function ring(camera, corners, z) {
  return corners.flatMap((corner, n) => {
    const next = corners[(n + 1) % corners.length];
    return camera.line([...corner, z], [...next, z], 16);
  });
}

export function grid(pen, camera, unit) {
  pen.lineWidth = unit;
  for (let n = -REACH_M / GRID_M; n <= REACH_M / GRID_M; n++) {
    const at = n * GRID_M;
    pen.strokeStyle = n === 0 ? "#ffffffd0" : n % 2 ? "#ffffff38" : "#ffffff70";
    for (const ends of [[[at, -REACH_M, 0], [at, REACH_M, 0]], [[-REACH_M, at, 0], [REACH_M, at, 0]]]) {
      trace(pen, camera.line(...ends, 96));
      pen.stroke();
    }
  }
}

// A wall on a line of the floor: its foot, its head and its ends.
export function wall(pen, camera, from, to, height, unit) {
  pen.strokeStyle = COLOURS.wall;
  pen.lineWidth = 1.25 * unit;
  const up = Math.min(height, camera.height - 0.02);
  pen.setLineDash([4 * unit, 4 * unit]);
  trace(pen, camera.line([...from, up], [...to, up], 32));
  pen.stroke();
  trace(pen, camera.line([...from, 0], [...from, up], 16));
  pen.stroke();
  pen.setLineDash([]);
}

// A thing from its upper face down: solid to the floor, or a thin top with its shadow on the floor dashed.
export function solid(pen, camera, corners, kind, height, chosen, unit) {
  const top = ring(camera, corners, height);
  const foot = ring(camera, corners, 0);
  pen.strokeStyle = COLOURS[kind];
  pen.setLineDash(kind === "occluder" ? [] : [3 * unit, 4 * unit]);
  pen.lineWidth = unit;
  pen.globalAlpha = 0.8;
  trace(pen, foot);
  pen.stroke();
  for (const corner of corners) {
    trace(pen, camera.line([...corner, 0], [...corner, height], 8));
    pen.stroke();
  }
  pen.setLineDash([]);
  pen.globalAlpha = 1;
  trace(pen, top, true);
  pen.fillStyle = COLOURS[kind] + (chosen ? "55" : "2e");
  pen.fill();
  pen.lineWidth = (chosen ? 3 : 2) * unit;
  pen.stroke();
}

// Lengths of edges in metres, at their middles.
export function lengths(pen, camera, corners, z, unit) {
  pen.font = `600 ${12 * unit}px system-ui, sans-serif`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  corners.forEach((corner, n) => {
    const next = corners[(n + 1) % corners.length];
    const metres = Math.hypot(next[0] - corner[0], next[1] - corner[1]);
    const place = camera.project([(corner[0] + next[0]) / 2, (corner[1] + next[1]) / 2, z]);
    if (place) label(pen, `${metres.toFixed(2)} m`, place, unit);
  });
}

export function label(pen, text, [x, y], unit) {
  const wide = pen.measureText(text).width + 8 * unit;
  pen.fillStyle = "#000000a8";
  pen.beginPath();
  pen.roundRect(x - wide / 2, y - 9 * unit, wide, 18 * unit, 4 * unit);
  pen.fill();
  pen.fillStyle = "#ffffff";
  pen.fillText(text, x, y);
}

// Bodies of 1.75 m in their own frames, facing -y: parts of [x, y, z, radius across, radius along], from end to end.
const STANDING = [
  [[0.1, -0.02, 0, 0.055, 0.12], [0.1, 0, 0.1, 0.055, 0.06], [0.09, 0, 0.5, 0.065, 0.07], [0.08, 0, 0.9, 0.09, 0.1]],
  [[-0.1, -0.02, 0, 0.055, 0.12], [-0.1, 0, 0.1, 0.055, 0.06], [-0.09, 0, 0.5, 0.065, 0.07], [-0.08, 0, 0.9, 0.09, 0.1]],
  [[0, 0, 0.86, 0.17, 0.12], [0, 0, 1.1, 0.15, 0.11], [0, 0, 1.35, 0.19, 0.12], [0, 0, 1.45, 0.16, 0.09]],
  [[0.24, -0.04, 0.8, 0.04, 0.05], [0.24, 0, 1.1, 0.045, 0.045], [0.2, 0, 1.42, 0.06, 0.06]],
  [[-0.24, -0.04, 0.8, 0.04, 0.05], [-0.24, 0, 1.1, 0.045, 0.045], [-0.2, 0, 1.42, 0.06, 0.06]],
  [[0, 0, 1.44, 0.05, 0.05], [0, -0.02, 1.52, 0.07, 0.09], [0, -0.02, 1.64, 0.08, 0.1], [0, -0.01, 1.75, 0.04, 0.05]],
];
const SITTING = [
  [[0.12, -0.48, -0.45, 0.05, 0.12], [0.12, -0.43, -0.1, 0.055, 0.06], [0.12, -0.42, 0.05, 0.07, 0.07], [0.1, 0, 0.09, 0.09, 0.1]],
  [[-0.12, -0.48, -0.45, 0.05, 0.12], [-0.12, -0.43, -0.1, 0.055, 0.06], [-0.12, -0.42, 0.05, 0.07, 0.07], [-0.1, 0, 0.09, 0.09, 0.1]],
  [[0, 0, 0, 0.18, 0.13], [0, 0.03, 0.25, 0.15, 0.11], [0, 0.05, 0.5, 0.19, 0.12], [0, 0.05, 0.6, 0.16, 0.09]],
  [[0.16, -0.25, 0.2, 0.04, 0.05], [0.24, 0, 0.25, 0.045, 0.05], [0.2, 0.05, 0.57, 0.06, 0.06]],
  [[-0.16, -0.25, 0.2, 0.04, 0.05], [-0.24, 0, 0.25, 0.045, 0.05], [-0.2, 0.05, 0.57, 0.06, 0.06]],
  [[0, 0.05, 0.58, 0.05, 0.05], [0, 0.03, 0.67, 0.07, 0.09], [0, 0.03, 0.79, 0.08, 0.1], [0, 0.04, 0.9, 0.04, 0.05]],
];

export function person(pen, camera, { at, yaw = 0, seat = null }, unit, alpha = 0.82) {
  const [c, s] = [Math.cos(yaw), Math.sin(yaw)];
  const lift = seat ?? 0;
  const world = (x, y, z) => [at[0] + c * x - s * y, at[1] + s * x + c * y, Math.max(0, z + lift)];
  const away = (part) => Math.hypot(...world(...part[part.length >> 1]).map((value, n) => value - camera.pose[n][3]));
  pen.globalAlpha = alpha;
  for (const part of [...(seat === null ? STANDING : SITTING)].sort((a, b) => away(b) - away(a))) {
    for (let n = 0; n + 1 < part.length; n++) {
      const outline = hull([...around(part[n], world), ...around(part[n + 1], world)].map((point) => camera.project(point)));
      trace(pen, outline, true);
      pen.fillStyle = part === STANDING[5] || part === SITTING[5] ? "#ffe2c4" : "#ff6f61";
      pen.fill();
    }
  }
  pen.globalAlpha = 1;
}

function around([x, y, z, across, along], world) {
  return Array.from({ length: 12 }, (_, n) => {
    const angle = (n * Math.PI) / 6;
    return world(x + across * Math.cos(angle), y + along * Math.sin(angle), z);
  });
}

// The convex hull (Andrew's monotone chain, Inf. Process. Lett. 9, 1979).
function hull(points) {
  const sorted = points.filter(Boolean).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const half = (list) => {
    const chain = [];
    for (const point of list) {
      while (chain.length > 1 && turn(chain.at(-2), chain.at(-1), point) <= 0) chain.pop();
      chain.push(point);
    }
    return chain.slice(0, -1);
  };
  return [...half(sorted), ...half(sorted.reverse())];
}

function turn(a, b, c) {
  return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
}
