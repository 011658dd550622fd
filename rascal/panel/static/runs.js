// The history of runs: choose some to compare, tend to one, watch those that go on.
import { may, say, send } from "./shell.js";
import { clock, rate } from "./lib/format.js";
import { moments, refresher } from "./lib/refresh.js";
import { listen } from "./lib/stream.js";

const MOST = 5;
const byId = (id) => document.getElementById(id);
const chosen = new Map(); // run -> name, over all pages of this visit

// ---- compare

function choices() {
  for (const box of document.querySelectorAll(".pick input")) {
    box.checked = chosen.has(box.value);
    box.disabled = !box.checked && chosen.size >= MOST;
  }
  const runs = [...chosen.keys()];
  byId("chosen").hidden = !runs.length;
  byId("chosen-words").textContent = runs.length === 1 ? `#${runs[0]} chosen, choose another` : runs.length >= MOST ? `${runs.length} chosen, that is all` : `${runs.length} chosen`;
  const link = byId("compare");
  link.textContent = runs.length > 1 ? `Compare ${runs.length}` : "Compare";
  link.hidden = runs.length < 2;
  link.href = `/compare?runs=${[...runs].sort((a, b) => a - b).join(",")}`;
}
document.addEventListener("change", (event) => {
  const box = event.target;
  if (box.matches(".pick input")) {
    if (box.checked) chosen.set(box.value, box.closest("tr").dataset.name); else chosen.delete(box.value);
    choices();
  } else if (box.matches("#filters select")) box.form.requestSubmit();
});
byId("filters")?.addEventListener("formdata", (event) => {
  for (const [name, value] of [...event.formData]) if (!value) event.formData.delete(name);
});

// ---- tend to one run

const tend = byId("tend"), remove = byId("delete");
let tended = null;
const FILES = [["report.html", "Report"], ["report.json", "JSON"], ["report.csv", "CSV"], ["junit.xml", "JUnit"], ["report.md", "Markdown"], ["latency.hlog", "HdrHistogram log"]];

function open(row) {
  const { run, name, labels, baseline, state } = row.dataset;
  tended = { run, name, labels: JSON.parse(labels), baseline: Boolean(baseline) };
  byId("tend-title").textContent = `#${run} ${name}`;
  byId("tend-name").textContent = name;
  byId("tend-labels").value = tended.labels.join(", ");
  byId("tend-baseline").checked = tended.baseline;
  byId("tend-error").textContent = "";
  byId("tend-again").href = `/runs/${run}/replay`;
  byId("tend-delete").disabled = state === "running";
  byId("tend-files").replaceChildren(...FILES.map(([file, word]) => Object.assign(document.createElement("a"), { href: `/runs/${run}/${file}`, textContent: word })));
  tend.showModal();
}
async function save() {
  const labels = byId("tend-labels").value.split(",").map((one) => one.trim()).filter(Boolean), { run } = tended;
  const add = labels.filter((one) => !tended.labels.includes(one)), gone = tended.labels.filter((one) => !labels.includes(one));
  const pinned = byId("tend-baseline").checked;
  try {
    if (add.length || gone.length) await send("PATCH", `runs/${run}`, { add, remove: gone });
    if (pinned !== tended.baseline) await send("PUT", `runs/${run}/baseline`, { on: pinned });
    tend.close();
    say(`Run ${run} is saved.`);
    history();
  } catch (error) { byId("tend-error").textContent = error.message; }
}
byId("tend-save").addEventListener("click", save);
byId("tend-labels").addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); save(); } });
byId("tend-delete").addEventListener("click", () => {
  tend.close();
  byId("delete-title").textContent = `Delete #${tended.run} ${tended.name}?`;
  byId("delete-error").textContent = "";
  remove.showModal();
});
byId("delete-yes").addEventListener("click", async () => {
  try {
    await send("DELETE", `runs/${tended.run}`);
    remove.close();
    chosen.delete(tended.run);
    say(`Run ${tended.run} is deleted.`);
    history();
  } catch (error) { byId("delete-error").textContent = error.message; }
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-tend], [data-stop], [data-cancel]");
  if (!button) return;
  if (button.dataset.tend) return open(button.closest("tr"));
  button.disabled = true;
  try {
    if (button.dataset.stop) { await send("POST", `runs/${button.dataset.stop}/stop`); say(`Run ${button.dataset.stop} ends.`); }
    else { await send("DELETE", `queue/${button.dataset.cancel}`); say("It will not run."); }
  } catch (error) { say(error.message, true); button.disabled = false; }
});

// ---- what goes on

const now = refresher(["now"], 300), history = refresher(["now", "history"], 400, choices);
function going(run) {
  if (!run.id) return history();
  const item = document.querySelector(`.going [data-run="${CSS.escape(run.id)}"]`);
  if (!item || run.state === "deleted") return history();
  const part = (name, text) => { const one = item.querySelector(`[data-part="${name}"]`); if (one) one.textContent = text; };
  item.querySelector(".status").textContent = String(run.status ?? run.state).replace(/^./, (c) => c.toUpperCase());
  part("clock", `${clock(run.t ?? 0)}${run.ends ? ` of ${clock(run.ends)}` : ""}`);
  part("rate", run.rate == null ? "–" : `${rate(run.rate)}/s`);
  part("phase", run.phase?.name ?? "");
}
listen("/api/v1/events", { run: going, queue: now, snapshot: () => history() });

moments();
setInterval(() => { if (!document.hidden) moments(); }, 30_000);
choices();
if (!may("operator")) for (const one of document.querySelectorAll("[data-tend], [data-stop], [data-cancel]")) one.hidden = true;
