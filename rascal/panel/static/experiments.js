// Experiments: the list, one of them, a new one, and the editor with the plan beside it.
import { say, send } from "./shell.js";
import { asking, copies, el, pending } from "./lib/ask.js";
import { times } from "./lib/format.js";
import { Editor, allowed, pathAt } from "./editor.js";
import { drawNotes, drawPlan } from "./plan.js";

times();
copies();
pending();

const byId = (id) => document.getElementById(id);
const data = byId("data") ? JSON.parse(byId("data").textContent) : null;
const addressed = (file) => file.split("/").map(encodeURIComponent).join("/");
const trouble = (error) => {
  const found = error.problem?.errors ?? [];
  byId("problem").textContent = found.length > 1 ? found.map((one) => one.title).join("\n") : error.message;
};

/** Run a file, so many times; goes to the live page when it has begun. */
async function run(file, times_, button) {
  const said = button.textContent;
  button.disabled = true;
  button.textContent = times_ > 1 ? "…" : "Starting…";
  byId("problem").textContent = "";
  try {
    const reply = await fetch(`/api/v1/experiments/${addressed(file)}/repeat`, {
      method: "POST", headers: { "Content-Type": "application/json", "X-CSRF-Token": document.querySelector('meta[name="csrf-token"]').content },
      body: JSON.stringify({ times: times_ }), signal: AbortSignal.timeout(60000),
    });
    const begun = await reply.json();
    if (!reply.ok) throw Object.assign(new Error(begun.title), { problem: begun });
    if (begun.url) { location.assign(begun.url); return; }
    say(`${times_ > 1 ? `${times_} runs wait` : "It waits"} for ${times_ > 1 ? "their" : "its"} turn: see Runs.`);
    location.assign("/runs");
  } catch (error) { trouble(error); } finally { button.disabled = false; button.textContent = said; }
}

for (const button of document.querySelectorAll("[data-run]")) button.addEventListener("click", () => run(button.dataset.run, 1, button));
if (byId("source")) edit();
else if (data) look();
if (byId("new")) fresh();

// ---- one experiment

async function look() {
  byId("run")?.addEventListener("click", () => run(data.file, 1, byId("run")));
  byId("repeat")?.addEventListener("click", () => run(data.file, Math.min(50, Math.max(2, Number(byId("times").value) || 2)), byId("repeat")));
  let checked = data.checked;
  const show = () => {
    drawPlan(byId("plan"), checked?.plan, null, checked ? undefined : "Reading the file…");
    drawNotes(byId("notes"), byId("plan-word"), checked?.plan);
    const wrong = checked?.findings ?? [];
    if (wrong.length) byId("notes").prepend(el("section", { class: "card broken", "aria-label": "What is wrong" }, el("h2", {}, "What is wrong with it"), el("ul", { class: "body findings" }, wrong.map(line))));
  };
  show();
  new ResizeObserver(() => { if (checked?.plan) drawPlan(byId("plan"), checked.plan); }).observe(byId("plan"));
  // What the server knew was drawn at once; the proxies or the scenario file may have changed since.
  try { checked = await send("GET", `experiments/${addressed(data.file)}/plan`); show(); } catch (error) { trouble(error); }
}

const where = (one) => `${one.file ?? data.file}${one.line ? `:${one.line}` : ""}`;
const line = (one) => el("li", {}, el("code", { class: "mono" }, where(one)), ` ${one.message}`);

// ---- a new one

function fresh() {
  const form = byId("new");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    for (const one of form.querySelectorAll(".field-error")) one.textContent = "";
    for (const one of form.querySelectorAll("[aria-invalid]")) one.removeAttribute("aria-invalid");
    const given = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]));
    if (!/\.ya?ml$/.test(given.file)) given.file += ".yml";
    try {
      const made = await send("POST", "experiments/starter", given);
      const saved = await send("POST", "experiments", { file: made.file, text: made.text });
      location.assign(`${saved.url}/edit`);
    } catch (error) {
      const found = error.problem?.errors ?? [{ title: error.message, option: error.problem?.pointer === "/name" ? "file" : "" }];
      for (const one of found) {
        const name = one.option ?? "", place = byId(`e-${name}`) ?? byId("problem");
        place.textContent = one.title;
        byId(`f-${name}`)?.setAttribute("aria-invalid", "true");
      }
      form.querySelector('[aria-invalid="true"]')?.focus();
    }
  });
}

// ---- the editor

function edit() {
  let digest = data.digest, saved = byId("source").value, checked = null;
  const file = () => byId("file")?.value.trim() || data.file;
  const problem = byId("problem"), well = byId("well");
  if (!digest) saved = "";

  const ask = asking("experiments/check", (answer) => { checked = answer; show(); }, (error) => { well.textContent = "not checked"; well.className = "word none"; trouble(error); }, 250);
  const check = (now) => ask(() => ({ text: editor.text, file: file() }), now);
  const editor = new Editor(byId("editor"), () => { mark(); check(); }, help);
  const hands = {
    moved: (fault, begins, ends) => redrawn({ fault, begins, ends }),
    lasting: (phase, seconds) => redrawn({ phase, seconds }),
  };

  async function redrawn(change) {
    try {
      const answer = await send("POST", "experiments/moved", { text: editor.text, file: file(), ...change });
      problem.textContent = "";
      editor.text = answer.text;
      check(true);
    } catch (error) { trouble(error); show(); }
  }
  function show() {
    problem.textContent = "";
    const wrong = checked.findings, mine = wrong.filter((one) => !one.of && (!one.file || one.file === file()));
    editor.show(mine);
    byId("findings").replaceChildren(...wrong.map((one) => {
      const here = mine.includes(one) && one.line;
      return el("li", {}, here ? el("button", { class: "link mono", type: "button", onclick: () => editor.go(one.line, one.column ?? 1) }, `line ${one.line}`) : el("code", { class: "mono" }, where(one)), ` ${one.message}`);
    }));
    well.textContent = wrong.length ? `${wrong.length} ${wrong.length === 1 ? "mistake" : "mistakes"}` : "✓ no mistakes";
    well.className = `word ${wrong.length ? "bad" : "ok"}`;
    if (checked.plan) { drawPlan(byId("plan"), checked.plan, hands); drawNotes(byId("notes"), byId("plan-word"), checked.plan); byId("plan").classList.remove("stale"); }
    else if (byId("plan").querySelector(".row")) { byId("plan").classList.add("stale"); byId("plan-word").textContent = "as it was before the mistake"; }
    else drawPlan(byId("plan"), null);
    byId("save-run").disabled = wrong.length > 0;
  }
  function mark() {
    const changed = editor.text !== saved;
    byId("save").disabled = !changed;
    byId("editor-title").textContent = changed ? "The file, not saved yet" : "The file";
  }
  function help(line, column) {
    const path = pathAt(editor.text, line, column), names = allowed(data.schema, path) ?? {};
    const entries = Object.entries(names);
    const shown = entries.length ? path : [];
    byId("here-title").textContent = shown.length ? `May stand in ${shown.join(" › ")}` : "May stand here";
    byId("here").replaceChildren(...(entries.length ? entries : Object.entries(allowed(data.schema, []))).flatMap(([name, one]) => [
      el("dt", {}, el("button", { class: "link mono", type: "button", onclick: () => editor.insert(`${name}: `) }, name)),
      el("dd", {}, told(one))]));
  }
  const told = (one) => [one.description ?? "", one.enum ? ` (${one.enum.map((word) => (word === true ? "yes" : word === false ? "no" : word)).filter((word, n, all) => all.indexOf(word) === n).slice(0, 12).join(", ")})` : "", one.default ? `, usually ${one.default}` : ""].join("");

  async function save() {
    const text = editor.text;
    try {
      const kept = digest ? await send("PUT", `experiments/${addressed(file())}`, { text, digest }) : await send("POST", "experiments", { file: file(), text });
      saved = text;
      mark();
      byId("conflict").hidden = true;
      say("Saved.");
      if (!digest) { history.replaceState(null, "", `${kept.url}/edit`); location.reload(); }
      digest = kept.digest;
      return true;
    } catch (error) {
      if (error.problem?.type?.endsWith("/changed")) conflict(error.message); else trouble(error);
      return false;
    }
  }
  function conflict(message) {
    const box = byId("conflict");
    box.replaceChildren(el("p", {}, message), el("div", { class: "acts" },
      el("button", { class: "btn", type: "button", onclick: () => { saved = editor.text; location.reload(); } }, "Take theirs"),
      el("button", { class: "btn", type: "button", onclick: async () => {
        try { digest = (await send("GET", `experiments/${addressed(file())}`)).digest; await save(); } catch (error) { trouble(error); }
      } }, "Keep mine")));
    box.hidden = false;
    box.scrollIntoView({ block: "nearest" });
  }
  byId("save").addEventListener("click", save);
  byId("save-run").addEventListener("click", async () => { if ((editor.text === saved && digest) || (await save())) run(file(), 1, byId("save-run")); });
  byId("fits").addEventListener("click", async () => {
    byId("fits").disabled = true;
    try {
      const { findings } = await send("POST", "experiments/fits", { text: editor.text, file: file() });
      if (!findings.length) { say("The proxies can do all of it."); well.textContent = "✓ the proxies can do it"; well.className = "word ok"; }
      else { checked = { ...checked, findings: [...(checked?.findings ?? []), ...findings] }; show(); }
    } catch (error) { trouble(error); } finally { byId("fits").disabled = false; }
  });
  addEventListener("keydown", (event) => { if ((event.ctrlKey || event.metaKey) && event.key === "s") { event.preventDefault(); save(); } });
  addEventListener("beforeunload", (event) => { if (editor.text !== saved) event.preventDefault(); });
  new ResizeObserver(() => { if (checked?.plan) drawPlan(byId("plan"), checked.plan, hands); }).observe(byId("plan"));
  byId("file")?.addEventListener("input", () => check());
  drawPlan(byId("plan"), null, null, "Reading the file…");
  mark();
  help(1, 1);
  check(true);
}
