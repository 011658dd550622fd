// Charts over one axis: a set of uPlot canvases that share scale, crosshair and theme.
// Numbers never pass through the virtual DOM; colours are read from the tokens when something is drawn.
import uPlot from "../vendor/uplot.js";
import { clock } from "./format.js";

let tokens = new Map(), sets = 0;
addEventListener("themechange", () => { tokens = new Map(); });
matchMedia("(forced-colors: active)").addEventListener("change", () => { tokens = new Map(); });
/** The value of a token; remembered until the theme changes. */
export const css = (name) => {
  if (!tokens.has(name)) tokens.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return tokens.get(name);
};
const ratio = () => devicePixelRatio || 1;

// ---- how a series looks

export const line = (token, extra = {}) => ({ stroke: () => css(token), width: 1.75, points: { show: false }, ...extra });
export const area = (token, fill = () => css(`${token}-fill`), extra = {}) => ({ stroke: () => css(token), width: 1, points: { show: false }, fill, ...extra });
/** A fill of slanted lines; `cross` slants them both ways. */
export const hatched = (token, { cross = false, back = false } = {}) => (u) => {
  const key = `hatch ${token} ${cross} ${back} ${ratio()}`;
  if (!tokens.has(key)) {
    const tile = document.createElement("canvas"), r = ratio(), n = Math.round(6 * r);
    tile.width = tile.height = n;
    const x = tile.getContext("2d");
    x.strokeStyle = css(token); x.lineWidth = 1.4 * r;
    for (const d of [-n, 0, n]) {
      if (!back || cross) { x.beginPath(); x.moveTo(d, n); x.lineTo(d + n, 0); x.stroke(); }
      if (back || cross) { x.beginPath(); x.moveTo(d, 0); x.lineTo(d + n, n); x.stroke(); }
    }
    tokens.set(key, u.ctx.createPattern(tile, "repeat"));
  }
  return tokens.get(key);
};
/** The columns one upon the other, the last at the bottom: [a+b+c, b+c, c]. */
export function stack(...columns) {
  const found = [];
  let below = null;
  for (const column of columns.reverse()) {
    const under = below;
    below = under ? column.map((v, i) => (v ?? 0) + under[i]) : column.map((v) => v ?? 0);
    found.unshift(below);
  }
  return found;
}

// ---- what is painted beside the series

const inside = (u, paint) => {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath(); ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height); ctx.clip();
  paint(ctx, bbox, ratio());
  ctx.restore();
};
/** A stretch of time, in a colour. */
export const tint = (u, from, to, token, alpha = 1) => inside(u, (ctx, box, r) => {
  const a = u.valToPos(from, "x", true), b = u.valToPos(to, "x", true);
  ctx.globalAlpha = alpha; ctx.fillStyle = css(token);
  ctx.fillRect(a, box.top, Math.max(r, b - a), box.height);
});
/** An upright line, and a word at its top. */
export const upright = (u, x, token, { dash = [], label = "", alpha = 1, width = 1, low = false } = {}) => inside(u, (ctx, box, r) => {
  const at = Math.round(u.valToPos(x, "x", true)) + 0.5;
  ctx.globalAlpha = alpha; ctx.strokeStyle = ctx.fillStyle = css(token); ctx.lineWidth = width * r;
  ctx.setLineDash(dash.map((d) => d * r));
  ctx.beginPath(); ctx.moveTo(at, box.top); ctx.lineTo(at, box.top + box.height); ctx.stroke();
  if (!label) return;
  ctx.font = `700 ${10.5 * r}px ${css("sans")}`;
  ctx.textBaseline = low ? "bottom" : "top";
  const right = at + ctx.measureText(label).width + 8 * r < box.left + box.width;
  ctx.textAlign = right ? "left" : "right";
  ctx.fillText(label, at + (right ? 5 : -5) * r, low ? box.top + box.height - 4 * r : box.top + 4 * r);
});
/** A level, such as an objective's limit. */
export const across = (u, y, token, dash = [2, 3]) => inside(u, (ctx, box, r) => {
  const at = Math.round(u.valToPos(y, "y", true)) + 0.5;
  ctx.strokeStyle = css(token); ctx.setLineDash(dash.map((d) => d * r)); ctx.lineWidth = r;
  ctx.beginPath(); ctx.moveTo(box.left, at); ctx.lineTo(box.left + box.width, at); ctx.stroke();
});
/** From the least to the most, where rows stand for many seconds. */
export const between = (u, xs, lows, highs, token) => inside(u, (ctx) => {
  const { min, max } = u.scales.x, log = u.scales.y.distr === 3;
  const y = (v) => u.valToPos(log ? Math.max(v, u.scales.y.min) : v, "y", true);
  let path = [];
  const close = () => {
    if (path.length > 1) {
      ctx.beginPath();
      path.forEach((i) => ctx.lineTo(u.valToPos(xs[i], "x", true), y(highs[i])));
      path.reverse().forEach((i) => ctx.lineTo(u.valToPos(xs[i], "x", true), y(lows[i])));
      ctx.fill();
    }
    path = [];
  };
  ctx.globalAlpha = 0.22; ctx.fillStyle = css(token);
  for (let i = 0; i < xs.length; i += 1) {
    if (i + 1 < xs.length && xs[i + 1] < min) continue;
    if (lows[i] == null || highs[i] == null) close(); else path.push(i);
    if (xs[i] > max) break;
  }
  close();
});

// ---- a set of charts

/** Charts that share the x axis. `about`: view() → [min, max]; zoom, whole, cursor, under, over, x as far as wanted. */
export function chartSet(about) {
  const charts = new Set(), key = `set-${(sets += 1)}`, words = about.x ?? clock;
  const first = () => charts.values().next().value;
  const set = {
    charts,
    /** New numbers. */
    draw() { for (const u of charts) u.setData(u.about.data(), true); },
    /** The same numbers, painted anew. */
    paint() { for (const u of charts) u.redraw(false, true); },
    /** Move the crosshair of all; null takes it away. */
    point(x) {
      const u = first();
      if (!u) return;
      const at = x == null ? { left: -10, top: -10 } : { left: u.valToPos(x, "x"), top: 10 };
      for (const one of charts) one.setCursor(at);
      about.cursor?.(x, at.left);
    },
    add(root, chart) {
      const axis = { stroke: () => css("text-3"), font: `11px ${css("sans")}`, grid: { stroke: () => css("grid"), width: 1 }, ticks: { show: false } };
      const size = () => ({ width: Math.max(40, root.clientWidth), height: chart.height });
      const u = new uPlot({
        ...size(), legend: { show: false }, padding: [8, 0, chart.xaxis ? 0 : 8, 0],
        cursor: {
          sync: { key, setSeries: false }, y: false, drag: { x: Boolean(about.zoom), y: false, setScale: false },
          points: { size: 6, width: 1.5, stroke: (one, i) => (typeof one.series[i].stroke === "function" ? one.series[i].stroke(one, i) : css("text")), fill: () => css("surface") },
        },
        scales: { x: { time: false, range: () => about.view() }, y: chart.y ?? {} },
        axes: [
          { ...axis, show: Boolean(chart.xaxis), size: 26, gap: 6, space: 56, incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800],
            values: (one, values) => values.map((v) => (v <= one.scales.x.min ? "" : words(v))) },
          { ...axis, side: 1, size: 46, gap: 6, space: 30, ...(chart.ticks && { splits: (one) => (typeof chart.ticks === "function" ? chart.ticks(one) : chart.ticks), filter: (one, splits) => splits }),
            values: (one, values) => values.map(chart.fmt ?? ((v) => (v >= 1000 ? `${v / 1000}k` : v))) },
        ],
        series: chart.series, bands: chart.bands,
        hooks: {
          drawClear: [(one) => about.under?.(one, chart)],
          draw: [(one) => about.over?.(one, chart)],
          setCursor: [(one) => { const { idx, left } = one.cursor; about.cursor?.(left < 0 || idx == null ? null : one.data[0][idx], left); }],
          setSelect: [(one) => {
            const { left, width } = one.select;
            if (width > 4) about.zoom?.(one.posToVal(left, "x"), one.posToVal(left + width, "x"));
            one.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          }],
        },
      }, chart.data(), root);
      u.about = chart;
      u.over.addEventListener("dblclick", () => about.whole?.());
      u.root.setAttribute("aria-hidden", "true"); // legend, announcements and tables carry the numbers
      charts.add(u);
      const repaint = () => u.redraw(false, true);
      let width = root.clientWidth;
      const watch = new ResizeObserver(() => { if (root.clientWidth !== width) { width = root.clientWidth; u.setSize(size()); } });
      watch.observe(root);
      addEventListener("themechange", repaint);
      return () => { charts.delete(u); watch.disconnect(); removeEventListener("themechange", repaint); u.destroy(); };
    },
  };
  return set;
}

/** Arrow keys move the crosshair by a step (Shift: ten), Home and End jump, Escape leaves. Gives the new place, null, or undefined for other keys. */
export function keys(event, set, { at, step = 1, least, most }) {
  const by = step * (event.shiftKey ? 10 : 1);
  const next = { ArrowLeft: at - by, ArrowRight: at + by, Home: least, End: most, Escape: null }[event.key];
  if (next === undefined) return undefined;
  event.preventDefault();
  const place = next === null ? null : Math.min(Math.max(next, least), most);
  set.point(place);
  return place;
}
