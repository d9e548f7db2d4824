// SPDX-License-Identifier: Apache-2.0
// The photo on the canvas with everything drawn over it.
import { COLOURS, grid, label, lengths, person, ring, solid, trace, wall } from "./drawing.js";
import { byId, canvas, chosenShape, circle, HEIGHTS, middle, pen, state, things } from "./state.js";

export function fit() {
  const { width, height } = canvas.getBoundingClientRect();
  const [w, h] = state.photo.size_px;
  const scale = Math.min(width / w, height / h) * 0.97;
  state.view = { scale, x: (width - w * scale) / 2, y: (height - h * scale) / 2 };
  draw();
}

export function zoom(factor, [x, y] = [canvas.clientWidth / 2, canvas.clientHeight / 2]) {
  const view = state.view;
  const scale = Math.min(40, Math.max(0.02, view.scale * factor));
  view.x = x - ((x - view.x) * scale) / view.scale;
  view.y = y - ((y - view.y) * scale) / view.scale;
  view.scale = scale;
  draw();
}

export const toPhoto = (event) => {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left - state.view.x) / state.view.scale, (event.clientY - box.top - state.view.y) / state.view.scale];
};

let pending = 0;

export function draw() {
  cancelAnimationFrame(pending);
  pending = requestAnimationFrame(paint);
}

function paint() {
  if (!state.photo) return;
  const ratio = window.devicePixelRatio;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const { scale, x, y } = state.view;
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * x, ratio * y);
  pen.lineJoin = pen.lineCap = "round";
  const unit = 1 / scale;
  if (state.image.naturalWidth) pen.drawImage(state.image, 0, 0, ...state.photo.size_px);
  if (state.camera) {
    if (state.shown.grid) paintGrid(unit);
    paintShapes(unit);
    if (state.shown.people) paintPeople(unit);
  }
  paintCircle(unit);
  paintDraft(unit);
  paintHandles(unit);
}

// The floor's lines, on the floor alone once it is drawn.
function paintGrid(unit) {
  const floor = state.notes.floor_px.map((point) => state.camera.onPlane(point, 0));
  pen.save();
  if (floor.length && !floor.includes(null)) {
    trace(pen, ring(state.camera, floor, 0), true);
    pen.clip();
  }
  grid(pen, state.camera, unit);
  pen.restore();
}

function paintShapes(unit) {
  const camera = state.camera;
  const { floor_px, walls, walls_px, ceiling_m } = state.notes;
  const up = ceiling_m ?? camera.height;
  const floor = floor_px.map((point) => camera.onPlane(point, 0));
  if (floor.length > 2 && !floor.includes(null)) {
    trace(pen, ring(camera, floor, 0), true);
    pen.fillStyle = `${COLOURS.floor}1c`;
    pen.fill();
    pen.strokeStyle = COLOURS.floor;
    pen.lineWidth = (state.chosen === "floor" ? 3 : 2) * unit;
    pen.stroke();
    if (state.shown.solids && walls && !walls_px.length) {
      floor.forEach((corner, n) => wall(pen, camera, corner, floor[(n + 1) % floor.length], up, unit));
    }
  }
  walls_px.forEach((line, n) => {
    const feet = line.map((point) => camera.onPlane(point, 0));
    feet.slice(1).forEach((to, m) => {
      if (!feet[m] || !to) return;
      wall(pen, camera, feet[m], to, up, unit);
      trace(pen, camera.line([...feet[m], 0], [...to, 0]));
      pen.lineWidth = (state.chosen === `wall ${n}` ? 4 : 2.5) * unit;
      pen.stroke();
    });
  });
  if (!state.shown.solids) return;
  things().forEach((thing, n) => {
    const corners = thing.outline_px.map((point) => camera.onPlane(point, thing.height_m));
    if (corners.includes(null)) return;
    solid(pen, camera, corners, thing.kind, thing.height_m, state.chosen === `thing ${n}`, unit);
    if (thing.kind === "seat" && thing.facing_px) paintArrow(thing, unit);
  });
  const shape = chosenShape();
  if (shape && state.shown.lengths) {
    const corners = shape.points.map((point) => camera.onPlane(point, shape.z));
    if (!corners.includes(null)) lengths(pen, camera, shape.closed ? corners : corners.slice(0, 2), shape.z, unit);
  }
}

function paintArrow(thing, unit) {
  const from = middle(thing.outline_px);
  const to = thing.facing_px;
  const angle = Math.atan2(to[1] - from[1], to[0] - from[0]);
  pen.strokeStyle = COLOURS.seat;
  pen.lineWidth = 2.5 * unit;
  trace(pen, [from, to]);
  pen.stroke();
  trace(pen, [2.6, -2.6].flatMap((turn) => [[to[0] + 11 * unit * Math.cos(angle + turn), to[1] + 11 * unit * Math.sin(angle + turn)], to]));
  pen.stroke();
}

function paintPeople(unit) {
  const camera = state.camera;
  for (const thing of things()) {
    if (thing.kind !== "seat" || !thing.facing_px) continue;
    const [at, ahead] = [middle(thing.outline_px), thing.facing_px].map((point) => camera.onPlane(point, thing.height_m));
    if (at && ahead) person(pen, camera, { at, yaw: Math.atan2(ahead[0] - at[0], at[1] - ahead[1]), seat: thing.height_m }, unit, 0.6);
  }
  for (const at of state.people) person(pen, camera, { at, yaw: Math.atan2(-at[0], at[1]) }, unit);
  const at = state.tool === "person" && state.cursor ? camera.onPlane(state.cursor, 0) : null;
  if (at) person(pen, camera, { at, yaw: Math.atan2(-at[0], at[1]) }, unit, 0.6);
}

function paintCircle(unit) {
  const [x, y, r] = circle();
  pen.beginPath();
  pen.arc(x, y, r, 0, 2 * Math.PI);
  pen.strokeStyle = "#f0e442";
  pen.lineWidth = (state.tool === "circle" ? 2.5 : 1.25) * unit;
  pen.setLineDash(state.tool === "circle" ? [] : [6 * unit, 5 * unit]);
  pen.stroke();
  pen.setLineDash([]);
}

function paintDraft(unit) {
  if (!state.draft.length) return;
  const colour = COLOURS[state.tool === "walls" ? "wall" : state.tool];
  pen.strokeStyle = colour;
  pen.lineWidth = 2 * unit;
  const points = state.cursor ? [...state.draft, state.cursor] : state.draft;
  trace(pen, bent(points));
  pen.stroke();
  if (state.cursor && state.draft.length > 1 && state.tool !== "walls") {
    pen.setLineDash([3 * unit, 5 * unit]);
    trace(pen, bent([state.cursor, state.draft[0]]));
    pen.stroke();
    pen.setLineDash([]);
  }
  state.draft.forEach((point) => handle(point, colour, unit));
  const z = HEIGHTS[state.tool] ?? 0;
  const [from, to] = points.slice(-2).map((point) => state.camera?.onPlane(point, z) ?? null);
  if (points.length > 1 && from && to) {
    pen.font = `600 ${12 * unit}px system-ui, sans-serif`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    label(pen, `${Math.hypot(to[0] - from[0], to[1] - from[1]).toFixed(2)} m`, [points.at(-1)[0], points.at(-1)[1] - 20 * unit], unit);
  }
}

// Lines between pixels as the lens bends lines in the room, at the level of what is drawn.
function bent(points) {
  const z = HEIGHTS[state.tool] ?? 0;
  return points.slice(1).flatMap((point, n) => {
    const [from, to] = [points[n], point].map((pixel) => state.camera?.onPlane(pixel, z));
    return from && to ? state.camera.line([...from, z], [...to, z]) : [points[n], point];
  });
}

function handle([x, y], colour, unit, chosen = false) {
  pen.beginPath();
  pen.arc(x, y, (chosen ? 6.5 : 4.5) * unit, 0, 2 * Math.PI);
  pen.fillStyle = chosen ? colour : "#ffffff";
  pen.fill();
  pen.strokeStyle = chosen ? "#ffffff" : colour;
  pen.lineWidth = 2 * unit;
  pen.stroke();
}

export function rimHandles() {
  const [x, y, r] = circle();
  return [[x, y], [x + r, y], [x, y + r], [x - r, y], [x, y - r]];
}

function paintHandles(unit) {
  if (state.tool === "circle") rimHandles().forEach((point) => handle(point, "#c9bd00", unit));
  const shape = state.tool === "select" ? chosenShape() : null;
  if (shape) {
    shape.points.forEach((point, n) => handle(point, COLOURS[shape.kind], unit, n === state.corner));
    if (shape.thing?.facing_px) handle(shape.thing.facing_px, COLOURS.seat, unit, state.corner === "facing");
  }
  if (state.cursor && state.byKeys && state.tool !== "select") {
    const [x, y] = state.cursor;
    pen.strokeStyle = "#ffffff";
    pen.lineWidth = 1.5 * unit;
    trace(pen, [[x - 12 * unit, y], [x + 12 * unit, y], null, [x, y - 12 * unit], [x, y + 12 * unit]]);
    pen.stroke();
  }
}

export function where(point) {
  const metres = state.camera?.onPlane(point, 0);
  byId("place").textContent = metres ? `${metres.map((value) => (Math.round(value * 100) / 100 + 0).toFixed(2)).join(", ")} m on the floor` : "";
}
