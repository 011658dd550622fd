// The load over time, drawn as it is typed: a filled line over seconds, in plain SVG.
import { clock, short } from "./lib/format.js";
import { el } from "./lib/ask.js";

const HEIGHT = 150, LEFT = 38, RIGHT = 8, TOP = 10, FOOT = 20;

/** Steps of an axis: at most `most`, of round numbers. */
export function ticks(top, most, bases = [1, 2, 5, 10]) {
  if (!(top > 0)) return [0];
  const raw = top / most, power = 10 ** Math.floor(Math.log10(raw));
  const step = bases.map((one) => one * power).find((one) => one >= raw) ?? 10 * power;
  const found = [];
  for (let at = 0; at <= top * 1.0001; at += step) found.push(+at.toPrecision(12));
  return found;
}
const ROUND = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
/** The same for times. */
export const times = (seconds, most) => {
  const step = ROUND.find((one) => seconds / one <= most) ?? 86400;
  return Array.from({ length: Math.floor(seconds / step + 1.0001) }, (_, n) => n * step);
};

/** Draw `plan` ({points, drawn, seconds, top, users}) into `box`. */
export function drawProfile(box, plan) {
  const width = Math.max(220, box.clientWidth);
  const points = plan?.points ?? [];
  const svg = el("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true" });
  const seconds = plan?.drawn || 60, steps = ticks(plan?.top || 1, 4);
  const top = Math.max(plan?.top || 1, steps[steps.length - 1]) * 1.04;
  const x = (t) => LEFT + (t / seconds) * (width - LEFT - RIGHT);
  const y = (v) => HEIGHT - FOOT - (v / top) * (HEIGHT - TOP - FOOT);
  for (const step of steps) {
    svg.append(el("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(step), y2: y(step) }));
    if (points.length) svg.append(el("text", { x: LEFT - 6, y: y(step) + 4, "text-anchor": "end" }, short(step)));
  }
  const marks = times(seconds, Math.max(2, Math.floor(width / 80)));
  for (const at of marks) {
    const near = x(at) > width - RIGHT - 14;
    svg.append(el("text", { x: x(at), y: HEIGHT - 5, "text-anchor": at === 0 ? "start" : near ? "end" : "middle" }, clock(at)));
  }
  if (points.length) {
    const line = points.map(([t, v], n) => `${n ? "L" : "M"}${x(t).toFixed(1)} ${y(v).toFixed(1)}`).join("");
    const last = points[points.length - 1];
    svg.append(el("path", { class: "fill", d: `${line}L${x(last[0]).toFixed(1)} ${y(0)}L${x(points[0][0]).toFixed(1)} ${y(0)}Z` }));
    svg.append(el("path", { class: "line", d: line }));
    if (plan.seconds == null) svg.append(el("text", { class: "on", x: width - RIGHT - 2, y: TOP + 2, "text-anchor": "end" }, "goes on"));
  }
  box.replaceChildren(svg);
}
