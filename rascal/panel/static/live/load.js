// How much load is asked for, and the change of it: a stepper for one share, a dialog for several.
import { count } from "../lib/format.js";
import { going, now, store } from "./store.js";
import { Dialog, api, attempt, html, may, reason, send, say, useEffect, useRef, useState, useTopics } from "./use.js";

const MOST = 1_000_000, LATE = 3; // seconds until a change takes effect
const closed = (share) => /\busers?\b/.test(share.profile);
const unitOf = (share) => (closed(share) ? "users" : "req/s");
const step = (n) => { const size = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, n))) - 1); return n >= 5 * 10 * size ? 5 * size : size; };

/** The shares that can be changed. */
const shares = () => (store.plan?.shares?.length ? store.plan.shares : (store.run.spec?.shares ?? []).filter((one) => one.profile));
/** "hold 450/s for 2m 3s": from now until the load would have ended anyhow. */
function profile(share, level) {
  const ends = store.plan?.ends ?? store.state.ends, left = ends != null && store.run.kind === "load" ? Math.floor(ends - now()) - LATE : 0;
  return `hold ${closed(share) ? `${Math.round(level)} users` : `${level}/s`}${left > 0 ? ` for ${left}s` : ""}`;
}

/** What is asked for until the server has it; then what the server says. */
function useLevel() {
  const { rate, users } = store.state, several = shares().length !== 1, one = shares()[0];
  const told = one && closed(one) ? users : rate;
  const [wanted, setWanted] = useState(null);
  useEffect(() => { if (wanted !== null && Math.abs(wanted - told) < 0.01) setWanted(null); }, [told]);
  return { one, several, told, wanted, setWanted };
}

async function ask(profiles, said) {
  try {
    const answer = await send("POST", api("/change"), profiles);
    say(answer?.taken === false ? `${said}: asked for, but the run has not answered yet` : said, answer?.taken === false);
    return true;
  } catch (error) {
    say(`Not changed. ${reason(error)}`, true);
    return false;
  }
}

export function Load() {
  useTopics("state", "phases", "ready");
  const { one, several, told, wanted, setWanted } = useLevel();
  const [dialog, setDialog] = useState(null), [typed, setTyped] = useState(null), timer = useRef(0), pending = useRef(null);
  if (!going() || !shares().length) return null;
  const { rate, users } = store.state, words = rate && users ? `${count(rate)} req/s, ${count(users)} users` : users ? `${count(users)} users` : `${count(rate, 1)} req/s`;
  if (several || !may("operator")) {
    return html`<div class="stepper"><span>Load</span><b class="num level">${words}</b>${may("operator") && html`<button type="button" class="text" onClick=${() => setDialog("shares")}>Change</button>`}</div>
      ${dialog && html`<${Shares} onClose=${() => setDialog(null)}/>`}`;
  }
  const level = pending.current ?? wanted ?? told, unit = unitOf(one);
  const go = async (next, force = false) => {
    pending.current = null;
    if (store.run.kind === "experiment" && !force) { setWanted(null); setDialog({ next }); return; }
    setWanted(next);
    const done = await ask({ profile: profile(one, next), ...(force && { force: true }) }, `Load will be ${count(next, 1)} ${closed(one) ? "users" : "requests per second"}`);
    if (!done) setWanted(null);
  };
  // Several steps within a moment are one change.
  const soon = (next) => {
    const value = Math.min(MOST, Math.max(0, closed(one) ? Math.round(next) : +next.toFixed(2)));
    pending.current = value;
    setWanted(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => go(value), 450);
  };
  const enter = (event) => { const value = Number(event.target.value); setTyped(null); if (event.target.value.trim() && Number.isFinite(value) && value !== level) soon(value); };
  return html`<div class=${`stepper ${wanted !== null ? "waits" : ""}`}><span aria-hidden="true">Load</span>
      <input type="number" inputmode="decimal" aria-label=${`Load, ${closed(one) ? "users" : "requests per second"}`} value=${typed ?? +(level ?? 0).toFixed(1)} min="0" max=${MOST} step="any"
        onInput=${(event) => setTyped(event.target.value)} onChange=${enter} onKeyDown=${(event) => { if (event.key === "Enter") event.target.blur(); }}/>
      <span class="dim" aria-hidden="true">${unit}</span>
      <button type="button" aria-label="Less load" title=${`${count(step(level))} less`} onClick=${() => soon(level - step(level))}>−</button>
      <button type="button" aria-label="More load" title=${`${count(step(level))} more`} onClick=${() => soon(level + step(level))}>+</button></div>
    ${dialog && html`<${Sure} next=${dialog.next} unit=${unit} onClose=${() => setDialog(null)} onSure=${() => go(dialog.next, true)}/>`}`;
}

function Sure({ next, unit, onClose, onSure }) {
  return html`<${Dialog} title="Change the load of an experiment?" lead=${`A verdict compares the same load before, during and after the fault. With ${count(next, 1)} ${unit} from now on, this run's verdict is worth nothing.`} onClose=${onClose}>
    <div class="acts"><button class="btn" value="cancel" autofocus>Keep the plan</button><button type="submit" class="btn danger" onClick=${() => { onClose(); onSure(); }}>Change it anyway</button></div></${Dialog}>`;
}

function Shares({ onClose }) {
  const list = shares(), [sure] = useState(store.run.kind === "experiment"), [values, setValues] = useState(() => list.map((one) => one.profile)), [wrong, setWrong] = useState("");
  const save = async () => {
    const profiles = {};
    list.forEach((one, i) => { if (values[i] !== one.profile) profiles[list.length > 1 ? one.scenarios[0] : ""] = values[i]; });
    if (!Object.keys(profiles).length) { onClose(); return; }
    try { await send("POST", api("/change"), { profiles, ...(sure && { force: true }) }); say("Load is changed"); onClose(); }
    catch (error) { setWrong(reason(error)); }
  };
  return html`<${Dialog} title="Change the load" lead=${sure ? "A verdict compares the same load before, during and after the fault: changed now, this run's verdict is worth nothing." : "From now on; each profile begins when the change takes effect, about two seconds from now."} onClose=${onClose} wide>
    ${list.map((one, i) => html`<div class="field" key=${i}><label for=${`share-${i}`}>${one.scenarios?.join(", ") || "All scenarios"}</label>
      <div class="in"><input id=${`share-${i}`} class="mono" value=${values[i]} spellcheck="false" aria-describedby="share-error" onInput=${(event) => { const next = [...values]; next[i] = event.target.value; setValues(next); setWrong(""); }}/></div>
      ${i === list.length - 1 && html`<small>Such as <code>hold 400/s for 2m</code>, <code>ramp 50..200 users for 1m, hold 200 users for 5m</code>.</small>`}</div>`)}
    <p class="error" id="share-error" role="alert">${wrong}</p>
    <div class="acts"><button class="btn" value="cancel" formnovalidate>Cancel</button><button type="submit" class=${`btn ${sure ? "danger" : "main"}`} onClick=${save}>${sure ? "Change it anyway" : "Change"}</button></div></${Dialog}>`;
}

/** End the run: it drains first; at once if that is chosen. */
export function EndRun() {
  useTopics("state");
  const [open, setOpen] = useState(false), [busy, setBusy] = useState(false);
  if (!may("operator") || !going()) return null;
  const end = async (at) => {
    setOpen(false);
    setBusy(true);
    try { await attempt(at ? "The run is ended" : "The run ends: what is open may still end", "POST", api("/stop"), { now: at }); } catch { /* said */ }
    setBusy(false);
  };
  const judged = store.run.kind === "experiment";
  return html`<button class="btn" type="button" aria-haspopup=${judged ? "dialog" : undefined} disabled=${busy || store.state.status === "draining"} onClick=${() => (judged ? setOpen(true) : end(false))}>${store.state.status === "draining" ? "Ending…" : "End run"}</button>
    ${open && html`<${Dialog} title="End this experiment?" lead="It is not over: ended now there is no verdict. Its faults are taken away, and what was measured so far is kept." onClose=${() => setOpen(false)}>
      <div class="acts"><button class="btn" value="cancel" autofocus>Let it go on</button><button type="submit" class="btn danger" onClick=${() => end(false)}>End run</button></div></${Dialog}>`}`;
}
