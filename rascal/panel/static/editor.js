// A text with line numbers, colours, and what is wrong beside its line: a textarea over a painted copy of itself.
import { el } from "./lib/ask.js";

const TOKENS = /(#.*$)|("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')|([A-Za-z_][\w.-]*)(?=\s*:(?:\s|$))|(\b\d[\w.%/]*)/gm;

export class Editor {
  /** `changed(text)` after every change, `moved(line, column)` with the caret. */
  constructor(root, changed, moved) {
    this.area = root.querySelector("textarea");
    this.paint = root.querySelector(".paint");
    this.numbers = root.querySelector(".gutter pre");
    this.findings = [];
    let escaped = false;
    this.area.addEventListener("input", () => { this.findings = this.findings.filter((one) => one.kept); this.draw(); changed(this.text); });
    this.area.addEventListener("scroll", () => this.follow());
    for (const kind of ["keyup", "click", "focus"]) this.area.addEventListener(kind, () => moved(...this.caret()));
    this.area.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { escaped = true; return; }
      if (event.key === "Tab" && !escaped && !event.ctrlKey && !event.altKey) { event.preventDefault(); this.indent(event.shiftKey); }
      else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) { event.preventDefault(); this.newline(); }
      escaped = event.key === "Shift" && escaped;
    });
    new ResizeObserver(() => this.follow()).observe(this.area);
    this.draw();
  }

  get text() { return this.area.value; }

  /** Put another text in, so that undo brings the old one back. */
  set text(text) {
    const old = this.area.value;
    if (old === text) return;
    let a = 0, b = 0;
    while (a < old.length && a < text.length && old[a] === text[a]) a += 1;
    while (b < old.length - a && b < text.length - a && old[old.length - 1 - b] === text[text.length - 1 - b]) b += 1;
    const focus = document.activeElement, { scrollTop, scrollLeft } = this.area;
    this.area.focus({ preventScroll: true });
    this.area.setSelectionRange(a, old.length - b);
    const middle = text.slice(a, text.length - b);
    if (!document.execCommand(middle ? "insertText" : "delete", false, middle)) {
      this.area.setRangeText(middle, a, old.length - b, "end");
      this.area.dispatchEvent(new Event("input"));
    }
    this.area.scrollTop = scrollTop; this.area.scrollLeft = scrollLeft;
    if (focus !== this.area) focus?.focus?.({ preventScroll: true });
    this.flash(text.slice(0, a).split("\n").length, middle.split("\n").length);
  }

  caret() {
    const before = this.text.slice(0, this.area.selectionStart).split("\n");
    return [before.length, before[before.length - 1].length + 1];
  }

  insert(text) {
    this.area.focus();
    if (!document.execCommand("insertText", false, text)) { this.area.setRangeText(text, this.area.selectionStart, this.area.selectionEnd, "end"); this.area.dispatchEvent(new Event("input")); }
  }

  newline() {
    const line = this.text.slice(0, this.area.selectionStart).split("\n").pop();
    const deep = line.match(/^\s*/)[0], more = /:\s*$/.test(line) ? "  " : "", item = line.match(/^\s*(- )\S/) ? "- " : "";
    this.insert(`\n${deep}${more}${item}`);
  }

  indent(back) {
    if (!back) { this.insert("  "); return; }
    const start = this.text.lastIndexOf("\n", this.area.selectionStart - 1) + 1;
    const blanks = this.text.slice(start).match(/^ {0,2}/)[0].length;
    if (!blanks) return;
    const at = this.area.selectionStart;
    this.area.setSelectionRange(start, start + blanks);
    document.execCommand("delete");
    this.area.setSelectionRange(Math.max(start, at - blanks), Math.max(start, at - blanks));
  }

  /** Go to a line, and a column if it is known. */
  go(line, column = 1) {
    const at = this.text.split("\n").slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0) + column - 1;
    this.area.focus();
    this.area.setSelectionRange(at, at);
    this.area.scrollTop = Math.max(0, (line - 6) * this.height());
  }

  height() { return parseFloat(getComputedStyle(this.area).lineHeight); }

  /** What is wrong: [{line, column, message}]. */
  show(findings) { this.findings = findings; this.draw(); }

  flash(line, many) {
    this.changed = [line, line + many - 1];
    this.draw();
    clearTimeout(this.fading);
    this.fading = setTimeout(() => { this.changed = null; this.draw(); }, 1400);
  }

  draw() {
    const wrong = new Map();
    for (const one of this.findings) if (one.line && !wrong.has(one.line)) wrong.set(one.line, one);
    const lines = this.text.split("\n");
    this.paint.replaceChildren(...lines.map((line, n) => {
      const bad = wrong.get(n + 1), [a, b] = this.changed ?? [0, -1];
      const row = el("div", { class: `ln${bad ? " bad" : ""}${n + 1 >= a && n + 1 <= b ? " new" : ""}` }, painted(line));
      if (bad) row.append(el("span", { class: "lens" }, brief(bad.message)));
      return row;
    }));
    this.numbers.replaceChildren(...lines.map((_, n) => el("div", { class: wrong.has(n + 1) ? "bad" : null }, String(n + 1))));
    this.follow();
  }

  follow() {
    this.paint.style.transform = `translate(${-this.area.scrollLeft}px, ${-this.area.scrollTop}px)`;
    this.numbers.style.transform = `translateY(${-this.area.scrollTop}px)`;
  }
}

/** What is wrong and what was meant, without all that is allowed: the list below has all of it. */
function brief(message) {
  const said = message.split(/; |, found|\. /)[0].replace(/\.$/, ""), near = message.match(/Did you mean '[^']*'\?/)?.[0];
  return near && !said.includes(near) ? `${said}. ${near}` : said;
}

function painted(line) {
  const parts = [];
  let last = 0;
  for (const found of line.matchAll(TOKENS)) {
    if (found[1] && found.index > 0 && !/\s/.test(line[found.index - 1])) continue;
    parts.push(line.slice(last, found.index));
    parts.push(el("span", { class: found[1] ? "c" : found[2] ? "s" : found[3] ? "k" : "n" }, found[0]));
    last = found.index + found[0].length;
  }
  parts.push(line.slice(last) || (parts.length ? "" : " "));
  return parts;
}

/** The names above the caret: ["load"] in `load:` or within `load: {…`. */
export function pathAt(text, line, column) {
  const lines = text.split("\n"), here = lines[line - 1] ?? "", before = here.slice(0, column - 1);
  const path = [];
  // Braces that are open on this line.
  const braces = [];
  let name = "";
  for (const found of before.matchAll(/([\w.-]+)\s*:(?=\s|$)|([{}])/g)) {
    if (found[1]) name = found[1];
    else if (found[2] === "{") { braces.push(name); name = ""; } else braces.pop();
  }
  let deep = here.trim() ? here.match(/^[\s-]*/)[0].length : Math.max(0, column - 1);
  if (braces.length) {
    const outer = /^\s*- *\{/.test(here) && braces[0] === "" ? [] : braces.filter(Boolean);
    path.unshift(...outer);
  }
  for (let n = line - 2; n >= 0 && deep > 0; n -= 1) {
    const found = lines[n].match(/^([\s-]*)([\w.-]+)\s*:(\s|$)/);
    if (found && found[1].length < deep && !lines[n].trim().startsWith("#")) { path.unshift(found[2]); deep = found[1].length; }
  }
  if (deep === 0 && !braces.length && /^\s*-/.test(here)) for (let n = line - 2; n >= 0; n -= 1) { const top = lines[n].match(/^([\w.-]+)\s*:/); if (top) { path.unshift(top[1]); break; } }
  return path;
}

/** The members that the schema allows at a path: {name: schema}, or null. */
export function allowed(schema, path) {
  let here = [schema];
  const open = (one) => [one, ...(one.anyOf ?? []).flatMap(open), ...(one.oneOf ?? []).flatMap(open), ...(one.items ? open(one.items) : [])];
  for (const name of path) {
    here = here.flatMap(open).map((one) => one.properties?.[name] ?? (typeof one.additionalProperties === "object" ? one.additionalProperties : null)).filter(Boolean);
  }
  const all = Object.assign({}, ...here.flatMap(open).map((one) => one.properties ?? {}));
  return Object.keys(all).length ? all : null;
}
