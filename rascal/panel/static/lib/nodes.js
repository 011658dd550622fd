// What the nodes have, kept up to date by their events: the same in the panel and on a node's own page.
import { send, token } from "../shell.js";
import { listen } from "./stream.js";

const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";
/** This page comes from a rascal-proxy itself, not from a panel: there is one node, without a name. */
export const alone = meta("alone") !== "";
const part = encodeURIComponent;
const SECONDS = 60;

/** Where a node's API is for send(): node("main", "proxies/cache/faults"). */
export const place = (node, path) => (alone ? path : `nodes/${part(node)}/${path}`);
/** The path of a proxy in it. */
export const at = (proxy, ...rest) => ["proxies", proxy, ...rest].map(part).join("/");
/** What would come of a fault that is added, or (a path with its name) changed: { text, says, match, structure }; throws what is wrong. */
export async function check(node, path, body) {
  const found = await send("POST", place(node, `check/${path}`), body);
  if (found.problem) throw Object.assign(new Error(found.problem.title), { problem: found.problem });
  return found;
}
/** The page of a proxy. */
export const page = (node, proxy) => `/proxies/${part(proxy)}${alone ? "" : `?node=${part(node)}`}`;

const now = () => Date.now() / 1000;
const sums = (proxy) => [proxy.to_upstream + proxy.to_client, proxy.exchanges, Object.values(proxy.faults).reduce((all, one) => all + (one.fired ?? 0), 0)];

/** A fault as it is told, with the moment of its end in this page's time. */
function fault(state, name) {
  const text = (state.text ?? "").replace(new RegExp(` name ${name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`), "").replace(/ enabled no$/, "");
  const parts = state.parts && !Array.isArray(Object.values(state.parts)[0])
    ? Object.fromEntries(Object.entries(state.parts).map(([key, one]) => [key, [one.matched, one.fired, one.waiting]])) : state.parts;
  const sentences = state.sentences ?? (state.parts && Object.fromEntries(Object.entries(state.parts).map(([key, one]) => [key, one.text ?? ""])));
  return { ...state, text, parts, sentences, ends: state.expires_in == null ? null : now() + state.expires_in, begins: state.enables_in == null ? null : now() + state.enables_in };
}
function proxyOf(data) {
  const faults = Object.fromEntries(Object.entries(data.faults ?? {}).map(([name, one]) => [name, fault(one, name)]));
  return { seconds: [], ...data, faults };
}
export function nodeOf(data, before) {
  const proxies = Object.fromEntries(Object.entries(data.proxies ?? {}).map(([name, one]) => {
    const made = proxyOf(one);
    if (!one.seconds) made.seconds = before?.proxies[name]?.seconds ?? [];
    return [name, made];
  }));
  return { name: "", state: "up", why: "", since: null, ...data, proxies };
}

function books(faults, name, [matched, fired, waiting]) {
  const found = faults[name];
  if (found) { Object.assign(found, { matched, fired, waiting }); return; }
  for (const one of Object.values(faults)) {
    if (!one.parts?.[name]) continue;
    one.parts[name] = [matched, fired, waiting];
    ["matched", "fired", "waiting"].forEach((key, i) => { one[key] = Object.values(one.parts).reduce((all, part_) => all + (part_[i] ?? 0), 0); });
  }
}

/** What an event changes of a node. */
const hear = {
  proxy(node, { proxy, change, state }) {
    if (change === "removed") delete node.proxies[proxy];
    else if (node.proxies[proxy]) { for (const key of ["protocol", "enabled", "addresses", "upstream"]) if (key in state) node.proxies[proxy][key] = state[key]; }
    else node.proxies[proxy] = proxyOf({ ...state, open: 0, connections: 0, exchanges: 0, to_upstream: 0, to_client: 0, faults: {} });
  },
  faults(node, { proxy, name, change, state }) {
    const faults = node.proxies[proxy]?.faults;
    if (!faults || !state) return;
    const key = state.name ?? name;
    if (change === "removed") delete faults[key]; else faults[key] = fault(state, key);
  },
  step(node, { proxy, script, steps, reached }) {
    const one = node.proxies[proxy]?.faults[script];
    if (!one) return;
    one.reached = reached;
    for (const { n, state } of steps ?? []) { const step = one.steps?.find((each) => each.n === n); if (step) step.state = state; }
  },
  fired(node, data) { const one = node.proxies[data.proxy]; if (one) books(one.faults, data.fault, [data.matched, data.fired, data.waiting]); },
  counters(node, data) {
    const passed = node.counted && data.at - node.counted < 10 ? Math.max(0.2, data.at - node.counted) : 1;
    node.counted = data.at;
    for (const [name, proxy] of Object.entries(node.proxies)) {
      const counted = data.proxies[name], before = sums(proxy);
      if (counted) {
        const { faults, ...rest } = counted;
        Object.assign(proxy, rest);
        for (const [key, one] of Object.entries(faults ?? {})) books(proxy.faults, key, one);
      }
      const rates = proxy.last ? sums(proxy).map((one, i) => Math.max(0, one - proxy.last[i]) / passed) : sums(proxy).map((one, i) => Math.max(0, one - before[i]) / passed);
      proxy.last = sums(proxy);
      proxy.seconds = [...proxy.seconds.slice(1 - SECONDS), [...rates, proxy.open]];
    }
  },
};

/**
 * Follow all nodes. `first` is a snapshot that the page brought; `look` is a proxy { node, proxy } whose exchanges
 * are wanted; `changed(state, kind, data)` is called at most once a frame, and `heard(kind, data)` at once.
 */
export function follow({ first, look, changed, heard = () => {} }) {
  const state = { nodes: {}, runs: { active: {}, queue: {}, last: [] }, lever: { on: false }, link: "live", since: 0 };
  let due = false;
  const soon = () => { if (!due) { due = true; requestAnimationFrame(() => { due = false; changed(state); }); } };
  const begin = (data) => {
    if (alone) state.nodes = { "": nodeOf({ lever: data.lever, proxies: data.proxies }, state.nodes[""]) };
    else {
      state.nodes = Object.fromEntries(Object.entries(data.nodes ?? {}).map(([name, one]) => [name, nodeOf(one)]));
      state.runs = data.runs ?? state.runs;
    }
    state.lever = alone ? data.lever ?? { on: false } : data.lever ?? state.lever;
  };
  if (first) begin(first);
  if (meta("alone") === "locked" && !token()) { state.locked = true; unlock(); return state; }
  const on = { snapshot(data) { begin(data); heard("snapshot", data); soon(); } };
  for (const kind of ["proxy", "faults", "fired", "step", "counters", "connection", "exchanges"]) {
    on[kind] = (data) => {
      const node = state.nodes[data.node ?? ""];
      if (node && hear[kind]) hear[kind](node, data);
      heard(kind, data);
      soon();
    };
  }
  on.node = (data) => { state.nodes[data.name] = nodeOf(data, state.nodes[data.name]); heard("node", data); soon(); };
  on.lever = (data) => {
    state.lever = data.all ?? data;
    if (alone) state.nodes[""].lever = data; else if (state.nodes[data.node]) state.nodes[data.node].lever = data;
    soon();
  };
  on.run = (data) => { heard("run", data); soon(); };
  on.queue = (data) => { heard("queue", data); soon(); };
  const types = ["snapshot", "proxy", "faults", "fired", "step", "counters", "lever", ...(look ? ["exchanges"] : [])];
  const path = alone
    ? `/api/v1/events?types=${types.join(",")}`
    : `/api/v1/events${look ? `?look=${part(look.node)}/${part(look.proxy)}` : ""}`;
  listen(path, on, (link) => { if (link !== state.link) { state.link = link; state.since = now(); soon(); } });
  setInterval(soon, 1000); // what is left of faults goes on by itself
  return state;
}

/** Ask for the token of a node's own page; it stays in this tab. */
function unlock() {
  const box = document.createElement("dialog");
  const input = Object.assign(document.createElement("input"), { id: "token", type: "password", autocomplete: "off", required: true });
  const label = Object.assign(document.createElement("label"), { htmlFor: "token", textContent: "Token" });
  const title = Object.assign(document.createElement("h2"), { id: "unlock", textContent: "This rascal-proxy asks for a token" });
  const wrong = Object.assign(document.createElement("p"), { className: "error", role: "alert" });
  const enter = Object.assign(document.createElement("button"), { className: "btn main", type: "submit", textContent: "Go on" });
  const made = (name, kind, ...inside) => { const one = Object.assign(document.createElement(name), { className: kind }); one.append(...inside); return one; };
  const note = made("small", "", "One of [rascal] tokens. It is kept in this tab alone.");
  const form = made("form", "", title, made("div", "field", label, made("div", "in", input), note), wrong, made("div", "acts", enter));
  box.setAttribute("aria-labelledby", "unlock");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const reply = await fetch("/api/v1/panic", { headers: { Authorization: `Bearer ${input.value.trim()}` } });
      if (!reply.ok) throw new Error((await reply.json()).title);
      sessionStorage.setItem("token", input.value.trim());
      location.reload();
    } catch (error) { wrong.textContent = `Not let in: ${error.message}`; }
  });
  box.addEventListener("cancel", (event) => event.preventDefault());
  box.append(form);
  document.body.append(box);
  box.showModal();
}

/** Bytes a second of the latest seconds, and whether anything moved in the last minute. */
export const bytesNow = (proxy) => { const last = proxy.seconds.slice(-3); return last.length ? last.reduce((all, one) => all + one[0], 0) / last.length : 0; };
export const quiet = (proxy) => proxy.seconds.length >= 30 && proxy.seconds.every((one) => one[0] === 0) && !proxy.open;
export const isOn = (fault_) => Boolean(fault_.armed ?? fault_.enabled);
/** [node, proxy, name, fault] of all that are on. */
export const standing = (nodes) => Object.values(nodes).flatMap((node) => Object.entries(node.proxies).flatMap(([proxy, one]) => Object.entries(one.faults).filter(([, f]) => isOn(f)).map(([name, f]) => [node, proxy, name, f])));
