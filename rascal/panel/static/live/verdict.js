// The verdict so far, or for good: its shape, its word, one sentence, and what it stands on.
import { count, ms, share, span } from "../lib/format.js";
import { about, going, phaseNow, store } from "./store.js";
import { html, useTopics } from "./use.js";

const MARK = { met: "M2.5 7.5 L5.5 10.5 L11.5 3.5", missed: "M3 3 L11 11 M11 3 L3 11", open: "M3 7 L11 7" };
const MEANS = { met: ["pass", "met"], missed: ["fail", "not met"], open: ["open", "no objective"] };
const TESTS = { ">=": "at least", "<=": "at most", ">": "more than", "<": "less than", "==": "exactly", "=": "exactly" };
const NAMES = { p50: "p50 latency", p95: "p95 latency", p99: "p99 latency",  goodput_kept: "Goodput kept", time_to_recover: "Time to recover", attempts: "Attempts per call" };
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** Of an objective's text: what it is about, and what was asked for. */
function parts(one) {
  const found = /^(.*?)\s*(>=|<=|==|>|<|=)\s*([^\s]+(?:\s*[a-z%µ/]+)?)(.*)$/i.exec(one.name);
  if (!found) return [capital(one.name), ""];
  const [, name, test, limit, rest] = found;
  return [NAMES[name.trim()] ?? capital(name.trim().replaceAll("_", " ")), `${TESTS[test] ?? test} ${limit.replace(/(\d)\s*(%|[a-zµ]+)/gi, "$1 $2")}${rest}`.trim()];
}
function value(one) {
  const v = one.value;
  if (v == null) return "–";
  if (one.type === "percentage" || one.type === "share") return share(v, v > 0.995 && v < 1 ? 1 : 0);
  if (one.type === "duration") return v < 10 && /^p\d|latency/.test(one.name) ? ms(1000 * v) : span(v);
  if (one.type === "rate") return `${count(v, 1)}/s`;
  return `${count(v, v < 10 ? 2 : 0)}${/^attempts/.test(one.name) ? " ×" : ""}`;
}

function Measure({ one }) {
  const state = one.met === true ? "met" : one.met === false ? "missed" : "open", [tone, word] = MEANS[state], [name, goal] = parts(one);
  const shareOf = ["percentage", "share"].includes(one.type) && one.limit != null && one.value != null;
  const detail = [one.flow && `in ${one.flow}`, goal || (one.limit == null && one.why === "" ? "" : one.why), state === "open" && goal && "not known yet"].filter(Boolean).join(", ");
  return html`<li><svg class=${`mark ${tone}`} viewBox="0 0 14 14" role="img" aria-label=${word}><path d=${MARK[state]}/></svg><span>${name}</span><b class="num">${value(one)}</b>
    ${(detail || shareOf) && html`<span class="goal">${detail}${shareOf && html`<span class="meter" aria-hidden="true"><i style=${{ width: `${Math.min(100, 100 * one.value)}%` }}></i><em style=${{ left: `${Math.min(99, 100 * one.limit)}%` }}></em></span>`}</span>`}
    ${state === "missed" && one.why && !detail.includes(one.why) && html`<span class="goal">${one.why}</span>`}</li>`;
}

function so(v) {
  if (v.sentence) return v.sentence;
  const phase = phaseNow()?.kind, low = v.kept != null ? ` Goodput is at ${share(v.kept)} of what is usual, at the same offered load.` : "";
  if (!v.word) return phase === "fault" ? `${v.remark ? `${capital(v.remark)}.` : ""}${low}`.trim() || "The fault is on; its effect is being measured." : "The baseline is being measured: what is usual, before anything goes wrong.";
  const remark = v.remark ? ` ${capital(v.remark)}.` : "";
  return `So far: ${(about.meanings[v.word] ?? "as named").replace(/^stuck: /, "")}.${low}${remark || (phase === "fault" ? " Recovery is judged once the fault ends." : "")}`;
}

function Word({ word, fallback }) {
  const sign = about.signs[word] ?? { path: "", dashed: "M4 17H42", tone: "none" };
  return html`<div class=${`word-line v-${sign.tone}`}><svg class="glyph" viewBox="0 0 46 34" aria-hidden="true"><rect x="14" y="0" width="14" height="34"/>${sign.path && html`<path class="m" d=${sign.path}/>`}${sign.dashed && html`<path class="m dashed" d=${sign.dashed}/>`}</svg>
    <h2 id="verdict">${word ? capital(word) : fallback}</h2></div>`;
}

function Why({ v }) {
  const lines = (v.reasons ?? []).filter((one) => !(v.sentence ?? "").includes(String(one)));
  if (!lines.length) return null;
  return html`<ul class="reasons" aria-label="Why">${lines.map((one) => html`<li key=${one}>${capital(String(one))}</li>`)}</ul>`;
}

function Expected({ v }) {
  if (!v.expect) return null;
  const [tone, mark, word] = { yes: ["pass", "✓", "as expected"], no: ["fail", "✗", "not as expected"], unsure: ["open", "?", "this run cannot tell"] }[v.met] ?? ["open", "", "expected"];
  return html`<p class="expected"><span>Expected: ${v.expect}</span>${v.met && html`<b class=${tone}>${mark} ${word}</b>`}</p>`;
}

/** Of a load run: its objectives. */
function Objectives({ v }) {
  const missed = v.measures.filter((one) => one.met === false).length, sound = store.state.exit !== 3;
  const word = !sound ? "Invalid" : missed ? `${missed} of ${v.measures.length} not met` : v.measures.every((one) => one.met == null) ? "Nothing to say yet" : "All met";
  return html`<section class=${`card verdict v-${!sound ? "none" : missed ? "bad" : "ok"}`} aria-label="Verdict"><div class="top"><span>Objectives</span>${v.provisional && html`<span class="chip">Provisional</span>`}</div>
    <h2 class="short">${word}</h2>${!sound && html`<p>${capital(store.state.why || "the measurement is not sound")}.</p>`}
    <ul class="measures">${v.measures.map((one) => html`<${Measure} key=${one.name + one.flow} one=${one}/>`)}</ul></section>`;
}

export function Verdict() {
  useTopics("verdict", "phases", "state");
  const v = store.verdict, experiment = store.run.kind === "experiment";
  if (!experiment) return v?.measures?.length ? html`<${Objectives} v=${v}/>` : null;
  if (!v) {
    const early = store.state.status === "ended";
    return html`<section class="card verdict v-none" aria-label="Verdict"><div class="top"><span>Verdict</span>${going() && html`<span class="chip">Provisional</span>`}</div>
      <${Word} word=${early ? "ended early" : ""} fallback=${store.state.status === "judging" ? "Being judged" : "Nothing to say yet"}/>
      <p>${early ? "It was ended before it could be judged." : store.state.status === "judging" ? "The load has ended; what was recorded is being judged." : "It comes after the baseline and the first fault. Until then Rascal only measures."}</p></section>`;
  }
  const early = !v.provisional && !v.word, fallback = early ? "Ended early" : phaseNow()?.kind === "fault" ? "Fault in progress" : "Measuring";
  return html`<section class="card verdict" aria-label="Verdict"><div class="top"><span>Verdict</span>${v.provisional ? html`<span class="chip">Provisional</span>` : v.sure === false && html`<span class="chip">Unsure</span>`}</div>
    <${Word} word=${early ? "ended early" : v.word} fallback=${fallback}/>
    ${v.word === "invalid" ? html`<${Why} v=${v}/>` : null}<p>${so(v)}</p>${v.word !== "invalid" && !v.provisional ? html`<${Why} v=${v}/>` : null}
    <${Expected} v=${v}/>
    ${v.measures?.length > 0 && html`<ul class=${`measures ${v.word === "invalid" ? "void" : ""}`}>${v.measures.map((one) => html`<${Measure} key=${one.name + one.flow} one=${one}/>`)}</ul>`}</section>`;
}
