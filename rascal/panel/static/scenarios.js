// Scenario files, and the form that starts load with one.
import { may, say, send } from "./shell.js";
import { asking, copies, el, pending } from "./lib/ask.js";
import { times } from "./lib/format.js";
import { drawProfile } from "./profile.js";

times();
copies();
pending();

const form = document.getElementById("load");
if (form) begin(JSON.parse(document.getElementById("data").textContent));

/** The form as the API takes it. */
function values() {
  const found = { draw: {}, options: {} };
  const only = [...form.querySelectorAll('input[name="only"]')];
  for (const one of form.elements) {
    if (!one.name || one.name === "only" || (one.type === "radio" && !one.checked)) continue;
    const [group, name] = one.name.split(/\.(.*)/);
    const value = one.value.trim();
    if (name) found[group][name] = value;
    else if (value) found[group] = group === "labels" ? value.split(",").map((word) => word.trim()).filter(Boolean) : value;
  }
  const chosen = only.filter((one) => one.checked).map((one) => one.value);
  if (chosen.length < only.length) found.only = chosen;
  return found;
}

function begin(data) {
  const path = `scenarios/${data.name.split("/").map(encodeURIComponent).join("/")}`;
  const box = document.getElementById("profile"), run = document.getElementById("run"), once = document.getElementById("once");
  const problem = document.getElementById("problem");
  let plan = data.plan, busy = false, touched = new Set();

  const errors = (found, all) => {
    for (const place of form.querySelectorAll("[data-field]")) {
      const name = place.dataset.field, text = found[name] ?? "";
      const input = place.querySelector("input, select, textarea");
      // What nobody has touched yet is not wrong before somebody wants to run it.
      const shown = all || touched.has(name) || input?.value ? text : "";
      const line = document.getElementById(`e-${name}`);
      if (line && line.textContent !== shown) line.textContent = shown;
      if (shown) input?.setAttribute("aria-invalid", "true"); else input?.removeAttribute("aria-invalid");
    }
    const others = Object.entries(found).filter(([name]) => !form.querySelector(`[data-field="${CSS.escape(name)}"]`));
    problem.textContent = others.map(([, text]) => text).join(" ");
  };
  const shown = (all = false) => {
    const nobody = form.querySelector('input[name="only"]') && !form.querySelector('input[name="only"]:checked');
    const found = { ...plan.errors, ...(nobody ? { only: "choose one at least" } : {}) };
    errors(found, all);
    drawProfile(box, plan);
    box.setAttribute("aria-label", plan.sentence || "The load cannot be drawn yet");
    const words = plan.sentence || "Say how much load, and it is drawn here.";
    const sentence = document.getElementById("sentence");
    if (sentence.textContent !== words) sentence.textContent = words;
    if (plan.words) {
      document.getElementById("words").replaceChildren(...plan.words.flatMap(([what, text]) => [el("dt", {}, what), el("dd", {}, text)]));
      document.getElementById("command").textContent = plan.command;
    }
    run.disabled = busy || !may("operator");
    once.disabled = busy || !may("operator");
    return !Object.keys(found).length;
  };
  const ask = asking(`${path}/plan`, (answer) => { plan = answer; shown(); }, (error) => { problem.textContent = error.message; });
  const changed = (event) => {
    if (event?.target?.name) touched.add(event.target.name);
    fields();
    ask(values);
  };
  const fields = () => {
    const shape = form.elements["draw.shape"].value, closed = form.elements["draw.model"].value === "closed";
    for (const one of form.querySelectorAll("[data-shapes]")) one.hidden = !one.dataset.shapes.split(" ").includes(shape);
    const label = (name, text) => { form.querySelector(`label[for="f-draw.${name}"]`).textContent = text; };
    label("level", shape === "steady" ? (closed ? "Users" : "Arrivals") : shape === "spike" ? "Usually" : "From");
    label("peak", shape === "spike" ? "In the spike" : "Up to");
    label("every", shape === "spike" ? "Spike lasts" : "One wave lasts");
    label("for", shape === "spike" ? "Before and after" : "Lasts");
    for (const unit of form.querySelectorAll("[data-unit]")) unit.textContent = closed ? "users" : "per second";
  };
  const fresh = async () => { plan = await send("POST", `${path}/plan`, values()); return shown(true); };
  const working = (on, button, text) => {
    busy = on;
    for (const one of [run, once]) one.disabled = on || !may("operator");
    if (on) { button.dataset.said = button.textContent; button.textContent = text; } else button.textContent = button.dataset.said;
  };
  const first = () => form.querySelector('[aria-invalid="true"]')?.focus();

  form.addEventListener("input", changed);
  form.addEventListener("change", changed);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy) return;
    working(true, run, "Starting…");
    try {
      if (!(await fresh())) return first();
      const given = { ...plan.values, file: data.name };
      const agents = values().agents;
      const begun = await send("POST", "runs", { load: { ...given, ...(agents ? { agents } : {}) } });
      if (begun.url) { location.assign(begun.url); return; }
      const place = begun.queued?.position;
      problem.textContent = "";
      say(place ? `It waits for its turn: place ${place} in the queue.` : "It is starting: see Runs.");
      document.getElementById("acts-hint").replaceChildren(place ? `It waits for its turn: place ${place}. ` : "It is starting. ", el("a", { class: "link", href: "/runs" }, "Runs"));
    } catch (error) {
      const found = error.problem?.errors ?? [];
      problem.textContent = found.length ? found.map((one) => (one.line ? `${one.file ?? data.name}:${one.line}: ` : "") + one.title).join("\n") : error.message;
    } finally { working(false, run); }
  });
  once.addEventListener("click", async () => {
    if (busy) return;
    working(true, once, "Visiting…");
    try {
      plan = await send("POST", `${path}/plan`, values());
      const wrong = Object.fromEntries(Object.entries(plan.errors).filter(([name]) => !name.startsWith("draw.")));
      shown(true);
      if (Object.keys(wrong).length) return first();
      const reply = await fetch(`/api/v1/${path}/once`, { method: "POST", headers: headers(), body: JSON.stringify(values()), signal: AbortSignal.timeout(75000) });
      const trace = await reply.json();
      if (!reply.ok) throw new Error(trace.title);
      problem.textContent = "";
      show(trace);
    } catch (error) { problem.textContent = error.message; } finally { working(false, once); }
  });
  const headers = () => ({ "Content-Type": "application/json", "X-CSRF-Token": document.querySelector('meta[name="csrf-token"]').content });
  const show = (trace) => {
    const card = document.getElementById("trace-card"), word = document.getElementById("trace-word");
    document.getElementById("trace").textContent = trace.text;
    document.getElementById("trace-about").textContent = `${trace.target}, just now`;
    word.textContent = trace.well ? "went well" : "did not go well";
    word.className = `word ${trace.well ? "ok" : "bad"}`;
    card.hidden = false;
    card.scrollIntoView({ block: "nearest" });
    say(`The visit ${word.textContent}.`);
  };
  new ResizeObserver(() => drawProfile(box, plan)).observe(box);
  fields();
  shown();
  if (!may("operator")) document.getElementById("acts-hint").textContent = "You may look; to run load takes the role operator.";
}
