// A planned fault on its lane: dragged, resized, moved by keys, taken out. One request, when it is let go.
import { clock } from "../lib/format.js";
import { going, now, store, title } from "./store.js";
import { Dialog, api, attempt, html, may, outside, place, useState } from "./use.js";

const NEAR = 4; // seconds before its moment a fault has been told of it
const EDGE = 11; // pixels at an end that resize

export const movable = (span) => span.kind === "planned" && going() && store.run.kind === "experiment" && may("operator") && span.from > now() + NEAR;
const limits = () => {
  const phase = store.phases.find((one) => one.kind === "fault");
  return [Math.max(phase?.from ?? 0, Math.ceil(now() + NEAR)), phase?.to ?? store.view.max];
};
/** Keep it within its phase; with a length, that stays. */
const clamp = ([from, to], length) => {
  const [least, most] = limits();
  if (length) { const a = Math.min(Math.max(least, from), Math.max(least, most - length)); return [a, Math.min(most, a + length)]; }
  const a = Math.max(least, Math.min(from, to - 1));
  return [a, Math.min(most, Math.max(to, a + 1))];
};
const seconds = (text) => {
  const found = /^\s*(?:(\d+):)?(\d{1,5}(?:\.\d+)?)\s*s?\s*$/.exec(text);
  return found ? 60 * Number(found[1] ?? 0) + Number(found[2]) : NaN;
};

const change = (fault, [from, to]) => attempt(`${title(fault)} is planned for ${clock(from)} to ${clock(to)}`, "PATCH", api(`/faults/${fault.id}`), { planned: [from, to] });
const remove = (fault) => attempt(`${title(fault)} is taken out of the plan`, "DELETE", api(`/faults/${fault.id}`));

function Times({ fault, span, onClose }) {
  const [from, setFrom] = useState(clock(span.from)), [to, setTo] = useState(clock(span.to)), [wrong, setWrong] = useState("");
  const [least, most] = limits();
  const save = async () => {
    const next = [seconds(from), seconds(to)];
    if (!next.every(Number.isFinite)) return setWrong("A time is minutes and seconds, such as 1:30.");
    if (next[1] <= next[0]) return setWrong("It ends after it has begun.");
    if (next[0] < least || next[1] > most) return setWrong(`Here it can last from ${clock(least)} to ${clock(most)}.`);
    try { await change(fault, next); onClose(); } catch { onClose(); }
    return undefined;
  };
  const take = async () => { try { await remove(fault); } catch { /* said */ } onClose(); };
  const field = (id, label, value, set) => html`<div class="field"><label for=${id}>${label}</label><div class="in"><input id=${id} class="num" value=${value} aria-describedby="times-error" aria-invalid=${wrong ? "true" : undefined}
    onInput=${(event) => { set(event.target.value); setWrong(""); }}/><span class="unit">min:s</span></div></div>`;
  return html`<${Dialog} title=${`Planned fault ${fault.id}`} lead=${`${title(fault)}, on ${fault.proxy}.`} onClose=${onClose}>
    <div class="pair">${field("times-from", "Begins at", from, setFrom)}${field("times-to", "Ends at", to, setTo)}</div>
    <p class="error" id="times-error" role="alert">${wrong}</p>
    <div class="acts"><button type="button" class="btn danger left" onClick=${take}>Take out</button><button class="btn" value="cancel" formnovalidate>Cancel</button>
      <button type="submit" class="btn main" onClick=${save}>Save</button></div></${Dialog}>`;
}

export function Planned({ fault, span }) {
  const [edit, setEdit] = useState(null), [open, setOpen] = useState(false);
  const [from, to] = edit ?? [span.from, span.to], free = movable(span);
  const commit = (next) => change(fault, next).catch(() => {}).finally(() => setEdit(null));
  const down = (event) => {
    if (!free || event.button > 0) return;
    const bar = event.currentTarget, box = bar.getBoundingClientRect(), track = bar.parentElement.getBoundingClientRect();
    const per = (store.view.max - store.view.min) / track.width, begin = event.clientX, edge = Math.min(EDGE, box.width / 3);
    const mode = event.clientX - box.left < edge ? "from" : box.right - event.clientX < edge ? "to" : "move";
    let next = [from, to];
    bar.setPointerCapture(event.pointerId);
    bar.dataset.moved = "";
    bar.onpointermove = (move) => {
      if (Math.abs(move.clientX - begin) > 3) bar.dataset.moved = "1";
      const by = Math.round((move.clientX - begin) * per);
      next = mode === "move" ? clamp([from + by, to + by], to - from) : clamp(mode === "from" ? [from + by, to] : [from, to + by]);
      setEdit(next);
    };
    const end = () => {
      bar.onpointermove = bar.onpointerup = bar.onpointercancel = null;
      if (next[0] !== from || next[1] !== to) commit(next); else setEdit(null);
    };
    bar.onpointerup = end;
    bar.onpointercancel = () => { next = [from, to]; end(); };
  };
  const key = (event) => {
    if (!free) return;
    if (event.key === "Delete" || event.key === "Backspace") { event.preventDefault(); remove(fault).catch(() => {}); return; }
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key] * (event.shiftKey ? 10 : 1);
    if (!by) return;
    event.preventDefault();
    const next = event.altKey ? clamp([from, to + by]) : clamp([from + by, to + by], to - from);
    setEdit(next);
    commit(next);
  };
  const click = (event) => { if (free && !event.currentTarget.dataset.moved) setOpen(true); };
  if (outside(from, to)) return null;
  return html`<button type="button" class=${`span planned ${free ? "" : "fixed"} ${edit ? "editing" : ""}`} style=${place(from, to)} onPointerDown=${down} onKeyDown=${key} onClick=${click} disabled=${!free}
    aria-label=${`${title(fault)} on ${fault.proxy}, planned ${clock(from)} to ${clock(to)}.${free ? " Arrow keys move it, Shift by ten seconds, Alt moves the end, Delete takes it out, Enter asks for times." : ""}`}
    title=${`${clock(from)}–${clock(to)}`}><span class="lbl num">${edit ? `${clock(from)}–${clock(to)}` : "planned"}</span></button>
    ${open && html`<${Times} fault=${fault} span=${span} onClose=${() => setOpen(false)}/>`}`;
}
