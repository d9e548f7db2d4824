// SPDX-License-Identifier: Apache-2.0
// The fields beside the photo.
import { changed, dirty, edit, redo, remember, undo } from "./changes.js";
import { open, render, save, setCalibration, turnTo } from "./page.js";
import { ahead, use } from "./shaping.js";
import { byId, calibrated, canvas, circle, middle, state, things, TOOLS } from "./state.js";
import { draw, fit } from "./view.js";

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

export function element(name, attributes = {}, ...children) {
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

// Set the value of an input unless somebody types in it.
function show(input, value) {
  if (document.activeElement !== input) input.value = value ?? "";
}

export function build() {
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

export function fields() {
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
