// What several pages draw: switches, rows of faults, small curves, words about the link.
import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { may, say } from "../shell.js";
import { ago, clock, count, moment } from "./format.js";
import { setFault } from "./faults.js";
import { isOn } from "./nodes.js";

export { html };

/** A moment: relative, the moment itself as its title. */
export const When = ({ at }) => html`<time datetime=${new Date(at * 1000).toISOString()} title=${moment(at)}>${ago(at)}</time>`;

/** A curve of the latest values; `flat` is the least top of its scale. */
export function Spark({ values, slots = 60, width = 120, height = 26, flat = 1, tone = "good", label }) {
  const top = Math.max(flat, ...values), step = width / (slots - 1), from = slots - values.length;
  const points = values.map((v, i) => `${((from + i) * step).toFixed(1)} ${(height - 2 - (height - 4) * (v / top)).toFixed(1)}`);
  const line = points.length > 1 && values.some((v) => v > 0) ? `M${points.join("L")}` : "";
  return html`<svg class="spark ${tone}" viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" role="img" aria-label=${label}>
    ${line && html`<path class="area" d="${line}L${width} ${height}L${(from * step).toFixed(1)} ${height}Z" /><path class="line" d=${line} />`}
    ${!line && html`<path class="idle" d="M0 ${height - 2}H${width}" />`}</svg>`;
}

/** A switch with a name; while the change is on its way it shows what was asked for. */
export function Switch({ on, label, change, disabled }) {
  const [asked, ask] = useState(null);
  useEffect(() => ask(null), [on]);
  const shown = asked ?? on;
  const click = async () => {
    ask(!shown);
    try { await change(!shown); } catch { ask(null); }
  };
  return html`<button class="switch" type="button" role="switch" aria-checked=${String(shown)} aria-label=${label} disabled=${disabled} aria-busy=${asked !== null && asked !== on ? "true" : null} onClick=${click}></button>`;
}

/** "0:24 left", "1 of 5 strikes used up", … of a fault that is on. */
export const left = (fault) => (fault.ends == null || !isOn(fault) ? "" : `${clock(Math.max(0, fault.ends - Date.now() / 1000))} left`);

/** What is said of a fault's state, in a few words. */
export function stateWords(fault) {
  if (isOn(fault)) return left(fault) || "on";
  if (fault.begins != null) return `on in ${clock(Math.max(0, fault.begins - Date.now() / 1000))}`;
  return fault.enabled ? "used up" : "off";
}

/** A switch for a fault, with what went wrong beside it. */
export function FaultSwitch({ fault, known, disabled, why }) {
  const [error, fail] = useState("");
  const change = async (on) => {
    fail("");
    try { await setFault(fault, on); say(`${fault.name} on ${fault.proxy} is ${on ? "on" : "off"}.`); }
    catch (problem) { fail(problem.message); say(`${fault.name} was not changed: ${problem.message}`); throw problem; }
  };
  const stopped = disabled || !may("operator");
  return html`<span class="faultswitch" title=${stopped ? why ?? (may("operator") ? "" : "Operators switch faults") : ""}>
    <${Switch} on=${isOn(known)} label="${fault.name} on ${fault.proxy}: ${known.text}" change=${change} disabled=${stopped} />
    ${error && html`<span class="error" role="alert">${error}</span>`}</span>`;
}

/** A text with a button that copies it. */
export function Copy({ text, label }) {
  const [done, set] = useState(false), code = useRef(null);
  const copy = async () => {
    try { await navigator.clipboard.writeText(text); set(true); setTimeout(() => set(false), 1500); }
    catch { const range = document.createRange(); range.selectNodeContents(code.current); getSelection().removeAllRanges(); getSelection().addRange(range); }
  };
  return html`<div class="copyable"><code class="code" ref=${code} tabindex="0" aria-label=${label}>${text}</code><button class="btn" type="button" onClick=${copy}>${done ? "Copied" : "Copy"}</button></div>`;
}

/** Shown while the panel does not answer. */
export const LinkBanner = ({ state }) => (state.link === "lost"
  ? html`<p class="banner bad" role="status">The connection is lost, since ${clock((Date.now() / 1000) - state.since)}. What is shown is as it was then; it comes back by itself.</p>` : null);

/** A node that is away. */
export const AwayBanner = ({ node }) => (node.state === "up" ? null
  : html`<p class="banner bad" role="status">Node <strong>${node.name}</strong> is away, last seen <${When} at=${node.since} />: ${node.why}. Its faults keep their own ends; it comes back by itself.</p>`);

export const counted = (n) => (n >= 10000 ? `${+(n / 1000).toPrecision(3)}k` : count(n));
