// The overview: what is on now, drawn from the nodes' own events.
import { html, render } from "./vendor/preact-htm.js";
import { may, say, send } from "./shell.js";
import { bytes, clock, rate } from "./lib/format.js";
import { editFault } from "./lib/faultform.js";
import { follow, page, standing } from "./lib/nodes.js";
import { Topology } from "./lib/topology.js";
import { AwayBanner, FaultSwitch, LinkBanner, Spark, When, counted, left } from "./lib/parts.js";
import { moments, refresher } from "./lib/refresh.js";

const data = (id) => JSON.parse(document.getElementById(id).textContent);
const first = data("first"), about = data("about");
const root = document.getElementById("now-root"), side = document.getElementById("side-root");
const again = refresher(["last"], 600);

function Run({ run, stop }) {
  const spark = (run.spark ?? []).map((row) => row[2] ?? 0), where = `/runs/${run.id}/live`;
  const state = run.status ?? run.state;
  return html`<li class="runrow" key=${run.id}><div><span class="status ${state === "running" ? "" : "lost"}">${state[0].toUpperCase() + state.slice(1)}</span> <a class="name" href=${where}>${run.name}</a> <span class="dim num">#${run.id}</span>
      <div class="dim small num">${clock(run.t ?? 0)}${run.ends ? ` of ${clock(run.ends)}` : ""}${run.rate != null ? ` · ${rate(run.rate)} req/s` : ""}${run.users ? ` · ${run.users} users` : ""}${run.phase ? ` · ${run.phase.name}` : ""}${run.word ? ` · ${run.word}${run.provisional ? " so far" : ""}` : ""}${run.faults?.length ? html` · fault <strong>${run.faults.join(", ")}</strong> on` : ""}</div></div>
    <${Spark} values=${spark} label="Good requests a second in the last minute, now ${rate(spark.at(-1) ?? 0)}" />
    <span class="nowrap"><a class="btn small" href=${where}>Open live</a>${may("operator") && html` <button class="btn small danger" type="button" onClick=${() => stop(run)}>End run</button>`}</span></li>`;
}
async function stop(run) {
  try { await send("POST", `runs/${run.id}/stop`); say(`Run ${run.id} ends.`); } catch (error) { say(`Run ${run.id} goes on: ${error.message}`, true); }
}

function Runs({ runs }) {
  const going = Object.values(runs.active ?? {}), { starting = [], waiting = [] } = runs.queue ?? {};
  return html`<section class="card" aria-labelledby="now-title"><div class="cardhead"><h2 id="now-title">Now</h2></div>
    ${runs.problem && html`<p class="quietly error" role="alert">The run store cannot be read: ${runs.problem}</p>`}
    ${going.length + starting.length + waiting.length === 0 && html`<p class="quietly">Nothing runs.${may("operator") ? html` <a href="/experiments">Run an experiment</a> or <a href="/scenarios">just load</a>.` : ""}</p>`}
    <ul>${going.map((run) => html`<${Run} run=${run} stop=${stop} />`)}
      ${starting.map((one) => html`<li class="runrow" key="s${one.id}"><div><span class="status lost">Starting</span> <span class="name">${one.title}</span></div></li>`)}
      ${waiting.map((one) => html`<li class="runrow" key="w${one.id}"><div><span class="status finished">Waiting, place ${one.position}</span> <span class="name">${one.title}</span></div></li>`)}</ul></section>`;
}

function Faults({ nodes, lever }) {
  const on = standing(nodes), several = Object.keys(nodes).length > 1;
  const proxies = Object.values(nodes).filter((node) => node.state === "up").flatMap((node) => Object.keys(node.proxies).map((name) => [node.name, name]));
  const add = (event) => { const [node, proxy] = JSON.parse(event.target.value); event.target.value = ""; editFault({ node, proxy }); };
  return html`<section class="card" aria-labelledby="faults-title"><div class="cardhead"><h2 id="faults-title">Faults that are on</h2><span class="end">
      ${may("operator") && proxies.length > 0 && !lever.on && html`<select class="btn small" aria-label="Add a fault to" onChange=${add} value=""><option value="" disabled selected>Add a fault to…</option>${proxies.map((one) => html`<option value=${JSON.stringify(one)}>${one[1]}${several ? ` (${one[0]})` : ""}</option>`)}</select>`}</span></div>
    ${on.length ? html`<ul class="faultrows">${on.map(([node, proxy, name, fault]) => html`<li key="${node.name}/${proxy}/${name}"><${FaultSwitch} fault=${{ node: node.name, proxy, name, form: fault.form }} known=${fault} disabled=${node.state !== "up"} why="the node is away" />
      <span class="what"><a href=${page(node.name, proxy)}><strong>${name}</strong> on ${proxy}${several ? html` <span class="dim">${node.name}</span>` : ""}</a><span class="mono">${fault.text}</span></span>
      <span class="num"><b>${counted(fault.fired ?? 0)}</b> struck</span><span class="num on-words">${left(fault) || (fault.lease ? "while leased" : "until turned off")}</span></li>`)}</ul>`
      : html`<p class="quietly">No fault is on. ${proxies.length ? "Every proxy passes what it gets." : ""}</p>`}</section>`;
}

function Main({ state }) {
  const nodes = Object.values(state.nodes);
  return html`<div class="main-col"><${LinkBanner} state=${state} />${nodes.map((node) => html`<${AwayBanner} key=${node.name} node=${node} />`)}
    <${Runs} runs=${state.runs} />
    <section class="card" aria-labelledby="map-title"><div class="cardhead"><h2 id="map-title">Traffic</h2><span class="end dim small">${nodes.some((n) => Object.keys(n.proxies).length) ? html`${bytes(Math.round(nodes.flatMap((n) => Object.values(n.proxies)).reduce((all, p) => all + (p.seconds.at(-1)?.[0] ?? 0), 0)))}/s in all` : ""}</span></div>
      <${Topology} nodes=${nodes} /></section>
    <${Faults} nodes=${state.nodes} lever=${state.lever} /></div>`;
}

const release = async () => { try { await send("PUT", "panic", { on: false }); say("Released: faults and load are allowed."); } catch (error) { say(`Not released: ${error.message}`, true); } };
function Side({ state }) {
  const { lever } = state, nodes = Object.values(state.nodes);
  return html`<section class="card" aria-labelledby="lever-title"><h2 id="lever-title">Lever</h2>
      ${lever.on ? html`<div class="quietly"><p><span class="word bad">Pulled</span>${lever.by ? ` by ${lever.by}` : ""}${lever.since ? html`, <${When} at=${lever.since} />` : ""}. No fault and no load until it is released.</p>
          ${may("operator") ? html`<p><button class="btn" type="button" onClick=${release}>Release</button></p>` : html`<p class="dim">Operators release it${about.who ? `: ${about.who}` : ""}.</p>`}</div>`
        : html`<p class="quietly"><span class="word ok">Up.</span> Faults and load are allowed.</p>`}</section>
    <section class="card" aria-labelledby="health-title"><h2 id="health-title">Health</h2><ul class="healthrows">
      ${nodes.map((node) => html`<li key=${node.name}><span class="state ${node.state === "up" ? "up" : "away"}">${node.name}</span><span class="end">${node.state === "up" ? `${Object.keys(node.proxies).length} ${Object.keys(node.proxies).length === 1 ? "proxy" : "proxies"}, up` : html`away, last seen <${When} at=${node.since} />`}</span>${node.state !== "up" && html`<span class="why">${node.why}</span>`}</li>`)}
      <li><span class="state ${about.redis ? "" : "up"}"><a href="/agents">Agents</a></span><span class="end">${about.redis ? "through Redis" : "none: load runs on this machine"}</span></li></ul></section>`;
}

const draw = (state) => {
  render(html`<${Main} state=${state} />`, root);
  render(html`<${Side} state=${state} />`, side);
};
const state = follow({
  first, changed: draw,
  heard(kind, news) {
    if (kind === "run") {
      if (news.last) { again(); return; }
      const active = state.runs.active, known = active[news.id];
      if (["ended", "deleted", "lost"].includes(news.state)) { delete active[news.id]; again(); return; }
      const spark = [...(known?.spark ?? []), ...(news.row && known?.spark?.at(-1)?.[0] !== news.row[0] ? [news.row.slice(0, 3)] : [])].slice(-60);
      active[news.id] = { ...known, ...news, spark };
    } else if (kind === "queue") state.runs.queue = news;
  },
});
root.replaceChildren();
side.replaceChildren();
draw(state);
moments();

const demo = document.getElementById("demo");
demo?.addEventListener("click", async () => {
  const words = demo.textContent;
  demo.disabled = true;
  demo.textContent = "Starting the shop…";
  try {
    let now = await send("POST", "demo");
    while (now.state === "starting") { await new Promise((go) => setTimeout(go, 500)); now = await send("GET", "demo"); }
    if (now.state === "failed") throw new Error(now.problem);
    location = now.run ? `/runs/${now.run}/live` : "/runs";
  } catch (error) { demo.disabled = false; demo.textContent = words; say(`The demo cannot run: ${error.message}`, true); }
});
