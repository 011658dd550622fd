// A run once more, with what was changed in the form and nothing else.
import { say, send } from "./shell.js";
import { moments } from "./lib/refresh.js";

const form = document.getElementById("again"), button = form.querySelector("[type=submit]");
const error = (name) => document.getElementById(`${name}-error`);
const NAMES = ["target", "seed", "profiles", "again"];

function changes() {
  const found = {}, profiles = {};
  for (const name of ["target", "seed"]) {
    const one = form.elements[name];
    if (one.value.trim() !== one.dataset.was) found[name] = one.value.trim();
  }
  for (const one of form.querySelectorAll("[data-profile]")) if (one.value.trim() !== one.dataset.was) profiles[one.dataset.profile] = one.value.trim();
  return Object.keys(profiles).length ? { ...found, profiles } : found;
}
const words = () => { button.textContent = Object.keys(changes()).length ? "Run with these changes" : "Run again"; };
form.addEventListener("input", words);
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  for (const name of NAMES) error(name).textContent = "";
  for (const one of form.querySelectorAll("[aria-invalid]")) one.removeAttribute("aria-invalid");
  button.disabled = true;
  say("Starting…");
  try {
    const found = await send("POST", `runs/${form.dataset.run}/replay`, changes());
    location.assign(found.url ?? "/runs");
  } catch (problem) {
    const wrong = problem.problem?.errors?.length ? problem.problem.errors : [{ title: problem.message, pointer: problem.problem?.pointer }];
    for (const one of wrong) {
      const name = NAMES.find((known) => (one.pointer ?? "").startsWith(`/${known}`)) ?? (one.option === "profile" || /profile/.test(one.title) ? "profiles" : "again");
      error(name).textContent = one.title;
      if (form.elements[name]) form.elements[name].setAttribute("aria-invalid", "true");
    }
    button.disabled = false;
  }
});
moments();
