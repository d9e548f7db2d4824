"use strict";
// Everything from the data set enters the page as text or as numbers of attributes, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const overlays = [
  { name: "mask", label: "Masks", key: "m", has: (p) => p.mask, on: true },
  { name: "whole", label: "Whole masks", key: "w", has: (p) => p.whole, on: false },
  { name: "box", label: "Boxes", key: "b", has: (p) => p.box, on: false },
  { name: "full", label: "Full boxes", key: "f", has: (p) => p.full, on: false },
  { name: "rotated", label: "Rotated boxes", key: "r", has: (p) => p.rotated, on: true },
  { name: "radial", label: "Radial boxes", key: "a", has: (p) => p.radial, on: false },
  { name: "head", label: "Heads", key: "h", has: (p) => p.head || p.headBox, on: true },
  { name: "points", label: "Key points", key: "k", has: (p) => p.points, on: false },
].filter((overlay) => data.samples.some((sample) => (sample.people || []).some((person) => overlay.has(person))));
if (!overlays.some((overlay) => overlay.on) && overlays.length) overlays[0].on = true;

const IMAGE = ""; // no layer is called so
const bases = [IMAGE, ...new Set(data.samples.flatMap((sample) => Object.keys(sample.layers)))];
let base = IMAGE;

const byId = (id) => document.getElementById(id);
const dialog = byId("large");
let shown = [];
let current = -1;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function shape(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function rectangle([left, top, right, bottom], kind) {
  return shape("rect", { x: left, y: top, width: right - left, height: bottom - top, class: kind });
}

function skeleton(points, radius) {
  const group = shape("g", { class: "o-points" });
  for (const [a, b] of data.skeleton) {
    if (!(Object.hasOwn(points, a) && Object.hasOwn(points, b))) continue;
    const [from, to] = [points[a], points[b]];
    group.append(shape("line", { x1: from[0], y1: from[1], x2: to[0], y2: to[1], class: from[2] && to[2] ? "seen" : "hidden" }));
  }
  for (const [name, [x, y, seen]] of Object.entries(points)) {
    const dot = shape("circle", { cx: x, cy: y, r: radius, class: seen ? "seen" : "hidden" });
    const title = shape("title", {});
    title.textContent = name.replaceAll("_", " ");
    dot.append(title);
    group.append(dot);
  }
  return group;
}

function drawn(person, number, radius) {
  const group = shape("g", { "data-person": number });
  if (person.mask) group.append(shape("path", { d: person.mask, class: `o-mask t${number % 6}` }));
  if (person.whole) group.append(shape("path", { d: person.whole, class: `o-whole t${number % 6}` }));
  if (person.full) group.append(rectangle(person.full, "o-full"));
  if (person.box) group.append(rectangle(person.box, "o-box"));
  if (person.radial) group.append(shape("polygon", { points: person.radial.join(" "), class: "o-radial" }));
  if (person.rotated) group.append(shape("polygon", { points: person.rotated.join(" "), class: "o-rotated" }));
  if (person.headBox) group.append(rectangle(person.headBox, "o-head"));
  else if (person.head) group.append(shape("circle", { cx: person.head[0], cy: person.head[1], r: 2.5 * radius, class: "o-head" }));
  if (person.points) group.append(skeleton(person.points, radius));
  return group;
}

function counted(sample) {
  if (sample.people === null) return "people unknown";
  return sample.people.length === 1 ? "1 person" : `${sample.people.length} people`;
}

function layerOf(sample) {
  return Object.hasOwn(sample.layers, base) ? sample.layers[base] : null;
}

// Where a sample lacks the layer, its image stays, faint.
function showBase(sample, target) {
  const layer = layerOf(sample);
  const image = target.querySelector("img");
  image.src = layer ? layer.source : sample.source;
  image.alt = `${layer ? `${base} of ` : ""}${sample.key}, ${counted(sample)}`;
  target.classList.toggle("layered", Boolean(layer));
  target.classList.toggle("lacking", base !== IMAGE && !layer);
}

function picture(sample, target, lazy) {
  const [width, height] = sample.size;
  const image = element("img", { width, height });
  if (lazy) image.loading = "lazy";
  const over = shape("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  const radius = Math.max(width, height) / 320;
  (sample.people || []).forEach((person, number) => over.append(drawn(person, number, radius)));
  target.style.aspectRatio = `${width} / ${height}`;
  target.replaceChildren(image, over);
  showBase(sample, target);
}

const searched = data.samples.map((sample) => {
  const words = [sample.key, ...sample.place];
  for (const person of sample.people || []) words.push(person.identity || "", ...Object.values(person.attributes || {}));
  return words.join("\n").toLowerCase();
});

const cards = data.samples.map((sample, number) => {
  const frame = element("span", { class: "picture" });
  picture(sample, frame, true);
  const label = element("span", { class: "label" }, element("b", {}, sample.key), element("span", {}, counted(sample)));
  const card = element("button", { type: "button", class: "card", title: sample.key }, frame, label);
  card.addEventListener("click", () => enlarge(number));
  return card;
});
byId("gallery").append(...cards);

function filter() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const least = byId("least").value === "" ? null : Number(byId("least").value);
  const most = byId("most").value === "" ? null : Number(byId("most").value);
  shown = [];
  data.samples.forEach((sample, number) => {
    const people = sample.people === null ? null : sample.people.length;
    const known = people !== null || (least === null && most === null);
    const fits = known && (least === null || people >= least) && (most === null || people <= most)
      && words.every((word) => searched[number].includes(word));
    cards[number].hidden = !fits;
    if (fits) shown.push(number);
  });
  byId("none").hidden = shown.length > 0;
  byId("count").textContent = shown.length === cards.length ? `${cards.length} shown` : `${shown.length} of ${cards.length} shown`;
}

function switchOverlay(overlay, on) {
  overlay.on = on;
  document.body.classList.toggle(`show-${overlay.name}`, on);
  for (const box of document.querySelectorAll(`input[data-overlay="${overlay.name}"]`)) box.checked = on;
}

function switchBase(name) {
  base = name;
  data.samples.forEach((sample, number) => showBase(sample, cards[number].querySelector(".picture")));
  for (const select of document.querySelectorAll("select")) select.value = base;
  if (!dialog.open) return;
  showBase(data.samples[current], byId("picture"));
  byId("scale").textContent = scale(data.samples[current]);
}

if (bases.length > 1) {
  for (const place of document.querySelectorAll("[data-base]")) {
    const options = bases.map((name) => element("option", { value: name }, name === IMAGE ? "image" : name.replaceAll("_", " ")));
    const select = element("select", { title: "Key L" }, ...options);
    select.addEventListener("change", () => switchBase(select.value));
    place.append(element("label", {}, "Show ", select));
  }
}

for (const place of document.querySelectorAll("[data-chips]")) {
  for (const overlay of overlays) {
    const box = element("input", { type: "checkbox", "data-overlay": overlay.name });
    box.addEventListener("change", () => switchOverlay(overlay, box.checked));
    const chip = element("label", { class: `chip swatch-${overlay.name}`, title: `Key ${overlay.key.toUpperCase()}` }, box, element("i"), overlay.label);
    place.append(chip);
  }
}
for (const overlay of overlays) switchOverlay(overlay, overlay.on);

function who(person, number) {
  const name = person.identity === undefined ? `Person ${number + 1}` : person.identity;
  const facts = [];
  if (person.instance !== undefined) facts.push(`instance ${person.instance}`);
  if (person.visible !== undefined) facts.push(`${Math.round(100 * person.visible)} % visible`);
  if (person.hider !== undefined) facts.push(`hidden by ${Number.isInteger(person.hider) ? `instance ${person.hider}` : `the ${person.hider}`}`);
  if (person.box) facts.push(`${Math.round(person.box[2] - person.box[0])}×${Math.round(person.box[3] - person.box[1])} px`);
  else if (person.rotated) {
    const [x, y] = person.rotated;
    const side = (n) => Math.round(Math.hypot(person.rotated[n] - x, person.rotated[n + 1] - y));
    facts.push(`rotated box ${side(2)}×${side(6)} px`);
  }
  if (person.floor) facts.push(`at ${person.floor[0].toFixed(2)}, ${person.floor[1].toFixed(2)} m`);
  const attributes = Object.entries(person.attributes || {}).map(([key, value]) => `${key.replaceAll("_", " ")}: ${value}`);
  const made = element("div", { class: "who" }, element("b", {}, name));
  if (facts.length) made.append(element("p", {}, facts.join(", ")));
  if (attributes.length) made.append(element("p", {}, attributes.join(", ")));
  const light = (on) => {
    for (const part of byId("picture").querySelectorAll(`[data-person="${number}"] > *`)) part.classList.toggle("lit", on);
  };
  made.addEventListener("pointerenter", () => light(true));
  made.addEventListener("pointerleave", () => light(false));
  return made;
}

function scale(sample) {
  if (base === IMAGE) return "";
  const layer = layerOf(sample);
  if (!layer) return `has no ${base}: its image is shown`;
  return layer.span ? `from ${layer.span[0]} (blue) to ${layer.span[1]} (red)` : "";
}

function enlarge(number) {
  current = number;
  const sample = data.samples[number];
  const [width, height] = sample.size;
  dialog.style.setProperty("--ratio", width / height);
  picture(sample, byId("picture"), false);
  byId("title").textContent = sample.key;
  const place = sample.place.length ? ` · ${sample.place.join(", frame ")}` : "";
  byId("facts").textContent = `${width}×${height} px · ${counted(sample)}${place} · ${shown.indexOf(number) + 1} of ${shown.length}`;
  byId("scale").textContent = scale(sample);
  byId("people").replaceChildren(...(sample.people || []).map(who));
  byId("meta").replaceChildren(...Object.entries(sample.meta).flatMap(([key, value]) => [element("dt", {}, key.replaceAll("_", " ")), element("dd", {}, value)]));
  dialog.querySelector("aside").scrollTop = 0;
  if (!dialog.open) dialog.showModal();
}

function step(by) {
  if (!shown.length) return;
  const place = shown.indexOf(current);
  enlarge(shown[(place + by + shown.length) % shown.length]);
}

byId("bar").addEventListener("submit", (event) => event.preventDefault());
for (const id of ["search", "least", "most"]) byId(id).addEventListener("input", filter);
byId("back").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
byId("close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => { if (cards[current]) cards[current].focus(); });
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement ? event.target.type !== "checkbox" : event.target instanceof HTMLSelectElement;
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (dialog.open && event.key === "ArrowLeft") step(-1);
  else if (dialog.open && event.key === "ArrowRight") step(1);
  else if (!dialog.open && event.key === "/") byId("search").focus();
  else if (event.key === "l") switchBase(bases[(bases.indexOf(base) + 1) % bases.length]);
  else {
    const overlay = overlays.find((one) => one.key === event.key);
    if (!overlay) return;
    switchOverlay(overlay, !overlay.on);
  }
  event.preventDefault();
});
filter();
