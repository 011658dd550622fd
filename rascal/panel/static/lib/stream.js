// One stream of events a page: resumes by itself, closes while the page is hidden, says when it is lost.
import { lever, renew, token } from "../shell.js";

const HIDDEN = 60_000; // a page hidden for longer lets its connection go
const SILENT = 45_000; // signs of life come every 15 s

/** Events over fetch, for a node's own page whose token no EventSource can send. */
class Fetched extends EventTarget {
  constructor(path) {
    super();
    this.readyState = EventSource.CONNECTING;
    this.ending = new AbortController();
    this.read(path).catch(() => {}).finally(() => { if (this.readyState !== EventSource.CLOSED) { this.readyState = EventSource.CLOSED; this.onerror?.(); } });
  }
  async read(path) {
    const reply = await fetch(path, { headers: { Accept: "text/event-stream", Authorization: `Bearer ${token()}` }, signal: this.ending.signal });
    if (!reply.ok) return;
    this.readyState = EventSource.OPEN;
    this.onopen?.();
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "", kind = "message", data = [], id = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith("event: ")) kind = line.slice(7);
        else if (line.startsWith("data: ")) data.push(line.slice(6));
        else if (line.startsWith("id: ")) id = line.slice(4);
        else if (!line) { if (data.length) this.dispatchEvent(new MessageEvent(kind, { data: data.join("\n"), lastEventId: id })); kind = "message"; data = []; }
      }
    }
  }
  close() { this.readyState = EventSource.CLOSED; this.ending.abort(); }
}

/**
 * Listen to `path`. `hear` has a function for each kind of event; `link(state)` is told "live" or "lost".
 * Gives a function that ends it.
 */
export function listen(path, hear, link = () => {}) {
  let source = null, hidden = 0, again = 0, last = "", heard = 0;
  const mark = (event) => { heard = Date.now(); if (event.lastEventId) last = event.lastEventId; };
  const always = {
    snapshot(data) { renew(data.csrf); lever(data.lever); },
    lever(data) { lever(data.all ?? data); },
  };
  const open = () => {
    clearTimeout(again);
    source?.close();
    heard = Date.now();
    const join = path.includes("?") ? "&" : "?";
    const where = last ? `${path}${join}after=${encodeURIComponent(last)}` : path;
    source = token() ? new Fetched(where) : new EventSource(where);
    source.onopen = () => { heard = Date.now(); link("live"); };
    source.onerror = () => {
      link("lost");
      if (source.readyState === EventSource.CLOSED) { clearTimeout(again); again = setTimeout(open, 2000); } // refused: the panel restarts, or the log-in has ended
    };
    source.onmessage = mark;
    for (const kind of new Set([...Object.keys(hear), ...Object.keys(always)])) {
      source.addEventListener(kind, (event) => {
        mark(event);
        const data = JSON.parse(event.data);
        always[kind]?.(data);
        hear[kind]?.(data);
      });
    }
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
