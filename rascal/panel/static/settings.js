// Settings: log out, copy, try an observer, the audit log as it grows.
import { say, send } from "./shell.js";
import { copies } from "./lib/ask.js";
import { moments, refresh, refresher } from "./lib/refresh.js";
import { listen } from "./lib/stream.js";

document.getElementById("log-out")?.addEventListener("click", async () => {
  try { await send("POST", "/logout"); location.assign("/login"); } catch (error) { say(error.message, true); }
});
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-try]");
  if (!button) return;
  button.disabled = true;
  try { const found = await send("POST", button.dataset.try); if (found?.ok === false) say(`It failed: ${found.why}`, true); else say("It was told."); setTimeout(() => location.reload(), 600); }
  catch (error) { say(error.message, true); button.disabled = false; }
});
document.getElementById("prove")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target, said = document.getElementById("proved"), error = document.getElementById("prove-error");
  error.textContent = ""; said.className = "dim"; said.textContent = "Looking…";
  try {
    const found = await send("POST", form.dataset.path, { target: form.elements.target.value.trim() });
    said.className = `word ${found.ok ? "ok" : "bad"}`;
    said.textContent = `${found.ok ? "✓" : "✗"} ${found.host} is ${found.state}: ${found.why}`;
    await refresh("hosts");
  } catch (problem) { said.textContent = ""; error.textContent = problem.message; }
});
document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
copies();
moments();
if (document.getElementById("audit")) { const again = refresher(["audit"], 300); listen("/api/v1/events", { audit: again }); }
if (document.getElementById("nodes")) { const again = refresher(["nodes"], 500); listen("/api/v1/events", { node: again }); }
