// SPDX-License-Identifier: Apache-2.0
// The page: its photos, its keys, and how it begins. What is noted is what plates.toml holds.
import { changed, dirty, endEdit, redo, refreshCamera, remember, tell, undo } from "./changes.js";
import { build, element, fields } from "./fields.js";
import { escape, finish, grip, move, nudge, press, release, takeAway, use } from "./shaping.js";
import { ask, byId, canvas, chosenShape, circle, state, TOOLS } from "./state.js";
import { draw, fit, zoom } from "./view.js";

export async function open(name) {
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
export function setCalibration(name) {
  remember();
  const camera = state.notes.camera;
  Object.assign(camera, { calibration: name || null, fov_degrees: null, equisolid: null, circle_px: null });
  complete(camera, state.photo);
  changed({ camera: true });
}

export function turnTo(step) {
  const names = state.folder.photos;
  open(names[(names.indexOf(state.photo.name) + step + names.length) % names.length]);
}

export async function save() {
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

export async function render() {
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
  const { comments, file } = state.folder;
  if (comments) byId("saved").textContent = `${file} has ${comments} ${comments > 1 ? "comments" : "comment"} of yours, which saving drops: copy it first to keep them.`;
  canvas.addEventListener("pointerdown", press);
  canvas.addEventListener("pointermove", move);
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointerleave", () => { if (!state.byKeys) state.cursor = null; draw(); });
  canvas.addEventListener("dblclick", finish);
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY / 500), [event.clientX - box.left, event.clientY - box.top]);
  }, { passive: false });
  document.addEventListener("keydown", typed);
  document.addEventListener("focusout", endEdit);
  window.addEventListener("beforeunload", (event) => {
    if (dirty() || [...state.drafts.values()].some((draft) => JSON.stringify(draft.notes) !== draft.saved)) event.preventDefault();
  });
  new ResizeObserver(() => { if (state.photo) fit(); }).observe(canvas);
  await open(state.folder.photos[0]);
}

begin();
