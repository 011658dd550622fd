// A sample of what was said: calls that failed, and messages that the proxies decoded. What comes from there is only ever text.
import { clock, ms } from "../lib/format.js";
import { going, store } from "./store.js";
import { Tag, html, useEffect, useRef, useState, useTopics } from "./use.js";

const MOST = 120;
const time = (t) => `${clock(t)}.${String(Math.floor((Math.max(0, t) % 1) * 1000)).padStart(3, "0")}`;
const TELLING = ["query", "sql", "statement", "path", "args", "key", "name", "recipient", "address", "topic", "question"]; // of a message's fields, what says most
const message = (one) => {
  if (one.text) return one.text;
  const fields = one.fields ?? {}, most = TELLING.map((name) => fields[name]).find((value) => value != null && value !== "" && typeof value !== "object");
  if (most == null) return one.command || Object.values(fields).filter((value) => typeof value === "string").join(" ");
  return String(most).toUpperCase().startsWith(String(one.command).toUpperCase()) ? String(most) : `${one.command ?? ""} ${most}`.trim();
};
const place = (one) => one.proxy ?? one.flow ?? "";
const outcome = (one) => one.out ?? one.outcome ?? "";
const took = (one) => one.ms ?? (one.seconds == null ? null : 1000 * one.seconds);
const failed = (one) => one.kind === "call" || !["ok", "served", "", "reply"].includes(outcome(one));
const details = (one) => [one.detail, one.request && `→ ${one.request}`, one.reply && `← ${one.reply}`, one.fields && Object.entries(one.fields).map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`).join("\n")].filter(Boolean).join("\n\n");

function Row({ one, open, onOpen }) {
  const more = details(one), says = message(one), key = one.key;
  return html`<tr class=${one.fault ? "hit" : ""}><td class="mono dim">${time(one.t)}</td><td class="opt" title=${place(one)}>${place(one)}</td>
      <td class="mono what">${more ? html`<button type="button" aria-expanded=${String(open)} aria-controls=${open ? `exchange-${key}` : undefined} onClick=${() => onOpen(open ? null : key)} title=${says}>${says}</button>` : html`<span title=${says}>${says}</span>`}</td>
      <td>${one.fault && html`<${Tag} letter=${one.fault}/><span class="sr">struck by ${one.fault}, </span>`}${outcome(one).replaceAll("_", " ")}</td><td class="r num">${ms(took(one))}</td></tr>
    ${open && html`<tr class="detail" id=${`exchange-${key}`}><td colspan="5"><pre class="mono">${more}</pre></td></tr>`}`;
}

export function Exchanges() {
  useTopics("exchanges", "state");
  const [only, setOnly] = useState(""), [open, setOpen] = useState(null), [held, setHeld] = useState(null), box = useRef();
  const list = held ?? store.exchanges, places = [...new Set(list.map(place))].filter(Boolean).sort();
  const wanted = (one) => !only || (only === "*fault" ? one.fault : only === "*failed" ? failed(one) : place(one) === only);
  const rows = list.filter(wanted).slice(-MOST).sort((a, b) => b.t - a.t || b.key - a.key);
  useEffect(() => { if (only.startsWith("*") || places.includes(only)) return; if (only) setOnly(""); }, [places.join()]);
  const hold = () => setHeld(held ? null : [...store.exchanges]);
  const nothing = only ? "Nothing of this kind in the sample." : going() ? "Nothing yet. Calls that fail, and messages through the proxies, appear here." : "No call failed, and nothing was recorded of the proxies' messages.";
  return html`<section class="card tail" aria-labelledby="exchanges"><div class="cardhead"><h2 id="exchanges">Exchanges</h2>
      <label class="sr" for="exchange-filter">Show</label><select id="exchange-filter" value=${only} onChange=${(event) => setOnly(event.target.value)}><option value="">All</option><option value="*fault">Faulted only</option><option value="*failed">Failed only</option>
        ${places.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select>
      <span class="dim">${held ? "held; the run goes on" : "a sample, newest first"}</span>
      <button type="button" class="btn" aria-pressed=${String(Boolean(held))} onClick=${hold}>${held ? "Resume" : "Hold"}</button></div>
    <div class="rows" ref=${box} tabindex="0" role="region" aria-label="Exchange list"><table><thead><tr><th class="w-t" scope="col">Time</th><th class="w-p opt" scope="col">Where</th><th scope="col">Message</th><th class="w-o" scope="col">Outcome</th><th class="w-ms r" scope="col">Took</th></tr></thead>
      <tbody>${rows.map((one) => html`<${Row} key=${one.key} one=${one} open=${open === one.key} onOpen=${setOpen}/>`)}</tbody></table>
      ${rows.length === 0 && html`<p class="none-yet">${nothing}</p>`}</div></section>`;
}
