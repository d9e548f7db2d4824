// SPDX-License-Identifier: Apache-2.0
// Changes of the notes: remembered, undone, checked and told.
import { Camera } from "./camera.js";
import { element, fields } from "./fields.js";
import { ask, byId, calibrated, chosenShape, state, things } from "./state.js";
import { draw } from "./view.js";

// Remember the notes as they are, before they change.
export function remember() {
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

export const undo = () => travel(state.undo, state.redo);

export const redo = () => travel(state.redo, state.undo);

export const dirty = () => state.notes !== null && JSON.stringify(state.notes) !== state.saved;

let checking = 0;

// Show what has changed; ask the server for the camera when it may have, and what is wrong a moment later.
export async function changed({ camera = false } = {}) {
  fields();
  draw();
  clearTimeout(checking);
  checking = setTimeout(check, 250);
  if (camera) await refreshCamera();
}

export async function refreshCamera() {
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

export function tell(problems = []) {
  const box = byId("problems");
  box.replaceChildren(...problems.map((problem) => element("p", {}, worded(problem))));
  box.hidden = !problems.length;
}

// furniture[2] is a row of the list here: say which.
function worded(problem) {
  return problem.replace(/^furniture\[(\d+)\](\.| )?/, (_, n, dot) => `${things()[n]?.kind ?? "furniture"} ${Number(n) + 1}${dot ? ": " : ""}`);
}

// Change the notes by a field: what was before is remembered once, not for each step of a slider.
let editing = null;

export function edit(field, change, options) {
  if (editing !== field) remember();
  editing = field;
  change();
  changed(options);
}

// The next change of a field is remembered anew.
export function endEdit() {
  editing = null;
}
