// One lane for each fault: its switch in the gutter, what it did and what is planned on the axis.
import { clock } from "../lib/format.js";
import { Planned, movable } from "./planned.js";
import { going, now, spans, store, title } from "./store.js";
import { highlight } from "./tracks.js";
import { Switch, Tag, attempt, html, may, outside, place, useEffect, useState, useTopics } from "./use.js";

const LIMIT = 60; // seconds after which what is switched on by hand ends by itself
const COLLECTIONS = { fault: "faults", roulette: "faults", script: "scripts", recipe: "recipes" };
const collection = (fault) => COLLECTIONS[fault.form] ?? "faults";
const faultPath = (fault) => `nodes/${encodeURIComponent(fault.node)}/proxies/${encodeURIComponent(fault.proxy)}/${collection(fault)}/${encodeURIComponent(fault.name)}`;
const proxyPage = (fault) => `/proxies/${encodeURIComponent(fault.proxy)}${fault.node ? `?node=${encodeURIComponent(fault.node)}` : ""}`;

const times = (n) => (n < 1000 ? `×${n}` : n < 1e6 ? `×${(n / 1000).toFixed(n < 1e4 ? 1 : 0)}k` : `×${(n / 1e6).toFixed(1)}M`);

/** What a fault is called to those who cannot see it. */
export const called = (fault) => (title(fault).includes(` on ${fault.proxy}`) ? title(fault) : `${title(fault)} on ${fault.proxy}`);

function why(fault) {
  if (!may("operator")) return "You may look on; faults are switched by operators";
  if (fault.away) return `The node ${fault.away.node} is not reachable`;
  if (!fault.here) return `Not on the proxy ${fault.proxy} ${going() ? "yet, or no more" : "any more"}`;
  return "";
}

function FaultSwitch({ fault }) {
  const [wanted, setWanted] = useState(null);
  useEffect(() => { setWanted(null); }, [fault.on]);
  const flip = async () => {
    const next = !fault.on, limited = next && (fault.form ?? "fault") === "fault";
    setWanted(next);
    try { await attempt(`${called(fault)} is ${next ? "on" : "off"}${limited ? `, for at most ${LIMIT} seconds` : ""}`, "PATCH", faultPath(fault), { enabled: next, ...(limited && { for: `${LIMIT}s` }) }); }
    catch { setWanted(null); }
  };
  const hindered = why(fault);
  return html`<${Switch} on=${fault.on} name=${called(fault)} busy=${wanted !== null && wanted !== fault.on} disabled=${Boolean(hindered)} onFlip=${flip}
    title=${hindered || (fault.on ? "Take it away now" : `Switch it on, for at most ${LIMIT} s`)}/>`;
}

function Span({ span, fault }) {
  const t = now(), to = span.to ?? t;
  const ends = span.kind === "on" ? fault.ends ?? fault.plan?.find(([from, until]) => Math.abs(from - span.from) < 5 && until > t)?.[1] : null;
  const tell = `${clock(span.from)} to ${span.to == null ? "now" : clock(to)}`;
  return html`${!outside(span.from, to) && html`<div class=${`span ${span.kind}${ends ? "" : " whole"}`} style=${place(span.from, to)} title=${tell}><span class="lbl num">${clock(to - span.from)}</span></div>`}
    ${ends > t && !outside(t, ends) && html`<div class="span rest" style=${place(t, ends)} title=${`Ends by itself at ${clock(ends)}`}></div>`}`;
}

function Lane({ fault }) {
  useTopics("view", "state");
  const away = going() && fault.away, still = !going() && (!fault.here || fault.away), sub = [fault.proxy, fault.name !== title(fault) && fault.name, fault.by && fault.by !== "plan" && `by ${fault.by}`, fault.plan?.length > 0 && !fault.planned.length && !fault.spans.length && !fault.on && "taken out of the plan"].filter(Boolean).join(" · ");
  const edit = async () => { const { editFault } = await import("../lib/faultform.js"); editFault({ node: fault.node, proxy: fault.proxy, fault: fault.name, collection: collection(fault) }); };
  const words = html`<strong>${title(fault)}</strong><span class="num">${away ? `not reachable since ${clock(away.since)}` : sub}</span>`;
  return html`<li class=${`row lane ${away ? "away" : ""} ${still ? "still" : ""}`} onPointerEnter=${() => highlight(fault.id)} onPointerLeave=${() => highlight(null)}>
    <div class="side">
      ${!still && html`<${FaultSwitch} fault=${fault}/>`}<${Tag} letter=${fault.id} on=${fault.on}/>
      ${why(fault) ? html`<a class="what" href=${proxyPage(fault)} title=${called(fault)}>${words}</a>` : html`<button type="button" class="what" aria-label=${`Change ${called(fault)}`} title=${called(fault)} onClick=${edit}>${words}</button>`}
    </div>
    <div class="lanebody"><div class="track">
      ${spans(fault).map((span) => (span.kind === "planned" ? html`<${Planned} key=${`p${span.index}`} fault=${fault} span=${span}/>` : html`<${Span} key=${span.from} span=${span} fault=${fault}/>`))}
      ${going() && !outside(now(), now()) && html`<div class="nowline" style=${{ left: place(now(), now()).left }}></div>`}<div class="hair"></div>
    </div><div class="fired" title=${`Fired ${fault.fired ?? 0} times; ${fault.matched ?? 0} were matched`}>${fault.fired ? times(fault.fired) : ""}</div></div></li>`;
}

export function Lanes({ onInject }) {
  useTopics("faults", "state");
  const faults = store.faults, may_ = may("operator") && going();
  if (!faults.length && !may_) return store.run.kind === "load" ? null : html`<div class="add">No fault was on in this run.</div>`;
  const plan = faults.some((fault) => spans(fault).some((one) => movable(one)));
  return html`${faults.length > 0 && html`<ul class="lanes" aria-label="Faults">${faults.map((fault) => html`<${Lane} key=${fault.id} fault=${fault}/>`)}</ul>`}
    ${may_ && html`<div class="add"><button type="button" class="link" onClick=${onInject}>Add fault</button>
      <span>${plan ? "Drag a planned fault to move it, or its ends to change its length." : faults.length ? "What you switch by hand is recorded in the run." : "Break something while the load goes on; it is recorded in the run."}</span></div>`}`;
}
