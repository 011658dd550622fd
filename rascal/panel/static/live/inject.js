// A new fault while the run goes on: which proxy, what it does, for how long.
import { Dialog, html, reason, say, send, useEffect, useState } from "./use.js";

const IDEAS = ["delay 800ms", "hang", "reset", "refuse", "drop 10%", "throttle 32kB/s"];

export function Inject({ onClose }) {
  const [proxies, setProxies] = useState(null), [proxy, setProxy] = useState(-1), [text, setText] = useState("delay 800ms"), [limit, setLimit] = useState("60"), [wrong, setWrong] = useState(""), [busy, setBusy] = useState(false);
  useEffect(() => {
    send("GET", "nodes").then((found) => {
      const all = Object.values(found).filter((node) => node.state === "up").flatMap((node) => Object.entries(node.proxies).map(([name, one]) => ({ node: node.name, name, protocol: one.protocol })));
      setProxies(all);
      setProxy(all.length ? 0 : -1);
    }).catch((error) => { setProxies([]); setWrong(reason(error)); });
  }, []);
  const save = async () => {
    setBusy(true);
    setWrong("");
    const { node, name } = proxies[proxy];
    try { await send("POST", `nodes/${encodeURIComponent(node)}/proxies/${encodeURIComponent(name)}/faults`, { text, for: `${limit}s` }); say(`${text} on ${name} is on, for ${limit} seconds`); onClose(); }
    catch (error) { setWrong(reason(error)); setBusy(false); }
  };
  const form = async () => { const { node, name } = proxies[proxy]; onClose(); const { editFault } = await import("../lib/faultform.js"); editFault({ node, proxy: name }); };
  const none = proxies && !proxies.length;
  return html`<${Dialog} title="Add a fault" lead="It is on at once, ends by itself, and is recorded in the run." onClose=${onClose}>
    ${none ? html`<p>No proxy is reachable from this panel. <a href="/proxies">Proxies</a></p>` : html`
    <div class="field"><label for="inject-proxy">Proxy</label><div class="in"><select id="inject-proxy" value=${proxy} disabled=${!proxies} onChange=${(event) => setProxy(Number(event.target.value))}>${(proxies ?? []).map((one, i) => html`<option key=${i} value=${i}>${one.name} (${one.protocol})</option>`)}</select></div></div>
    <div class="field"><label for="inject-text">What goes wrong</label><div class="in"><input id="inject-text" class="mono" list="inject-ideas" value=${text} spellcheck="false" autocomplete="off" aria-describedby="inject-error inject-help" aria-invalid=${wrong ? "true" : undefined} onInput=${(event) => { setText(event.target.value); setWrong(""); }}/></div>
      <small id="inject-help">A sentence, such as “hang” or “delay 800ms”. All kinds with their options: <button type="button" class="link" disabled=${proxy < 0} onClick=${form}>choose from a form</button>.</small></div>
    <datalist id="inject-ideas">${IDEAS.map((one) => html`<option key=${one} value=${one}/>`)}</datalist>
    <div class="pair"><div class="field"><label for="inject-limit">Ends by itself after</label><div class="in"><input id="inject-limit" type="number" min="1" max="86400" value=${limit} onInput=${(event) => setLimit(event.target.value)}/><span class="unit">s</span></div></div></div>`}
    <p class="error" id="inject-error" role="alert">${wrong}</p>
    <div class="acts"><button class="btn" value="cancel" formnovalidate>Cancel</button>${!none && html`<button type="submit" class="btn main" disabled=${busy || proxy < 0 || !text.trim()} onClick=${save}>Turn on now</button>`}</div></${Dialog}>`;
}
