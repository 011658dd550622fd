// The agents, looked at every two seconds while the page is seen; one request of each.
import { say, send } from "./shell.js";
import { copies, el } from "./lib/ask.js";
import { ms } from "./lib/format.js";
import { refresh } from "./lib/refresh.js";

const look = async () => { if (!document.hidden) try { await refresh("agents"); } catch { say("The panel does not answer; trying again.", true); } };
setInterval(look, 2000);
if (document.querySelector("#agents .wait")) setTimeout(look, 300);
copies();

const form = document.getElementById("check"), error = document.getElementById("check-error");
form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  error.textContent = "";
  const button = form.querySelector("[type=submit]"), root = document.getElementById("checked");
  button.disabled = true;
  root.replaceChildren(el("p", { class: "dim", role: "status" }, "Each agent sends one request…"));
  try {
    const { agents } = await send("POST", "agents/check", { target: form.elements.target.value.trim() });
    const good = agents.filter((one) => one.answered).length;
    root.replaceChildren(el("p", {}, `${good} of ${agents.length} got an answer. No load was sent.`), el("table", { class: "list checks" },
      el("thead", {}, el("tr", {}, el("th", {}, "Agent"), el("th", {}, "Answer"), el("th", { class: "r" }, "Took"))),
      el("tbody", {}, ...agents.map((one) => el("tr", {}, el("td", { class: "name" }, one.name), el("td", {}, el("span", { class: `word ${one.answered ? "ok" : "bad"}` }, one.answered ? "✓ " : "✗ ", one.outcome), one.detail ? el("span", { class: "detail" }, one.detail) : null), el("td", { class: "r" }, one.took == null ? "–" : ms(one.took * 1000)))))));
  } catch (problem) { error.textContent = problem.message; root.replaceChildren(); }
  button.disabled = false;
});
