// Jobs: start one, watch it, check, run, call off, repeat, delete.
import { may, say, send } from "./shell.js";
import { copies } from "./lib/ask.js";
import { moments, refresher } from "./lib/refresh.js";
import { listen } from "./lib/stream.js";

const byId = (id) => document.getElementById(id);
const body = (job) => (job.dataset.folder ? { folder: job.dataset.folder } : { url: job.dataset.url, ref: job.dataset.ref });

/** Say what is wrong at its field, or below all of them. */
function wrong(form, error) {
  for (const one of form.querySelectorAll(".field-error")) one.textContent = "";
  for (const one of form.querySelectorAll("[aria-invalid]")) one.removeAttribute("aria-invalid");
  if (!error) return;
  const name = error.problem?.pointer?.slice(1), place = name && form.querySelector(`[data-field="${CSS.escape(name)}"]`);
  const line = place?.querySelector(".field-error") ?? form.querySelector("#problem");
  line.textContent = error.message;
  const input = place?.querySelector("input");
  input?.setAttribute("aria-invalid", "true");
  input?.focus();
}

// ---- a new one

byId("start")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target, button = form.querySelector("[type=submit]");
  const given = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value));
  button.disabled = true;
  wrong(form, null);
  try { location.assign((await send("POST", "jobs", given)).url_here); }
  catch (error) { wrong(form, error); button.disabled = false; }
});

// ---- one of them

const page = byId("job");
async function act(what, button) {
  const job = byId("job"), id = job.dataset.id;
  if (what === "delete") { byId("delete-error").textContent = ""; byId("delete").showModal(); return; }
  button.disabled = true;
  try {
    if (what === "again") { location.assign((await send("POST", "jobs", body(job))).url_here); return; }
    const found = await send("POST", `jobs/${id}/${what}`);
    if (what === "replay") location.assign(found.url_here);
    else fresh();
    if (what === "cancel") say("It is called off.");
  } catch (error) { say(error.message, true); button.disabled = false; }
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (button) act(button.dataset.act, button);
});
document.addEventListener("submit", async (event) => {
  if (event.target.id !== "go") return;
  event.preventDefault();
  const form = event.target, button = form.querySelector("[type=submit]");
  const boxes = [...document.querySelectorAll('input[name="item"]')];
  const items = boxes.filter((one) => one.checked).map((one) => Number(one.value)), target = byId("aim").value.trim();
  button.disabled = true;
  wrong(form, null);
  try {
    await send("POST", `jobs/${byId("job").dataset.id}/run`, { ...(items.length < boxes.length ? { items } : {}), ...(target ? { target } : {}) });
    say("It goes on by itself: environment, check, queue, run.");
    fresh();
  } catch (error) { wrong(form, error); button.disabled = false; }
});
byId("delete-yes")?.addEventListener("click", async () => {
  try { await send("DELETE", `jobs/${page.dataset.id}`); location.assign("/jobs"); }
  catch (error) { byId("delete-error").textContent = error.message; }
});

// ---- what goes on

const fresh = refresher([page ? "job" : "jobs"], 300, () => copies());
const mine = (data) => !page || data.id === page.dataset.id || data.id === undefined;
listen("/api/v1/events", {
  job: (data) => { if (page && data.id === page.dataset.id && data.state === "deleted") location.assign("/jobs"); else if (mine(data)) fresh(); },
  snapshot: () => { if (!page || byId("job").dataset.busy) fresh(); },
});
moments();
copies();
setInterval(() => { if (!document.hidden) moments(); }, 30_000);
if (!may("admin")) for (const one of document.querySelectorAll("[data-act]")) one.hidden = true;
