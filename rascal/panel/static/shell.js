// On every page: the lever (Stop everything, Release), and changes that say what went wrong.
const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";
const ROLES = ["viewer", "operator", "admin"];
let form = meta("csrf-token");
export const renew = (token) => { if (token) form = token; };
export const may = (role) => ROLES.indexOf(meta("role")) >= ROLES.indexOf(role);

/** The token of a node's own page, kept for this tab; a panel has cookies. */
export const token = () => { try { return meta("alone") ? sessionStorage.getItem("token") ?? "" : ""; } catch { return ""; } };

/** Tell everyone, also those who do not see; what failed stays for a while, or until it is closed by a click. */
let wiping = 0;
export const say = (text, failed = false) => {
  const box = document.getElementById("say");
  box.textContent = text;
  box.className = failed ? "toast" : "sr";
  clearTimeout(wiping);
  if (failed) wiping = setTimeout(() => { box.textContent = ""; box.className = "sr"; }, 15_000);
};
document.getElementById("say")?.addEventListener("click", () => say(""));

/** Ask for a change. Gives the answer's JSON (or null); throws an Error with `problem` and a sentence. */
export async function send(method, path, body) {
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": form };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  let reply, text;
  try {
    reply = await fetch(path.startsWith("/") ? path : `/api/v1/${path}`, {
      method, signal: AbortSignal.timeout(15000), headers, body: method === "GET" || method === "DELETE" ? undefined : JSON.stringify(body ?? {}),
    });
    text = await reply.text();
  } catch (error) { throw new Error(error.name === "TimeoutError" ? "no answer in 15 s" : "the connection is lost"); }
  let data = null;
  try { data = text ? JSON.parse(text) : null; } catch { /* not ours; the status says enough */ }
  if (!reply.ok) throw Object.assign(new Error(data?.title ?? `status ${reply.status}`), { problem: data, status: reply.status });
  return data;
}

// ---- the lever

const banner = document.getElementById("lever"), stop = document.getElementById("stop");
let told = 0;
/** What is known of the lever, from a stream or an answer: { on, by, … }. */
export function lever(state) {
  if (!banner || !state) return;
  told = Date.now();
  banner.hidden = !state.on;
  if (!state.on) return;
  const some = state.nodes?.length && !state.runs ? ` Only at ${state.nodes.join(", ")}.` : "";
  const away = state.away?.length && state.runs ? ` Not reached yet: ${state.away.join(", ")}.` : "";
  const words = `${state.by ? `Lever pulled by ${state.by}. ` : ""}No fault and no load until it is released.${some}${away}`;
  const box = document.getElementById("lever-words");
  if (box.textContent !== words) box.textContent = words;
}
const pull = async (on) => {
  try {
    const found = await send("PUT", "panic", { on });
    lever(found);
    const trouble = Object.entries(found.trouble ?? {});
    if (trouble.length) say(`${on ? "Stopped" : "Released"}, but not at ${trouble.map(([node, why]) => `${node} (${why})`).join(", ")}`, true);
    else say(on ? "Everything is stopped: no fault, no load, until you release the lever." : "Released: faults and load are allowed again.");
  } catch (error) { say(`${on ? "Not stopped" : "Not released"}: ${error.message}`, true); }
};
stop?.addEventListener("click", () => pull(true));
document.getElementById("release")?.addEventListener("click", async () => { await pull(false); stop?.focus(); });
addEventListener("keydown", (event) => {
  if (event.key === "." && (event.ctrlKey || event.metaKey) && stop) {
    event.preventDefault();
    if (may("operator")) pull(true); else say(document.getElementById("stop-hint").textContent, true);
  }
});
// Pages whose stream tells of it need not ask.
if (banner) {
  setInterval(async () => {
    if (document.hidden || Date.now() - told < 10_000) return;
    told = Date.now();
    try { lever(await send("GET", "panic")); } catch { /* the page says itself when nobody answers */ }
  }, 5_000);
}
// On narrow screens the sections scroll: the one that is open is seen.
document.querySelector(".bar nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
