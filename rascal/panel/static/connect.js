// Connect my app: a proxy before one backend, an address to point the app at, the first exchanges.
import { html, render } from "./vendor/preact-htm.js";
import { may, send } from "./shell.js";
import { count } from "./lib/format.js";
import { follow, page, place } from "./lib/nodes.js";
import { AwayBanner, Copy, LinkBanner } from "./lib/parts.js";
import { PORTS, pointers } from "./lib/pointing.js";

const root = document.getElementById("root");
const first = JSON.parse(document.getElementById("first").textContent);
let protocols = {};
const wanted = new URLSearchParams(location.search);
let form = { node: "", name: "", protocol: wanted.get("protocol") ?? "http", upstream: wanted.get("upstream") ?? "", listen: "" }, made = null;
let errors = {};

const change = (name, value) => { form = { ...form, [name]: value }; if (name in errors) { errors = { ...errors }; delete errors[name]; } draw(state); };
const nameFor = () => form.name || (form.upstream.match(/^[A-Za-z_][\w.-]*/)?.[0] ?? form.protocol);

async function add(event) {
  event.preventDefault();
  errors = {};
  const node = form.node || Object.keys(state.nodes)[0], name = nameFor();
  const upstream = !/^[\w.-]+$/.test(form.upstream) || !PORTS[form.protocol] ? form.upstream : `${form.upstream}:${PORTS[form.protocol]}`;
  try {
    await send("POST", place(node, "proxies"), { name, protocol: form.protocol, listen: form.listen || "127.0.0.1:0", upstream });
    location = `/connect?node=${encodeURIComponent(node)}&proxy=${encodeURIComponent(name)}`; // opens its stream with the exchanges of this proxy
    return;
  } catch (error) {
    for (const one of error.problem?.errors ?? [{ title: error.message }]) { const key = (one.pointer ?? "").split("/")[1] ?? ""; errors[["name", "protocol", "listen", "upstream"].includes(key) ? key : ""] ??= one.title; }
  }
  draw(state);
}

function Field({ id, label, hint, children }) {
  return html`<div class="field"><label for=${id}>${label}</label><div class="in">${children}</div>${errors[id] ? html`<p class="error" role="alert" id="${id}-error">${errors[id]}</p>` : html`<small id="${id}-hint">${hint}</small>`}</div>`;
}
const input = (id, placeholder) => html`<input id=${id} value=${form[id]} placeholder=${placeholder} autocomplete="off" spellcheck="false" aria-invalid=${errors[id] ? "true" : null} aria-describedby=${errors[id] ? `${id}-error` : `${id}-hint`} onInput=${(e) => change(id, e.target.value)} />`;

function Choose({ nodes }) {
  return html`<form class="form connect" onSubmit=${add}>
    <${Field} id="protocol" label="What your app talks to" hint="A protocol that Rascal reads, or TCP for any other"><select id="protocol" value=${form.protocol} onChange=${(e) => change("protocol", e.target.value)}>${Object.entries(protocols).map(([name, title]) => html`<option value=${name}>${title}</option>`)}</select><//>
    <${Field} id="upstream" label="Where that is" hint="Host and port, as the proxy reaches it">${input("upstream", `127.0.0.1:${PORTS[form.protocol] || 9000}`)}<//>
    <${Field} id="name" label="Name" hint="How it is called on all pages">${input("name", nameFor())}<//>
    <${Field} id="listen" label="Where the proxy listens" hint="Empty: Rascal picks a free port on this machine">${input("listen", "127.0.0.1:0")}<//>
    ${Object.keys(nodes).length > 1 && html`<${Field} id="node" label="Node" hint="The rascal-proxy process that it stands in"><select id="node" value=${form.node} onChange=${(e) => change("node", e.target.value)}>${Object.keys(nodes).map((one) => html`<option value=${one}>${one}</option>`)}</select><//>`}
    ${errors[""] && html`<p class="error whole" role="alert">${errors[""]}</p>`}
    <p class="acts whole"><button class="btn main" type="submit" disabled=${!form.upstream}>Add the proxy</button></p></form>`;
}

function Page({ state }) {
  const proxy = made && state.nodes[made.node]?.proxies[made.name], listens = proxy?.addresses?.[0];
  const nodes = Object.values(state.nodes), up = nodes.some((one) => one.state === "up");
  const seen = proxy ? proxy.connections : 0, moved = proxy ? proxy.to_upstream + proxy.to_client : 0;
  return html`<${LinkBanner} state=${state} />${nodes.map((node) => html`<${AwayBanner} key=${node.name} node=${node} />`)}
    <div class="steps3">
    <section class="card ${made ? "stepdone" : ""}" aria-labelledby="step-1"><div class="cardhead"><span class="stepno" aria-hidden="true">1</span><h2 id="step-1">Choose what stands behind</h2></div><div class="body">
      ${made ? html`<p>${made.name}: ${proxy ? html`${proxy.protocol}, upstream <span class="mono">${proxy.upstream}</span>` : "…"} <button class="link" type="button" onClick=${() => { location = "/connect"; }}>Add another</button></p>`
        : !may("admin") ? html`<p>Admins add proxies; your role is to ${may("operator") ? "use them" : "look"}. Those that there are: <a href="/proxies">Proxies</a>.</p>`
        : !nodes.length || !up ? html`<p>No rascal-proxy answers. Start one, and it shows up here by itself:</p><${Copy} text="twistd -n --pidfile= rascal-proxy --config proxies.ini" label="Command that starts a node" />`
        : html`<${Choose} nodes=${state.nodes} />`}</div></section>
    <section class="card ${seen ? "stepdone" : ""}" aria-labelledby="step-2"><div class="cardhead"><span class="stepno" aria-hidden="true">2</span><h2 id="step-2">Point your app at the proxy</h2></div><div class="body">
      ${listens ? pointers(proxy.protocol, listens).map(([label, text]) => html`<p>${label}, in place of the one that your app has now:</p><${Copy} text=${text} label=${label} />`) : html`<p class="dim">You get an address here.</p>`}</div></section>
    <section class="card ${moved ? "stepdone" : ""}" aria-labelledby="step-3"><div class="cardhead"><span class="stepno" aria-hidden="true">3</span><h2 id="step-3">See it arrive</h2></div><div class="body">
      ${!listens ? html`<p class="dim">The first connections show up here.</p>`
        : html`<p class="waiting" role="status"><span class="pulse ${moved ? "seen" : ""}" aria-hidden="true"></span>${moved ? html`<span><strong>Connected.</strong> ${count(seen)} connection${seen === 1 ? "" : "s"}, ${count(proxy.exchanges)} exchange${proxy.exchanges === 1 ? "" : "s"} seen.</span>` : seen ? "A client connected; no byte has passed yet." : "Waiting for traffic…"}</p>
          <p><a class="btn ${moved ? "main" : ""}" href=${page(made.node, made.name)}>${moved ? "Break something" : "Open the proxy"}</a></p>`}</div></section></div>`;
}

function draw(state_) { render(html`<${Page} state=${state_} />`, root); }
if (wanted.get("proxy")) made = { node: wanted.get("node") ?? "", name: wanted.get("proxy") };
const state = follow({ first, look: made ? { node: made.node, proxy: made.name } : undefined, changed: draw });
root.replaceChildren();
draw(state);
const learn = async () => { // from the first node that answers
  const node = Object.values(state.nodes).find((one) => one.state === "up");
  try { protocols = Object.fromEntries(Object.entries(await send("GET", place(node.name, "protocols"))).map(([name, one]) => [name, one.title])); draw(state); } catch { setTimeout(learn, 2000); }
};
learn();
