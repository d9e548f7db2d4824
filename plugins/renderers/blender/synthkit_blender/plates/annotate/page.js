// SPDX-License-Identifier: Apache-2.0
// The page: tools, fields and history around the notes of one photo. What is noted is what plates.toml holds.
import { Camera } from "./camera.js";
import { COLOURS, grid, label, lengths, person, ring, solid, trace, wall } from "./drawing.js";

const byId = (id) => document.getElementById(id);
const canvas = byId("canvas");
const pen = canvas.getContext("2d");
const TOOLS = [
  { name: "select", label: "Select", key: "v", hint: "Drag corners, click an edge to add one, drag a shape to move it. Delete takes a corner or shape away." },
  { name: "circle", label: "Circle", key: "c", hint: "Drag the rim onto the photo's image circle, or its middle." },
  { name: "floor", label: "Floor", key: "f", draws: 3, hint: "Click the corners of the room's floor, also where furniture hides it. Enter ends." },
  { name: "walls", label: "Walls", key: "w", draws: 2, hint: "Click along the foot of a wall. Enter ends the line." },
  { name: "table", label: "Table", key: "t", draws: 3, hint: "Click the corners of the table's top. Enter ends." },
  { name: "seat", label: "Seat", key: "s", draws: 3, hint: "Click the corners of the seat, not the back. Enter ends. The arrow shows where sitters look: drag it." },
  { name: "occluder", label: "Occluder", key: "o", draws: 3, hint: "Click the corners of the upper face of a thing that is solid down to the floor. Enter ends." },
  { name: "person", label: "Person", key: "p", hint: "Somebody stands at the pointer. Click to keep them there; Delete sends all away." },
];
const HEIGHTS = { table: 0.74, seat: 0.45, occluder: 1.0 };
const CAMERA = [
  ["fov_degrees", "View (°)", 90, 220, 0.5, "Field of view across the image circle, in degrees"],
  ["equisolid", "Lens", -1, 1, 0.05, "-1 stereographic, 0 equidistant, 1 equisolid, or between"],
  ["height_m", "Height (m)", 1.9, 8, 0.01, "Of the camera over the floor, in metres"],
  ["tilt_degrees", "Up (°)", -45, 45, 0.5, "How far the camera leans to the photo's top, in degrees"],
  ["roll_degrees", "Right (°)", -45, 45, 0.5, "How far the camera leans to the photo's right, in degrees"],
];
const SHOWN = { grid: "Floor lines", solids: "Furniture", people: "People", lengths: "Lengths" };
const KEYS = [
  ["Enter", "end an outline"], ["Escape", "drop it, or choose nothing"], ["Backspace", "its last corner away"],
  ["Delete", "corner or shape away"], ["Tab", "next corner of the chosen shape"], ["arrows", "move corner or cross by 1 px, with Shift 10"],
  ["Space", "click where the cross is"], ["+ − 0", "closer, farther, whole photo"], ["wheel, middle button", "closer or farther; move the photo"],
  ["Ctrl+Z, Ctrl+Shift+Z", "undo, redo"], ["Ctrl+S", "save"], ["Page Up, Page Down", "other photo"],
];

const state = {
  folder: null, photo: null, notes: null, saved: "", camera: null, image: new Image(),
  tool: "select", draft: [], chosen: null, corner: null, cursor: null, people: [],
  shown: { grid: true, solids: true, people: true, lengths: true },
  view: { scale: 1, x: 0, y: 0 }, undo: [], redo: [], drafts: new Map(), seed: 0,
};

async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    return { problems: ["the server does not answer: is 'synthkit plates annotate' still running?"] };
  }
  return answer.json();
}

// ---- the notes ----

const things = () => state.notes.furniture;
// The image circle: as noted, else as a calibration has it.
const circle = () => state.notes.camera.circle_px ?? state.camera?.circle ?? state.photo.circle_px;
const calibrated = () => state.notes.camera.calibration !== null;

// The outlines that can be chosen: where each is kept, at which level it lies, and whether it is closed.
function shapes() {
  const found = [];
  const { floor_px, walls_px } = state.notes;
  if (floor_px.length) found.push({ id: "floor", points: floor_px, z: 0, closed: true, kind: "floor" });
  walls_px.forEach((points, n) => found.push({ id: `wall ${n}`, points, z: 0, closed: false, kind: "wall" }));
  things().forEach((thing, n) => {
    found.push({ id: `thing ${n}`, thing, points: thing.outline_px, z: thing.height_m, closed: true, kind: thing.kind });
  });
  return found;
}

const chosenShape = () => shapes().find((shape) => shape.id === state.chosen) ?? null;

function remove(shape) {
  if (shape.id === "floor") state.notes.floor_px = [];
  else if (shape.kind === "wall") state.notes.walls_px.splice(Number(shape.id.split(" ")[1]), 1);
  else things().splice(things().indexOf(shape.thing), 1);
  state.chosen = state.corner = null;
}

// Remember the notes as they are, before they change.
function remember() {
  const now = JSON.stringify(state.notes);
  if (state.undo.at(-1) !== now) state.undo.push(now);
  state.redo.length = 0;
}

function travel(from, to) {
  if (!from.length) return;
  to.push(JSON.stringify(state.notes));
  state.notes = JSON.parse(from.pop());
  if (!chosenShape()) state.chosen = state.corner = null;
  changed({ camera: true });
}

const dirty = () => state.notes !== null && JSON.stringify(state.notes) !== state.saved;

let checking = 0;
// Show what has changed; ask the server for the camera when it may have, and what is wrong a moment later.
async function changed({ camera = false } = {}) {
  fields();
  draw();
  clearTimeout(checking);
  checking = setTimeout(check, 250);
  if (camera) await refreshCamera();
}

async function refreshCamera() {
  const asked = state.notes;
  const answer = await ask("api/camera", { camera: asked.camera, size_px: asked.size_px });
  if (answer.problems || state.notes !== asked) return;
  state.camera = new Camera(answer);
  if (calibrated()) fields();
  draw();
}

async function check() {
  const asked = JSON.stringify(state.notes);
  const { problems } = await ask("api/check", { notes: state.notes });
  if (JSON.stringify(state.notes) === asked) tell(problems);
}

function tell(problems = []) {
  const box = byId("problems");
  box.replaceChildren(...problems.map((problem) => element("p", {}, worded(problem))));
  box.hidden = !problems.length;
}

// furniture[2] is a row of the list here: say which.
function worded(problem) {
  return problem.replace(/^furniture\[(\d+)\](\.| )?/, (_, n, dot) => `${things()[n]?.kind ?? "furniture"} ${Number(n) + 1}${dot ? ": " : ""}`);
}

// ---- photos ----

async function open(name) {
  if (state.photo) state.drafts.set(state.photo.name, { notes: state.notes, saved: state.saved, undo: state.undo, redo: state.redo });
  const photo = await ask(`api/photo?name=${encodeURIComponent(name)}`);
  byId("photo").value = state.photo?.name ?? name;
  if (photo.problems) return tell(photo.problems);
  byId("photo").value = name;
  state.photo = photo;
  const draft = state.drafts.get(name);
  state.notes = draft?.notes ?? completed(photo);
  state.saved = draft?.saved ?? JSON.stringify(completed(photo));
  [state.undo, state.redo] = [draft?.undo ?? [], draft?.redo ?? []];
  Object.assign(state, { draft: [], chosen: null, corner: null, people: [], cursor: null, camera: null });
  state.image = new Image();
  state.image.src = `photo.jpg?name=${encodeURIComponent(name)}`;
  await Promise.all([state.image.decode().catch(() => tell([`${name}: cannot be shown`])), refreshCamera()]);
  fit();
  changed();
}

// The notes of a photo with everything the page shows: usual values where nothing is noted.
function completed(photo) {
  const notes = structuredClone(photo.notes);
  complete(notes.camera, photo);
  notes.size_px = photo.size_px;
  return notes;
}

function complete(camera, photo) {
  const known = camera.calibration === null ? [] : ["fov_degrees", "equisolid"];
  for (const [key, usual] of Object.entries(state.folder.usual)) if (!known.includes(key)) camera[key] ??= usual;
  if (camera.calibration === null) camera.circle_px ??= [...photo.circle_px];
}

// A calibration instead of a lens and a circle, or these again.
function setCalibration(name) {
  remember();
  const camera = state.notes.camera;
  Object.assign(camera, { calibration: name || null, fov_degrees: null, equisolid: null, circle_px: null });
  complete(camera, state.photo);
  changed({ camera: true });
}

function turnTo(step) {
  const names = state.folder.photos;
  open(names[(names.indexOf(state.photo.name) + step + names.length) % names.length]);
}

async function save() {
  const everywhere = document.querySelector("[name=scope]:checked").value === "all";
  const saved = JSON.stringify(state.notes);
  const name = state.photo.name;
  const answer = await ask("api/save", { name, notes: state.notes, everywhere });
  if (answer.problems) return tell(answer.problems);
  state.folder = answer;
  if (everywhere) state.drafts = new Map([...state.drafts].filter(([, draft]) => JSON.stringify(draft.notes) !== draft.saved));
  if (state.photo.name === name) state.saved = saved;
  byId("saved").textContent = `Saved to ${answer.file} at ${new Date().toLocaleTimeString()}.`;
  tell();
  fields();
}

async function render() {
  const dialog = byId("picture");
  if (!dialog.open) dialog.showModal();
  byId("rendering").textContent = "Blender renders… the first picture takes some seconds longer.";
  byId("rendered").hidden = true;
  byId("again").disabled = true;
  const people = { sitting: [2, 4], standing: [3, 4] };
  const answer = await ask("api/render", { name: state.photo.name, notes: state.notes, seed: state.seed++, people });
  byId("again").disabled = false;
  if (answer.problems) {
    byId("rendering").textContent = answer.problems.join(" ");
    return;
  }
  const hidden = answer.visible.filter((share) => share < 0.9).length;
  byId("rendering").textContent = `${answer.visible.length} people, ${hidden} of them partly hidden or cut off.`;
  byId("rendered").src = `data:image/png;base64,${answer.png}`;
  byId("rendered").hidden = false;
}

// ---- view ----

function fit() {
  const { width, height } = canvas.getBoundingClientRect();
  const [w, h] = state.photo.size_px;
  const scale = Math.min(width / w, height / h) * 0.97;
  state.view = { scale, x: (width - w * scale) / 2, y: (height - h * scale) / 2 };
  draw();
}

function zoom(factor, [x, y] = [canvas.clientWidth / 2, canvas.clientHeight / 2]) {
  const view = state.view;
  const scale = Math.min(40, Math.max(0.02, view.scale * factor));
  view.x = x - ((x - view.x) * scale) / view.scale;
  view.y = y - ((y - view.y) * scale) / view.scale;
  view.scale = scale;
  draw();
}

const toPhoto = (event) => {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left - state.view.x) / state.view.scale, (event.clientY - box.top - state.view.y) / state.view.scale];
};

let pending = 0;
function draw() {
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

const middle = (points) => [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);

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

function rimHandles() {
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

// ---- pointer ----

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

let drag = null;

function press(event) {
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
function grip(point) {
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

function move(event) {
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

function where(point) {
  const metres = state.camera?.onPlane(point, 0);
  byId("place").textContent = metres ? `${metres.map((value) => (Math.round(value * 100) / 100 + 0).toFixed(2)).join(", ")} m on the floor` : "";
}

// ---- drawing an outline ----

function addCorner(point) {
  if (state.draft.length > 2 && state.tool !== "walls" && near(state.draft[0], point)) return finish();
  if (state.draft.length && near(state.draft.at(-1), point)) return;
  state.draft.push(point);
  draw();
}

function finish() {
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
function ahead(points) {
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

function use(name) {
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

// ---- keys ----

function typed(event) {
  const field = event.target.closest("input:not([type=range], [type=radio], [type=checkbox]), select");
  const key = event.key.toLowerCase();
  if (byId("picture").open || !state.notes) return;
  if (event.ctrlKey || event.metaKey) {
    const actions = { z: event.shiftKey ? redo : undo, y: redo, s: save };
    if (!(key in actions) || (field && key !== "s")) return;
    event.preventDefault();
    actions[key]();
    return;
  }
  if (field) return;
  if (key === "pageup" || key === "pagedown") turnTo(key === "pageup" ? -1 : 1);
  else if (event.target === canvas && onCanvas(event, key)) event.preventDefault();
  else if (key === "r") render();
  else if (TOOLS.some((tool) => tool.key === key) && event.target.tagName !== "SUMMARY") use(TOOLS.find((tool) => tool.key === key).name);
  else return;
  event.preventDefault();
}

const undo = () => travel(state.undo, state.redo);
const redo = () => travel(state.redo, state.undo);
const ARROWS = { arrowleft: [-1, 0], arrowright: [1, 0], arrowup: [0, -1], arrowdown: [0, 1] };

// Keys that mean something on the photo alone; returns whether this is one.
function onCanvas(event, key) {
  if (key in ARROWS) nudge(ARROWS[key].map((step) => step * (event.shiftKey ? 10 : 1)));
  else if (key === " ") grip(state.cursor ?? circle().slice(0, 2));
  else if (key === "enter") finish();
  else if (key === "escape") escape();
  else if (key === "backspace" && state.draft.length) state.draft.pop();
  else if (key === "delete" || key === "backspace") takeAway();
  else if (key === "tab" && state.tool === "select" && chosenShape()) {
    const count = chosenShape().points.length;
    const next = (state.corner ?? (event.shiftKey ? count : -1)) + (event.shiftKey ? -1 : 1);
    if (typeof state.corner === "string" || next < 0 || next >= count) {
      state.corner = null; // and on to the next field
      return false;
    }
    state.corner = next;
  } else if (key === "+" || key === "=") zoom(1.25);
  else if (key === "-") zoom(0.8);
  else if (key === "0") fit();
  else return false;
  draw();
  return true;
}

function nudge([dx, dy]) {
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

function escape() {
  if (state.draft.length) state.draft = [];
  else if (state.tool !== "select") use("select");
  state.chosen = state.corner = null;
  fields();
}

function takeAway() {
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

// ---- fields ----

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value !== null) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function choice(options, value, onchange, attributes = {}) {
  const made = element("select", { ...attributes, onchange: (event) => onchange(event.target.value) });
  for (const [key, text] of Object.entries(options)) made.append(element("option", { value: key }, text));
  made.value = value;
  return made;
}

// Change the notes by a field: what was before is remembered once, not for each step of a slider.
let editing = null;
function edit(field, change, options) {
  if (editing !== field) remember();
  editing = field;
  change();
  changed(options);
}

// Set the value of an input unless somebody types in it.
function show(input, value) {
  if (document.activeElement !== input) input.value = value ?? "";
}

function build() {
  for (const tool of TOOLS) {
    byId("tools").append(element("button", { "data-tool": tool.name, title: tool.hint, onclick: () => { use(tool.name); canvas.focus(); } }, tool.label, element("kbd", {}, tool.key.toUpperCase())));
  }
  for (const [key, text, least, most, step, title] of CAMERA) {
    const set = (event) => {
      const value = event.target.valueAsNumber;
      if (Number.isFinite(value)) edit(key, () => { state.notes.camera[key] = value; }, { camera: true });
    };
    byId("camera").append(
      element("label", { for: key, title }, text),
      element("input", { type: "range", id: `${key}_range`, min: least, max: most, step, oninput: set, "aria-label": title, title }),
      element("input", { type: "number", id: key, step, oninput: set, title }),
    );
  }
  byId("camera").append(
    element("label", { for: "calibration", id: "calibration_label" }, "Calibration"),
    choice({ "": "none" }, "", setCalibration, { id: "calibration", class: "wide", title: "A calibration of cv2.fisheye beside the photos, instead of lens and circle" }),
  );
  ["x", "y", "radius"].forEach((text, n) => {
    const set = (event) => {
      const value = event.target.valueAsNumber;
      if (Number.isFinite(value)) edit(`circle ${n}`, () => { state.notes.camera.circle_px = circle().with(n, value); }, { camera: true });
    };
    byId("circle").append(element("label", {}, `Circle ${text}`, element("input", { type: "number", step: 1, id: `circle_${n}`, oninput: set })));
  });
  byId("room").append(
    element("label", { for: "walls" }, "Walls"),
    choice({ around: "around the floor", drawn: "along lines I draw", none: "none" }, "around", setWalls, { id: "walls", class: "wide" }),
    element("label", { for: "ceiling" }, "Ceiling"),
    element("span", { class: "quiet" }, "m; empty: camera's height"),
    element("input", { type: "number", id: "ceiling", step: 0.05, oninput: (event) => edit("ceiling", () => { state.notes.ceiling_m = event.target.value === "" ? null : event.target.valueAsNumber; }) }),
  );
  for (const [key, text] of Object.entries(SHOWN)) {
    byId("shown").append(element("button", { "aria-pressed": "true", id: `show_${key}`, onclick: () => { state.shown[key] = !state.shown[key]; fields(); draw(); } }, text));
  }
  for (const [key, text] of KEYS) byId("keys").append(element("dt", {}, key), element("dd", {}, text));
  for (const [id, action] of Object.entries({ undo, redo, fit, render, save, previous: () => turnTo(-1), next: () => turnTo(1), again: render, close: () => byId("picture").close() })) {
    byId(id).addEventListener("click", () => action());
  }
  byId("find").addEventListener("click", () => edit("find", () => { state.notes.camera.circle_px = [...state.photo.circle_px]; }, { camera: true }));
  byId("photo").addEventListener("change", (event) => open(event.target.value));
}

function setWalls(value) {
  remember();
  state.notes.walls = value !== "none";
  if (value !== "drawn") state.notes.walls_px = [];
  changed();
  if (value === "drawn") use("walls");
}

function fields() {
  if (!state.notes) return;
  for (const [key] of CAMERA) {
    show(byId(key), state.notes.camera[key]);
    show(byId(`${key}_range`), state.notes.camera[key]);
  }
  byId("calibration").value = state.notes.camera.calibration ?? "";
  for (const id of ["equisolid", "equisolid_range", "circle_0", "circle_1", "circle_2", "find"]) byId(id).disabled = calibrated();
  circle().forEach((value, n) => show(byId(`circle_${n}`), Math.round(value * 10) / 10));
  byId("find").textContent = state.photo.found ? "Circle as found" : "Circle that touches the shorter sides";
  const corners = state.notes.floor_px.length;
  byId("floor").textContent = corners ? `The floor has ${corners} corners.` : "No floor yet: people would stand anywhere within a circle.";
  byId("walls").value = state.notes.walls_px.length || state.tool === "walls" ? "drawn" : state.notes.walls ? "around" : "none";
  show(byId("ceiling"), state.notes.ceiling_m);
  for (const key of Object.keys(SHOWN)) byId(`show_${key}`).setAttribute("aria-pressed", String(state.shown[key]));
  byId("undo").disabled = !state.undo.length;
  byId("redo").disabled = !state.redo.length;
  byId("save").textContent = dirty() ? "Save •" : "Save";
  document.title = `${dirty() ? "• " : ""}${state.photo.name} – plates`;
  listFurniture();
}

function listFurniture() {
  const list = byId("furniture");
  if (list.contains(document.activeElement) && list.children.length === things().length) {
    [...list.children].forEach((row, n) => row.classList.toggle("chosen", state.chosen === `thing ${n}`));
    return;
  }
  list.replaceChildren(...things().map((thing, n) => {
    const choose = () => {
      if (state.tool !== "select") use("select");
      [state.chosen, state.corner] = [`thing ${n}`, null];
      fields();
      draw();
    };
    const number = (event) => {
      const value = event.target.valueAsNumber;
      if (Number.isFinite(value)) edit(`height ${n}`, () => { thing.height_m = value; });
    };
    return element("li", { class: state.chosen === `thing ${n}` ? "chosen" : "", onfocusin: choose, onclick: choose },
      element("i", { class: thing.kind }),
      named(element("input", { "aria-label": "Name", placeholder: `${thing.kind} ${n + 1}`, oninput: (event) => edit(`name ${n}`, () => { thing.name = event.target.value; }) }), thing.name),
      choice({ table: "table", seat: "seat", occluder: "occluder" }, thing.kind, (kind) => setKind(thing, kind), { "aria-label": "Kind" }),
      named(element("input", { type: "number", step: 0.01, min: 0.02, "aria-label": "Height in metres", title: "Height of the upper face in metres", oninput: number }), thing.height_m),
      element("button", { "aria-label": "Remove", title: "Remove", onclick: (event) => { event.stopPropagation(); remember(); things().splice(n, 1); state.chosen = state.corner = null; event.target.blur(); changed(); } }, "✕"),
    );
  }));
}

function named(input, value) {
  input.value = value;
  return input;
}

function setKind(thing, kind) {
  remember();
  thing.kind = kind;
  thing.facing_px = kind === "seat" ? ahead(thing.outline_px) : null;
  document.activeElement.blur();
  changed();
}

async function begin() {
  build();
  use("select");
  state.folder = await ask("api/folder");
  if (state.folder.problems) return tell(state.folder.problems);
  for (const name of state.folder.calibrations) byId("calibration").append(element("option", { value: name }, name));
  byId("calibration").hidden = byId("calibration_label").hidden = !state.folder.calibrations.length;
  for (const name of state.folder.photos) byId("photo").append(element("option", { value: name }, name));
  byId("previous").disabled = byId("next").disabled = state.folder.photos.length < 2;
  const scope = Object.keys(state.folder.own).length ? "one" : "all";
  document.querySelector(`[name=scope][value=${scope}]`).checked = true;
  canvas.addEventListener("pointerdown", press);
  canvas.addEventListener("pointermove", move);
  canvas.addEventListener("pointerup", () => { drag = null; });
  canvas.addEventListener("pointerleave", () => { if (!state.byKeys) state.cursor = null; draw(); });
  canvas.addEventListener("dblclick", finish);
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY / 500), [event.clientX - box.left, event.clientY - box.top]);
  }, { passive: false });
  document.addEventListener("keydown", typed);
  document.addEventListener("focusout", () => { editing = null; });
  window.addEventListener("beforeunload", (event) => {
    if (dirty() || [...state.drafts.values()].some((draft) => JSON.stringify(draft.notes) !== draft.saved)) event.preventDefault();
  });
  new ResizeObserver(() => { if (state.photo) fit(); }).observe(canvas);
  await open(state.folder.photos[0]);
}

begin();
