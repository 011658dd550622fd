// One stream of events a page: resumes by itself, closes while the page is hidden, says when it is lost.
import { renew } from "../shell.js";

const HIDDEN = 60_000; // a page hidden for longer lets its connection go
const SILENT = 45_000; // signs of life come every 15 s

/**
 * Listen to `path`. `hear` has a function for each kind of event; `link(state)` is told "live" or "lost".
 * Gives a function that ends it.
 */
export function listen(path, hear, link = () => {}) {
  let source = null, hidden = 0, again = 0, last = "", heard = 0;
  const mark = (event) => { heard = Date.now(); if (event.lastEventId) last = event.lastEventId; };
  const open = () => {
    clearTimeout(again);
    source?.close();
    heard = Date.now();
    const join = path.includes("?") ? "&" : "?";
    source = new EventSource(last ? `${path}${join}after=${encodeURIComponent(last)}` : path);
    source.onopen = () => { heard = Date.now(); link("live"); };
    source.onerror = () => {
      link("lost");
      if (source.readyState === EventSource.CLOSED) again = setTimeout(open, 2000); // refused: the panel restarts, or the log-in has ended
    };
    source.onmessage = mark;
    for (const [kind, tell] of Object.entries(hear)) {
      source.addEventListener(kind, (event) => {
        mark(event);
        const data = JSON.parse(event.data);
        if (kind === "snapshot") renew(data.csrf);
        tell(data);
      });
    }
    if (!hear.snapshot) source.addEventListener("snapshot", (event) => { mark(event); renew(JSON.parse(event.data).csrf); });
  };
  const seen = () => {
    clearTimeout(hidden);
    if (document.hidden) hidden = setTimeout(() => { source?.close(); source = null; }, HIDDEN);
    else if (!source) open();
  };
  document.addEventListener("visibilitychange", seen);
  // Comments do not reach us; a stream that told nothing at all may still live, so it is only opened anew.
  const watch = setInterval(() => { if (source && source.readyState === EventSource.OPEN && Date.now() - heard > SILENT && !document.hidden) open(); }, 15_000);
  open();
  return () => { clearTimeout(again); clearTimeout(hidden); clearInterval(watch); document.removeEventListener("visibilitychange", seen); source?.close(); };
}
