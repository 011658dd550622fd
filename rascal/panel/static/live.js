// The screen of a run: live while it goes on, the same and still when it is over.
import { Blast } from "./live/blast.js";
import { Exchanges } from "./live/exchanges.js";
import { Banner, Head } from "./live/head.js";
import { Health } from "./live/health.js";
import { Inject } from "./live/inject.js";
import { Log } from "./live/log.js";
import { connect, on, store } from "./live/store.js";
import { Timeline } from "./live/timeline.js";
import { html, render, useState } from "./live/use.js";
import { Verdict } from "./live/verdict.js";

function Live() {
  const [injecting, setInjecting] = useState(false);
  return html`<${Banner}/><${Head}/>
    <div class="board"><${Timeline} onInject=${() => setInjecting(true)}/><div class="side-col"><${Verdict}/><${Blast}/><${Health}/></div></div>
    <div class="below"><${Exchanges}/><${Log}/></div>
    ${injecting && html`<${Inject} onClose=${() => setInjecting(false)}/>`}`;
}

const main = document.getElementById("main");
const off = on(() => {
  if (!store.ready) return;
  off();
  main.replaceChildren(); // what the server drew has done its part
  render(html`<${Live}/>`, main);
  document.body.dataset.ready = "1";
});
connect();
