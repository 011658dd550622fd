// Parts of a page that the server draws anew: fetched as a page, put in place; nothing is built from strings.
import { times } from "./format.js";

/** "25 Nov 2026, 08:12:07 UTC" in the reader's zone, wherever the server wrote a moment. */
export function moments(root = document) {
  const parts = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
  const near = new Intl.DateTimeFormat("en-GB", parts), far = new Intl.DateTimeFormat("en-GB", { ...parts, year: "numeric" });
  const year = new Date().getFullYear();
  for (const one of root.querySelectorAll("[data-moment]")) {
    const at = new Date(Number(one.dataset.moment) * 1000);
    one.textContent = (at.getFullYear() === year ? near : far).format(at);
  }
  times(root);
}

/** The page at `path` (this one without it) as a document that runs nothing. */
export const page = (path = location.href) => new Promise((done, failed) => {
  const ask = new XMLHttpRequest();
  ask.open("GET", path);
  ask.responseType = "document";
  ask.timeout = 15000;
  ask.onload = () => (ask.status === 200 && ask.response ? done(ask.response) : failed(new Error(`status ${ask.status}`)));
  ask.onerror = ask.ontimeout = () => failed(new Error("the panel does not answer"));
  ask.send();
});

/** Draw the elements with these ids anew; the focus stays where it was, if it can. */
export async function refresh(...ids) {
  const fresh = await page();
  for (const id of ids) {
    const old = document.getElementById(id), made = fresh.getElementById(id);
    if (!old || !made) continue;
    const had = old.contains(document.activeElement) ? document.activeElement : null;
    const same = had && ["data-stop", "data-cancel", "data-tend", "value", "href"].map((name) => [name, had.getAttribute(name)]).find(([, value]) => value);
    old.replaceWith(document.adoptNode(made));
    moments(made);
    if (same) [...made.querySelectorAll(`[${same[0]}]`)].find((one) => one.getAttribute(same[0]) === same[1])?.focus();
  }
}

/** refresh(…ids), at most once in `rest` ms, also if it is asked for more often. */
export function refresher(ids, rest = 1000, then = () => {}) {
  let timer = 0, busy = false, again = false;
  const go = async () => {
    timer = 0; busy = true;
    try { await refresh(...ids); then(); } catch { /* the stream says when the panel is away */ }
    busy = false;
    if (again) { again = false; ask(); }
  };
  const ask = () => { if (busy) again = true; else if (!timer) timer = setTimeout(go, rest); };
  return ask;
}
