// SPDX-License-Identifier: Apache-2.0
// Outlines drawn and changed, by pointer and by keys.
import { changed, remember } from "./changes.js";
import { fields } from "./fields.js";
import { byId, calibrated, canvas, chosenShape, circle, HEIGHTS, middle, remove, shapes, state, things, TOOLS } from "./state.js";
import { draw, rimHandles, toPhoto, where } from "./view.js";

const NEAR = 9;

const near = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) * state.view.scale <= NEAR;

function inside(point, outline) {
  let within = false;
  outline.forEach((a, n) => {
    const b = outline[(n + 1) % outline.length];
    if (a[1] > point[1] !== b[1] > point[1] && point[0] < a[0] + ((point[1] - a[1]) / (b[1] - a[1])) * (b[0] - a[0])) within = !within;
  });
  return within;
}

// The edge of a shape that passes close to a point, or -1.
function edgeAt(shape, point) {
  return shape.points.findIndex((a, n) => {
    const b = shape.points[(n + 1) % shape.points.length];
    if (!shape.closed && n + 1 === shape.points.length) return false;
    const along = [b[0] - a[0], b[1] - a[1]];
    const share = Math.min(1, Math.max(0, ((point[0] - a[0]) * along[0] + (point[1] - a[1]) * along[1]) / (along[0] ** 2 + along[1] ** 2)));
    return near(point, [a[0] + share * along[0], a[1] + share * along[1]]);
  });
}

export let drag = null;

export function press(event) {
  if (!state.notes) return;
  canvas.focus();
  canvas.setPointerCapture(event.pointerId);
  state.byKeys = false;
  if (event.button === 1 || event.altKey) {
    drag = { pan: [event.clientX - state.view.x, event.clientY - state.view.y] };
  } else if (event.button === 0) {
    drag = grip(toPhoto(event));
  }
  draw();
}

// What a click at a point takes hold of.
export function grip(point) {
  if (state.tool === "circle") {
    if (calibrated()) return null;
    const n = rimHandles().findIndex((place) => near(place, point));
    if (n < 0) return null;
    remember();
    return { circle: n };
  }
  if (state.tool === "person") {
    const at = state.camera?.onPlane(point, 0);
    if (at) state.people.push(at);
    return null;
  }
  if (state.tool !== "select") {
    addCorner(point);
    return null;
  }
  return gripShape(point);
}

function gripShape(point) {
  const shape = chosenShape();
  if (shape) {
    const corner = shape.points.findIndex((place) => near(place, point));
    if (corner >= 0 || (shape.thing?.facing_px && near(shape.thing.facing_px, point))) {
      state.corner = corner >= 0 ? corner : "facing";
      remember();
      return { shape, corner: state.corner };
    }
    const edge = edgeAt(shape, point);
    if (edge >= 0) {
      remember();
      shape.points.splice(edge + 1, 0, point);
      state.corner = edge + 1;
      changed();
      return { shape, corner: edge + 1 };
    }
  }
  const order = shapes().reverse();
  const hit = order.find((other) => edgeAt(other, point) >= 0) ?? order.find((other) => other.closed && other.id !== "floor" && inside(point, other.points));
  state.chosen = hit?.id ?? null;
  state.corner = null;
  fields();
  if (!hit) return null;
  remember();
  return { shape: hit, from: point };
}

export function move(event) {
  if (!state.notes) return;
  const point = toPhoto(event);
  state.cursor = point;
  where(point);
  if (drag?.pan) {
    [state.view.x, state.view.y] = [event.clientX - drag.pan[0], event.clientY - drag.pan[1]];
  } else if (drag?.circle !== undefined) {
    dragCircle(point);
    changed({ camera: true });
  } else if (drag?.shape) {
    dragShape(point);
    changed();
  }
  draw();
}

export function release() {
  drag = null;
}

function dragCircle(point) {
  const [x, y, r] = circle();
  const away = Math.hypot(point[0] - x, point[1] - y);
  if (drag.circle === 0) state.notes.camera.circle_px = [...point, r];
  else state.notes.camera.circle_px = [x, y, Math.max(8, away)];
}

function dragShape(point) {
  const { shape, corner } = drag;
  if (corner === "facing") shape.thing.facing_px = point;
  else if (corner !== undefined) shape.points[corner] = point;
  else {
    const [dx, dy] = [point[0] - drag.from[0], point[1] - drag.from[1]];
    for (const place of shape.points) [place[0], place[1]] = [place[0] + dx, place[1] + dy];
    if (shape.thing?.facing_px) shape.thing.facing_px = [shape.thing.facing_px[0] + dx, shape.thing.facing_px[1] + dy];
    drag.from = point;
  }
}

function addCorner(point) {
  if (state.draft.length > 2 && state.tool !== "walls" && near(state.draft[0], point)) return finish();
  if (state.draft.length && near(state.draft.at(-1), point)) return;
  state.draft.push(point);
  draw();
}

export function finish() {
  const tool = TOOLS.find((one) => one.name === state.tool);
  const points = state.draft;
  if (!tool.draws || points.length < tool.draws) return;
  remember();
  state.draft = [];
  if (tool.name === "floor") {
    state.notes.floor_px = points;
    state.chosen = "floor";
  } else if (tool.name === "walls") {
    state.notes.walls_px.push(points);
    state.chosen = `wall ${state.notes.walls_px.length - 1}`;
  } else {
    const thing = { kind: tool.name, height_m: HEIGHTS[tool.name], outline_px: points, facing_px: null, name: "" };
    if (tool.name === "seat") thing.facing_px = ahead(points);
    things().push(thing);
    state.chosen = `thing ${things().length - 1}`;
  }
  if (tool.name !== "walls") use("select");
  changed();
}

// Where a new seat faces: the nearest table, or the middle of the photo.
export function ahead(points) {
  const from = middle(points);
  const away = ([x, y]) => Math.hypot(x - from[0], y - from[1]);
  const tables = things().filter((thing) => thing.kind === "table").flatMap((thing) => edgePoints(thing.outline_px));
  const [target] = (tables.length ? tables : [circle().slice(0, 2)]).sort((a, b) => away(a) - away(b));
  const size = Math.max(...points.map(away)) * 2;
  const distance = Math.max(away(target), 1);
  return [0, 1].map((axis) => from[axis] + ((target[axis] - from[axis]) / distance) * size);
}

const edgePoints = (outline) => outline.flatMap((a, n) => {
  const b = outline[(n + 1) % outline.length];
  return Array.from({ length: 10 }, (_, m) => [a[0] + (m / 10) * (b[0] - a[0]), a[1] + (m / 10) * (b[1] - a[1])]);
});

export function use(name) {
  state.tool = name;
  state.draft = [];
  if (name !== "select") state.chosen = state.corner = null;
  const tool = TOOLS.find((one) => one.name === name);
  canvas.classList.toggle("draws", name !== "select");
  byId("hint").textContent = tool.hint;
  for (const button of byId("tools").children) button.setAttribute("aria-pressed", String(button.dataset.tool === name));
  fields();
  draw();
}

export function nudge([dx, dy]) {
  const shape = chosenShape();
  if (state.tool === "select" && shape && state.corner !== null) {
    remember();
    const place = state.corner === "facing" ? shape.thing.facing_px : shape.points[state.corner];
    [place[0], place[1]] = [place[0] + dx, place[1] + dy];
    changed();
    return;
  }
  state.byKeys = true;
  const [x, y] = state.cursor ?? circle();
  state.cursor = [x + dx / state.view.scale, y + dy / state.view.scale];
  where(state.cursor);
}

export function escape() {
  if (state.draft.length) state.draft = [];
  else if (state.tool !== "select") use("select");
  state.chosen = state.corner = null;
  fields();
}

export function takeAway() {
  const shape = chosenShape();
  if (state.tool === "person") state.people = [];
  if (!shape) return;
  remember();
  if (typeof state.corner === "number" && shape.points.length > (shape.closed ? 3 : 2)) {
    shape.points.splice(state.corner, 1);
    state.corner = null;
  } else remove(shape);
  changed();
}
