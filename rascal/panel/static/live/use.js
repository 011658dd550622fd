// Small things that all parts of the screen use.
import { html, render, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact-htm.js";
import { may, say, send } from "../shell.js";
import { on, store } from "./store.js";

export { html, may, render, say, send, useEffect, useLayoutEffect, useRef, useState };

/** Render again when one of these topics changes. */
export function useTopics(...topics) {
  const [, bump] = useState(0);
  useEffect(() => on((changed) => { if (topics.some((topic) => changed.has(topic))) bump((n) => n + 1); }), []);
}

/** What a refused change says, in one sentence. */
export const reason = (error) => {
  const first = error.problem?.errors?.[0]?.title ?? error.problem?.detail;
  const text = error.name === "TimeoutError" ? "the panel did not answer in time" : first && first !== error.message ? `${error.message}: ${first}` : error.message;
  return text.charAt(0).toUpperCase() + text.slice(1);
};
/** Ask for a change; says what came of it. Gives the answer, or throws. */
export async function attempt(done, method, path, body) {
  try {
    const answer = await send(method, path, body);
    if (done) say(done);
    return answer;
  } catch (error) {
    say(`Not done. ${reason(error)}`, true);
    throw error;
  }
}

/** Where a stretch of time stands in the window that is shown. */
export const place = (from, to) => {
  const { min, max } = store.view, width = max - min;
  return { left: `${(100 * (from - min)) / width}%`, width: `${(100 * Math.max(0, to - from)) / width}%` };
};
export const outside = (from, to) => to < store.view.min || from > store.view.max;
export const api = (path = "") => `runs/${encodeURIComponent(store.run.id)}${path}`;

/** A dialog that is open as long as it is drawn. */
export function Dialog({ title, lead, onClose, children, wide }) {
  const box = useRef();
  useEffect(() => { box.current.showModal(); }, []);
  return html`<dialog ref=${box} class=${wide ? "wide-dialog" : ""} aria-labelledby="dialog-title" onClose=${onClose}>
    <form method="dialog" onSubmit=${(event) => { if (event.submitter?.value !== "cancel") event.preventDefault(); }}>
      <h2 id="dialog-title">${title}</h2>${lead && html`<p class="lead">${lead}</p>`}${children}</form></dialog>`;
}
export const Switch = ({ on: checked, name, disabled, title, onFlip, busy }) => html`
  <button type="button" class="switch" role="switch" aria-checked=${String(checked)} aria-label=${name} aria-busy=${busy ? "true" : undefined} title=${title} disabled=${disabled} onClick=${onFlip}></button>`;
export const Tag = ({ letter, on: active }) => html`<span class=${`tag ${active ? "on" : ""}`} aria-hidden="true">${letter}</span>`;
