// SPDX-License-Identifier: Apache-2.0
// What the page knows: the photo, its notes, what is chosen; and the question to the server.

export const byId = (id) => document.getElementById(id);

export const canvas = byId("canvas");

export const pen = canvas.getContext("2d");

export const TOOLS = [
  { name: "select", label: "Select", key: "v", hint: "Drag corners, click an edge to add one, drag a shape to move it. Delete takes a corner or shape away." },
  { name: "circle", label: "Circle", key: "c", hint: "Drag the rim onto the photo's image circle, or its middle." },
  { name: "floor", label: "Floor", key: "f", draws: 3, hint: "Click the corners of the room's floor, also where furniture hides it. Enter ends." },
  { name: "walls", label: "Walls", key: "w", draws: 2, hint: "Click along the foot of a wall. Enter ends the line." },
  { name: "table", label: "Table", key: "t", draws: 3, hint: "Click the corners of the table's top. Enter ends." },
  { name: "seat", label: "Seat", key: "s", draws: 3, hint: "Click the corners of the seat, not the back. Enter ends. The arrow shows where sitters look: drag it." },
  { name: "occluder", label: "Occluder", key: "o", draws: 3, hint: "Click the corners of the upper face of a thing that is solid down to the floor. Enter ends." },
  { name: "person", label: "Person", key: "p", hint: "Somebody stands at the pointer. Click to keep them there; Delete sends all away." },
];

export const HEIGHTS = { table: 0.74, seat: 0.45, occluder: 1.0 };

export const state = {
  folder: null, photo: null, notes: null, saved: "", camera: null, image: new Image(),
  tool: "select", draft: [], chosen: null, corner: null, cursor: null, people: [],
  shown: { grid: true, solids: true, people: true, lengths: true },
  view: { scale: 1, x: 0, y: 0 }, undo: [], redo: [], drafts: new Map(), seed: 0,
};

export async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    return { problems: ["the server does not answer: is 'synthkit plates annotate' still running?"] };
  }
  return answer.json();
}

export const things = () => state.notes.furniture;

// The image circle: as noted, else as a calibration has it.
export const circle = () => state.notes.camera.circle_px ?? state.camera?.circle ?? state.photo.circle_px;

export const calibrated = () => state.notes.camera.calibration !== null;

// The outlines that can be chosen: where each is kept, at which level it lies, and whether it is closed.
export function shapes() {
  const found = [];
  const { floor_px, walls_px } = state.notes;
  if (floor_px.length) found.push({ id: "floor", points: floor_px, z: 0, closed: true, kind: "floor" });
  walls_px.forEach((points, n) => found.push({ id: `wall ${n}`, points, z: 0, closed: false, kind: "wall" }));
  things().forEach((thing, n) => {
    found.push({ id: `thing ${n}`, thing, points: thing.outline_px, z: thing.height_m, closed: true, kind: thing.kind });
  });
  return found;
}

export const chosenShape = () => shapes().find((shape) => shape.id === state.chosen) ?? null;

export function remove(shape) {
  if (shape.id === "floor") state.notes.floor_px = [];
  else if (shape.kind === "wall") state.notes.walls_px.splice(Number(shape.id.split(" ")[1]), 1);
  else things().splice(things().indexOf(shape.thing), 1);
  state.chosen = state.corner = null;
}

export const middle = (points) => [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);
