// Questions that follow the typing: the newest answer counts, older ones are dropped.
import { send } from "../shell.js";

/** Gives ask(body): waits until typing rests for `rest` ms, then tells `heard(answer)` or `failed(error)`. */
export function asking(path, heard, failed, rest = 180) {
  let timer = 0, newest = 0;
  const go = async (body) => {
    const mine = ++newest;
    try {
      const answer = await send("POST", path, body);
      if (mine === newest) heard(answer);
    } catch (error) {
      if (mine === newest) failed(error);
    }
  };
  return (body, now = false) => {
    clearTimeout(timer);
    if (now) return go(typeof body === "function" ? body() : body);
    timer = setTimeout(() => go(typeof body === "function" ? body() : body), rest);
  };
}

/** Reload once what the server was still reading is there. */
export async function pending(root = document) {
  const waits = root.querySelector("[data-pending]");
  if (!waits) return;
  try { await send("GET", waits.dataset.pending); location.reload(); }
  catch (error) { waits.textContent = error.message; }
}

/** Buttons with data-copy="ID" copy the text of that element. */
export function copies(root = document) {
  for (const button of root.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const text = document.getElementById(button.dataset.copy).textContent;
      try { await navigator.clipboard.writeText(text); }
      catch { const range = document.createRange(); range.selectNodeContents(document.getElementById(button.dataset.copy)); getSelection().removeAllRanges(); getSelection().addRange(range); return; }
      const said = button.textContent;
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = said; }, 1500);
    });
  }
}

/** Make an element: el("p", { class: "dim" }, "text", child…). Texts stay texts. */
export function el(name, about = {}, ...children) {
  const svg = ["svg", "path", "rect", "line", "text", "g", "circle", "title"].includes(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(about)) {
    if (value == null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((one) => one != null && one !== false));
  return made;
}
