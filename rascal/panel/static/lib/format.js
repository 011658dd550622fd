// How numbers and times are written, the same on every page.

/** 1234567 -> "1,234,567"; small ones keep `digits` places. */
export const count = (n, digits = 0) => (n == null || Number.isNaN(n) ? "–" : n.toLocaleString("en", { maximumFractionDigits: digits }));
/** A rate with as many places as tell something. */
export const rate = (n) => count(n, n != null && Math.abs(n) < 10 ? 1 : 0);
/** 12345 -> "12.3k". */
export const short = (n) => (n == null ? "–" : n < 1000 ? String(Math.round(n)) : n < 1e6 ? `${+(n / 1e3).toPrecision(3)}k` : `${+(n / 1e6).toPrecision(3)}M`);
/** Milliseconds with their unit: "0.8 ms", "118 ms", "1.24 s". */
export const ms = (n) => (n == null ? "–" : n < 10 ? `${n.toFixed(1)} ms` : n < 1000 ? `${Math.round(n)} ms` : `${(n / 1000).toPrecision(3)} s`);
export const share = (x, digits = 0) => (x == null ? "–" : `${(100 * x).toFixed(digits)} %`);
/** Bytes: "14.2 kB". */
export const bytes = (n) => (n == null ? "–" : n < 1000 ? `${n} B` : n < 1e6 ? `${+(n / 1e3).toPrecision(3)} kB` : `${+(n / 1e6).toPrecision(3)} MB`);
/** Seconds of a run: "3:16", "1:02:05". */
export const clock = (s) => {
  const t = Math.max(0, Math.floor(s)), h = Math.floor(t / 3600), two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(Math.floor(t / 60) % 60)}:${two(t % 60)}` : `${Math.floor(t / 60)}:${two(t % 60)}`;
};
/** A length of time in words: "24 s", "3 min 16 s", "2 h". */
export const span = (s) => {
  if (s == null) return "–";
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 60) return `${+s.toFixed(s < 10 ? 1 : 0)} s`;
  const m = Math.floor(s / 60), h = Math.floor(m / 60);
  return h ? `${h} h${m % 60 ? ` ${m % 60} min` : ""}` : `${m} min${Math.floor(s % 60) ? ` ${Math.floor(s % 60)} s` : ""}`;
};
/** How long ago (seconds since the epoch). */
export const ago = (at, now = Date.now() / 1000) => {
  const s = Math.max(0, now - at);
  return s < 10 ? "just now" : s < 86400 ? `${span(s < 60 ? Math.round(s) : s < 3600 ? 60 * Math.floor(s / 60) : 3600 * Math.floor(s / 3600))} ago` : `${Math.floor(s / 86400)} d ago`;
};
/** The moment itself, with its zone. */
export const moment = (at) => new Date(at * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium", timeZone: undefined }) + ` ${zone(at)}`;
const zone = (at) => new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" }).formatToParts(new Date(at * 1000)).find((p) => p.type === "timeZoneName").value;

/** Fill <time data-at="SECONDS"> written by the server: relative, the moment itself as its title. */
export function times(root = document) {
  for (const one of root.querySelectorAll("time[data-at]")) {
    const at = Number(one.dataset.at);
    one.textContent = ago(at);
    one.title = moment(at);
  }
}
