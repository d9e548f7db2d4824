"use strict";
const { crops, list } = JSON.parse(document.getElementById("data").textContent);
const sheet = document.getElementById("sheet"), show = document.getElementById("show"), order = document.getElementById("order");
const descending = { overlap: true, aspect: true };

function line(kind, text) {
  const part = document.createElement("span");
  part.className = kind;
  part.textContent = text;
  return part;
}

const entries = crops.map((crop, number) => ({ crop, number, kept: crop.reason === null }));
const cards = entries.filter((entry) => entry.crop.picture !== null);
for (const entry of cards) {
  const { crop, number } = entry;
  const card = document.createElement("button");
  card.type = "button";
  card.className = "crop";
  const picture = document.createElement("img");
  picture.src = crop.picture;
  picture.alt = crop.id;
  picture.loading = "lazy";
  const why = line("why", crop.reason ?? "");
  card.append(
    picture, line("id", `${number + 1} · ${crop.id}`),
    line("", `${Math.round(crop.length_px)} px, sharp ${crop.sharpness.toFixed(1)}`),
    line("", `${Math.round(100 * crop.inside)}% in, ${Math.round(100 * crop.overlap)}% under, 1:${crop.aspect.toFixed(1)}`),
    why,
  );
  entry.card = card;
  card.addEventListener("click", () => {
    entry.kept = !entry.kept;
    why.textContent = entry.kept ? "" : "dropped";
    mark(entry);
    count();
  });
  mark(entry);
}

function mark({ card, kept }) {
  card.setAttribute("aria-pressed", String(kept));
}

function count() {
  const kept = entries.filter((entry) => entry.kept).length;
  document.getElementById("count").textContent = `${kept} kept, ${entries.length - kept} dropped`;
}

// A crop that is clicked stays where it is until the selection is made anew.
function arrange() {
  const by = order.value, sign = descending[by] ? -1 : 1;
  const shown = cards.filter((entry) => show.value === "all" || entry.kept === (show.value === "kept"));
  if (by) shown.sort((a, b) => sign * (a.crop[by] - b.crop[by]) || a.number - b.number);
  sheet.replaceChildren(...shown.map((entry) => entry.card));
}

document.getElementById("save").addEventListener("click", () => {
  const text = entries.map(({ crop, kept }) => `${kept ? "keep" : "drop"} ${crop.id}\n`).join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.download = list;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
});
document.getElementById("bar").addEventListener("submit", (event) => event.preventDefault());
for (const chosen of [show, order]) chosen.addEventListener("change", arrange);
arrange();
count();
