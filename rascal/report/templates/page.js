"use strict";
// Values under the pointer. The page can be read without.
const figures = [...document.querySelectorAll("figure.plot")].map((figure) => {
  const readings = JSON.parse(figure.dataset.readings);
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  figure.querySelector(".frame").append(tip);
  return {
    figure, readings, tip,
    area: figure.querySelector("svg.area"),
    cursor: figure.querySelector(".cursor"),
    count: readings.at.length,
  };
});

function element(name, text, kind) {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function point(it, at) {
  const x = `${((at + 0.5) / it.count) * 100}%`;
  it.cursor.setAttribute("x1", x);
  it.cursor.setAttribute("x2", x);
  it.cursor.classList.add("on");
}

function tell(it, at) {
  const rows = it.readings.lines.filter((line) => line.values[at] !== "").map((line) => {
    const row = element("div", "", "row");
    row.append(
      element("i", "", `c-${line.colour}`),
      element("span", line.name),
      element("b", line.values[at]),
    );
    return row;
  });
  it.tip.replaceChildren(element("div", it.readings.at[at], "when"), ...rows);
  it.tip.hidden = false;
  const box = it.area.getBoundingClientRect();
  const frame = it.tip.parentElement.getBoundingClientRect();
  const x = box.left - frame.left + ((at + 0.5) / it.count) * box.width;
  const left = x + 12 + it.tip.offsetWidth > frame.width ? x - 12 - it.tip.offsetWidth : x + 12;
  it.tip.style.left = `${Math.max(0, left)}px`;
}

function clear(it) {
  it.tip.hidden = true;
  it.cursor.classList.remove("on");
}

for (const it of figures) {
  const group = figures.filter(
    (other) => other === it || (it.figure.dataset.group && other.figure.dataset.group === it.figure.dataset.group),
  );
  const move = (event) => {
    const box = it.area.getBoundingClientRect();
    const at = Math.floor(((event.clientX - box.left) / box.width) * it.count);
    if (at < 0 || at >= it.count) return;
    for (const other of group) if (at < other.count) point(other, at);
    tell(it, at);
  };
  it.area.addEventListener("pointermove", move);
  it.area.addEventListener("pointerdown", move);
  it.area.addEventListener("pointerleave", () => group.forEach(clear));
}

// On paper everything stands open.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const one of opened) one.open = true;
});
addEventListener("afterprint", () => {
  for (const one of opened) one.open = false;
});
