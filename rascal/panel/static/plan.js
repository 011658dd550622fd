// The plan of an experiment: phases, load and one lane for each fault over one axis.
import { clock, short, share, count } from "./lib/format.js";
import { el } from "./lib/ask.js";
import { times } from "./profile.js";

const EDGE = 8;
const letter = (n) => (n < 26 ? String.fromCharCode(65 + n) : String(n + 1));

/**
 * Draw `plan` into `box`. With `hands` ({moved(index, begins, ends), lasting(phase, seconds)}) faults and the borders
 * of phases can be dragged, and moved by keys.
 */
export function drawPlan(box, plan, hands = null, words = "The plan is drawn here once the file can be read.") {
  if (!plan) { box.replaceChildren(el("p", { class: "no-plan" }, words)); return; }
  const held = document.activeElement?.dataset?.hold;
  const part = (t) => `${(100 * t) / plan.seconds}%`;
  const at = (node, begin, end) => { node.style.left = part(begin); if (end != null) node.style.width = part(end - begin); return node; };
  const [first, last] = plan.phases.fault;
  const band = () => at(el("i", { class: "band" }), first, last);

  const phases = Object.entries(plan.phases).filter(([, [a, b]]) => b > a || hands);
  const track = el("div", { class: "track" }, phases.map(([name, [a, b]]) =>
    at(el("div", { class: `phase${name === "fault" ? " fault" : ""}`, title: `${name}: ${b - a} s` }, name[0].toUpperCase() + name.slice(1), el("span", { class: "lasts" }, ` ${clock(b - a)}`)), a, b)));
  if (hands) for (const [name, [a, b]] of phases) track.append(border(name, a, b, plan, part, hands, track));

  const load = el("div", { class: "plot load" }, el("div", { class: "track" }, band(), area(plan)));
  const lanes = plan.faults.map((one) => {
    const bar = hands
      ? at(el("button", { class: "span planned", type: "button", "data-hold": `fault ${one.index}`, "aria-label": spoken(one) }), one.begins, one.ends)
      : at(el("div", { class: "span planned still", title: spoken(one) }), one.begins, one.ends);
    bar.append(el("span", { class: "lbl" }, clock(one.ends - one.begins)));
    const row = el("div", { class: "track" }, band(), bar);
    if (hands) grip(bar, row, one, plan, part, hands);
    return el("div", { class: "row lane" },
      el("div", { class: "side" }, el("span", { class: "tag" }, letter(one.index)), el("div", { class: "what", title: `${one.text} on ${one.on}` }, el("strong", {}, one.text), el("span", {}, `${one.on} · ${clock(one.begins)} to ${clock(one.ends)}`))),
      el("div", { class: "lanebody" }, row));
  });
  const marks = el("div", { class: "track" }, times(plan.seconds, Math.max(2, Math.min(8, box.clientWidth / 110))).map((t) => at(el("span", { class: `tick${t > 0.96 * plan.seconds ? " last" : ""}` }, clock(t)), t)));
  box.replaceChildren(
    el("div", { class: "row phases" }, el("div", { class: "side" }, "Phases"), track),
    el("div", { class: "row" }, el("div", { class: "side" }, el("h3", {}, "Load"), el("span", { class: "dim" }, plan.load.length ? `up to ${short(plan.top)} a second` : "not known yet")), load),
    ...lanes,
    el("div", { class: "row axis-row" }, el("div", { class: "side" }), marks));
  if (held) box.querySelector(`[data-hold="${CSS.escape(held)}"]`)?.focus();
}

const spoken = (one) => `${letter(one.index)} ${one.text} on ${one.on}, from ${clock(one.begins)} to ${clock(one.ends)}`;

function area(plan) {
  const svg = el("svg", { viewBox: "0 0 1000 100", preserveAspectRatio: "none", class: "load-line", "aria-hidden": "true" });
  if (plan.load.length) {
    const y = (v) => 97 - (92 * v) / (plan.top || 1);
    const line = plan.load.map(([t, v], n) => `${n ? "L" : "M"}${((1000 * t) / plan.seconds).toFixed(1)} ${y(v).toFixed(1)}`).join("");
    svg.append(el("path", { class: "fill", d: `${line}L1000 100L0 100Z` }), el("path", { class: "line", d: line }));
  }
  return svg;
}

/** Drag with the pointer or with keys; `done(begins, ends)` once, when it is let go. */
function grip(bar, row, one, plan, part, hands) {
  const [low, high] = plan.phases.fault;
  let { begins, ends } = one, timer = 0;
  const step = high - low < 20 ? 0.5 : 1;
  const put = () => {
    bar.style.left = part(begins); bar.style.width = part(ends - begins);
    bar.firstChild.textContent = clock(ends - begins);
    bar.setAttribute("aria-label", spoken({ ...one, begins, ends }));
  };
  const set = (a, b, whole) => {
    const snap = (t) => Math.round(t / step) * step;
    a = snap(a); b = snap(b);
    if (whole) { const long = ends - begins; a = Math.max(low, Math.min(a, high - long)); b = a + long; }
    else { a = Math.max(low, Math.min(a, b - step)); b = Math.min(high, Math.max(b, a + step)); }
    begins = a; ends = b;
    put();
  };
  const done = () => { if (begins !== one.begins || ends !== one.ends) hands.moved(one.index, begins, ends); };
  bar.addEventListener("pointerdown", (event) => {
    const box = bar.getBoundingClientRect(), scale = plan.seconds / row.getBoundingClientRect().width;
    const edge = Math.min(EDGE, box.width / 4);
    const side = event.clientX - box.left < edge ? "a" : box.right - event.clientX < edge ? "b" : "";
    const from = event.clientX, a = begins, b = ends;
    bar.setPointerCapture(event.pointerId);
    const move = (e) => { const by = (e.clientX - from) * scale; if (side === "a") set(a + by, b); else if (side === "b") set(a, b + by); else set(a + by, b + by, true); };
    bar.addEventListener("pointermove", move);
    bar.addEventListener("pointerup", () => { bar.removeEventListener("pointermove", move); done(); }, { once: true });
  });
  bar.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way) return;
    event.preventDefault();
    const by = way * (event.shiftKey ? 10 : step);
    if (event.altKey) set(begins, ends + by); else set(begins + by, ends + by, true);
    clearTimeout(timer);
    timer = setTimeout(done, 400);
  });
}

function border(name, a, b, plan, part, hands, track) {
  let end = b, timer = 0;
  const made = el("div", { class: "border", role: "slider", tabindex: 0, "data-hold": `phase ${name}`, "aria-label": `Length of ${name}`, "aria-valuemin": 0, "aria-valuenow": b - a, "aria-valuetext": `${clock(b - a)}` });
  made.style.left = part(b);
  const set = (to) => {
    end = Math.max(a + (name === "warm-up" ? 0 : 1), Math.round(to));
    made.style.left = part(Math.min(end, plan.seconds));
    made.setAttribute("aria-valuenow", end - a);
    made.setAttribute("aria-valuetext", clock(end - a));
    made.dataset.said = `${name} ${clock(end - a)}`;
  };
  const done = () => { delete made.dataset.said; if (end !== b) hands.lasting(name, end - a); };
  made.addEventListener("pointerdown", (event) => {
    const from = event.clientX, scale = plan.seconds / track.getBoundingClientRect().width;
    made.setPointerCapture(event.pointerId);
    const move = (e) => set(b + (e.clientX - from) * scale);
    made.addEventListener("pointermove", move);
    made.addEventListener("pointerup", () => { made.removeEventListener("pointermove", move); done(); }, { once: true });
  });
  made.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way) return;
    event.preventDefault();
    set(end + way * (event.shiftKey ? 10 : 1));
    clearTimeout(timer);
    timer = setTimeout(done, 400);
  });
  return made;
}

/** Whether it can tell, what is unwise, what must hold. */
export function drawNotes(box, word, plan) {
  word.textContent = plan ? `${clock(plan.seconds)} long${plan.rate ? `, ${count(plan.rate, 1)} a second in the baseline` : ""}` : "";
  if (!plan) { box.replaceChildren(); return; }
  const parts = [];
  if (plan.streams) {
    const yes = plan.long_enough;
    const warnings = [...plan.cautions, ...plan.streams.filter((one) => one.advice && one.matters).map((one) => one.advice)];
    parts.push(el("section", { class: "card", "aria-label": "What it can tell" },
      el("div", { class: "cardhead" }, el("h2", {}, "What it can tell"), el("span", { class: `word ${yes ? "ok" : "warn"}` }, yes ? "✓ long enough" : "! too short to be sure")),
      el("div", { class: "wide" }, el("table", { class: "list tells" },
        el("thead", {}, el("tr", {}, el("th", {}, "Calls of"), el("th", { class: "r" }, "A second"), el("th", { class: "r opt" }, "Baseline"), el("th", { class: "r" }, "Fault"), el("th", { class: "r opt" }, "Tail"), el("th", { class: "r" }, "Sees losses from"))),
        el("tbody", {}, plan.streams.map((one) => el("tr", {}, el("td", { class: "name" }, one.name), el("td", { class: "r" }, count(one.rate, 1)), el("td", { class: "r opt" }, count(one.calls.baseline)), el("td", { class: "r" }, count(one.calls.fault)), el("td", { class: "r opt" }, count(one.calls.tail)), el("td", { class: "r" }, one.sees >= 1 ? "nothing" : share(one.sees))))))),
      warnings.length ? el("ul", { class: "body cautions" }, warnings.map((text) => el("li", {}, text))) : null));
  }
  if (plan.holds.length) {
    parts.push(el("section", { class: "card", "aria-label": "What must hold" }, el("h2", {}, "What must hold"),
      el("dl", { class: "body facts-list" }, plan.holds.flatMap(([what, text]) => [el("dt", {}, what), el("dd", {}, text)]))));
  }
  box.replaceChildren(...parts);
}
