// On every page: Stop everything, and changes that say what went wrong.
const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";
let form = meta("csrf-token");
export const renew = (token) => { if (token) form = token; };
export const may = (role) => ["viewer", "operator", "admin"].indexOf(meta("role")) >= ["viewer", "operator", "admin"].indexOf(role);

/** Tell everyone, also those who do not see; what failed stays until the next word. */
export const say = (text, failed = false) => {
  const box = document.getElementById("say");
  box.textContent = text;
  box.className = failed ? "toast" : "sr";
};

/** Ask for a change. Gives the answer's JSON (or null); throws an Error with `problem` and a sentence. */
export async function send(method, path, body) {
  const reply = await fetch(path.startsWith("/") ? path : `/api/v1/${path}`, {
    method, signal: AbortSignal.timeout(15000),
    headers: { "Content-Type": "application/json", "X-CSRF-Token": form },
    body: method === "GET" ? undefined : JSON.stringify(body ?? {}),
  });
  const text = await reply.text();
  const data = text ? JSON.parse(text) : null;
  if (!reply.ok) throw Object.assign(new Error(data?.title ?? `status ${reply.status}`), { problem: data, status: reply.status });
  return data;
}

const stop = async () => {
  try { await send("PUT", "panic", { on: true }); say("Everything is stopped: no fault, no load, until you release the lever."); }
  catch (error) { say(`Not stopped: ${error.message}`, true); }
};
document.getElementById("stop")?.addEventListener("click", stop);
addEventListener("keydown", (event) => {
  if (event.key === "." && (event.ctrlKey || event.metaKey)) { event.preventDefault(); stop(); }
});
