// A fault, recipe or script as a dialog, drawn from the node's own option tables and checked by the node while one types.
import { html, render, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { may, say, send } from "../shell.js";
import { fields, groups, mapOf, START, words } from "./faultwords.js";
import { collection as collectionOf } from "./faults.js";
import { at, check, place } from "./nodes.js";

const CLAUSES = ["match", "for", "probability", "at", "direction", "every", "skip", "count", "per", "on_remove"];
const WHOLE = ["every", "skip", "count"];
const tables = new Map(); // of a node and protocol: they never change while a page is open

async function vocabulary(node, proxy) {
  const about = await send("GET", place(node, at(proxy)));
  const key = `${node}/${about.protocol}`;
  if (!tables.has(key)) {
    const [kinds, protocol, recipes] = await Promise.all([
      send("GET", place(node, `kinds?protocol=${about.protocol}`)), send("GET", place(node, `protocols/${about.protocol}`)), send("GET", place(node, "recipes"))]);
    const fitting = Object.fromEntries(Object.entries(recipes).filter(([, one]) => !one.protocols?.length || one.protocols.includes(about.protocol)));
    tables.set(key, { kinds, protocol, recipes: fitting });
  }
  return tables.get(key);
}

/**
 * Add a fault to a proxy, or change the one called `fault`. `kind` is chosen already, `on` false hides "Turn on now".
 * Resolves to what the node answered, or null.
 */
export async function editFault({ node, proxy, fault = "", collection = "faults", kind = "" }) {
  if (!may("operator")) { say("Operators change faults; your role is to look.", true); return null; }
  let tables_, now = null;
  try {
    tables_ = await vocabulary(node, proxy);
    if (fault) now = await check(node, at(proxy, collection, fault), {});
  } catch (error) { say(`The form cannot be shown: ${error.message}`, true); return null; }
  const box = document.createElement("dialog");
  box.className = "faultform";
  box.setAttribute("aria-labelledby", "faultform-title");
  document.body.append(box);
  return new Promise((resolve) => {
    const end = (made) => { box.close(); resolve(made); };
    box.addEventListener("close", () => { render(null, box); box.remove(); resolve(null); });
    box.addEventListener("click", (event) => { if (event.target === box) end(null); });
    render(html`<${Form} ...${{ node, proxy, tables: tables_, now, fault, collection, kind, end }} />`, box);
    box.showModal();
    (box.querySelector("[autofocus]") ?? box.querySelector("input, select, textarea"))?.focus();
  });
}

const optionsOf = (kind, protocol) => (kind === "error" ? { error: protocol.name === "http" ? "503" : Object.keys(protocol.errors ?? {})[0] ?? "" } : { ...START[kind] });

/** What the form holds at first: of nothing, or of something that is there. */
function begin({ now, collection, kind, tables: { kinds, recipes, protocol } }) {
  if (!now) {
    const first = kind || (kinds.delay ? "delay" : Object.keys(kinds)[0]);
    return { mode: collection === "scripts" ? "script" : collection === "recipes" ? "recipe" : "fault", kind: first, recipe: Object.keys(recipes)[0] ?? "", options: optionsOf(first, protocol), clauses: { for: "60s" }, name: "", text: "", steps: "" };
  }
  const { structure = {}, text } = now;
  const clauses = Object.fromEntries(CLAUSES.filter((name) => structure[name] != null).map((name) => [name, name === "match" ? now.match : Array.isArray(structure[name]) ? structure[name].join(",") : String(structure[name])]));
  const options = Object.fromEntries(Object.entries(structure.options ?? {}).map(([name, value]) => [name, typeof value === "boolean" ? value : String(value)]));
  const plain = text.replace(/ name [\w.-]+$/, "").replace(/ enabled no$/, "");
  if (now.form === "script") return { mode: "script", steps: plain.split(/, (?![^(]*\))/).join("\n"), clauses: { match: now.match }, options: {}, name: "", text: plain };
  if (now.form === "recipe") return { mode: "recipe", recipe: options.recipe, options, clauses, name: "", text: plain };
  if (now.form === "roulette") return { mode: "text", text: plain, options: {}, clauses: {}, name: "" };
  return { mode: "fault", kind: structure.kind, options, clauses, name: "", text: plain };
}

/** The request's body; of a change what is empty is taken away. */
function bodyOf(form, now) {
  const filled = (value) => value != null && value !== "";
  if (form.mode === "text") return now?.form === "roulette" ? { roulette: form.text } : { text: form.text };
  if (form.mode === "script") {
    const match = form.clauses.match;
    return { steps: form.steps.split("\n").map((one) => one.trim().replace(/,$/, "")).filter(Boolean).join(", "), ...(filled(match) || now ? { match: match || null } : {}), ...(form.name ? { name: form.name } : {}) };
  }
  if (form.mode === "recipe") {
    const options = Object.entries(form.options).filter(([name, value]) => name !== "recipe" && filled(value)).map(([name, value]) => `, ${name}=${value}`).join("");
    const clauses = ["for", "name"].map((name) => (name === "name" ? form.name : form.clauses[name])).map((value, i) => (filled(value) ? ` ${["for", "name"][i]} ${value}` : "")).join("");
    return { text: `recipe(${form.recipe}${options})${clauses}` };
  }
  const options = {}, body = { kind: form.kind };
  for (const [name, value] of Object.entries(form.options)) if (filled(value)) options[name] = form.numbers?.includes(name) && /^\d+(\.\d+)?$/.test(value) ? Number(value) : value;
  if (now) for (const name of Object.keys(now.structure.options ?? {})) if (!(name in options)) options[name] = null;
  if (now || Object.keys(options).length) body.options = options;
  for (const name of CLAUSES) {
    const value = form.clauses[name];
    if (filled(value)) body[name] = WHOLE.includes(name) && /^\d+$/.test(value) ? Number(value) : value;
    else if (now?.structure[name] != null) body[name] = null;
  }
  if (form.name) body.name = form.name;
  return body;
}

/** Where a finding belongs: "options/delay", "match", "text" … or "" for the form as a whole. */
const owner = (error, mode) => {
  const parts = (error.pointer ?? "").split("/").filter(Boolean);
  if (mode === "text" || mode === "recipe") return mode === "text" ? "text" : parts[0] === "name" ? "name" : "";
  return parts[0] === "options" ? parts.slice(0, 2).join("/") : parts[0] ?? "";
};

function Field({ id, label, hint, error, unit, children }) {
  return html`<div class="field"><label for=${id}>${label}</label><div class="in">${children}${unit && html`<span class="unit">${unit}</span>`}</div>
    ${error ? html`<p class="error" role="alert" id="${id}-error">${error}</p>` : hint && html`<small id="${id}-hint">${hint}</small>`}</div>`;
}

/** One option of a table, by its type. */
function OptionField({ name, schema, value, error, set, names }) {
  const id = `f-${name}`, label = words(name), hint = fields.hint(schema);
  const about = { id, "aria-invalid": error ? "true" : null, "aria-describedby": error ? `${id}-error` : hint ? `${id}-hint` : null };
  if (schema["x-type"] === "flag") {
    return html`<label class="check"><input type="checkbox" id=${id} checked=${value ?? schema.default ?? false} onChange=${(e) => set(e.target.checked === (schema.default ?? false) ? "" : e.target.checked)} /> <span>${label}<small class="dim"> ${hint}</small></span></label>`;
  }
  if (schema.enum) {
    return html`<${Field} id=${id} label=${label} hint=${hint} error=${error}><select ...${about} value=${value ?? ""} onChange=${(e) => set(e.target.value)}>
      <option value="">${schema.default ? `${schema.default} (usual)` : "as usual"}</option>${schema.enum.map((one) => html`<option value=${one}>${one}</option>`)}</select><//>`;
  }
  const list = names && names.length ? `${id}-names` : null;
  return html`<${Field} id=${id} label=${label} hint=${hint} error=${error}><input ...${about} value=${value ?? ""} list=${list} placeholder=${schema.default ?? fields.example(schema)} autocomplete="off" spellcheck="false" onInput=${(e) => set(e.target.value)} />
    ${list && html`<datalist id=${list}>${names.map((one) => html`<option value=${one} />`)}</datalist>`}<//>`;
}

function Choices({ tables: { kinds }, chosen, choose }) {
  const [sought, seek] = useState("");
  const found = groups(kinds, sought);
  return html`<div class="choices"><input type="search" aria-label="Search kinds of faults" placeholder="Search" value=${sought} onInput=${(e) => seek(e.target.value)} />
    <div class="kinds" role="radiogroup" aria-label="What goes wrong">${found.map(([group, names]) => html`<p class="dim" key=${group}>${group}</p>
      ${names.map((name) => html`<label key=${name} title=${kinds[name].summary}><input type="radio" name="kind" value=${name} checked=${name === chosen} onChange=${() => choose(name)} /><span>${words(name)}</span></label>`)}`)}
      ${!found.length && html`<p class="dim">Nothing is called like that.</p>`}</div></div>`;
}

function Form({ node, proxy, tables: known, now, fault, collection, kind, end }) {
  const [form, set] = useState(() => begin({ now, collection, kind, tables: known }));
  const [result, tell] = useState(now ? { said: now } : {});
  const [touched, touch] = useState(new Set());
  const [busy, work] = useState(false);
  const timer = useRef(0), newest = useRef(0);
  const { kinds, protocol, recipes } = known;
  const table = form.mode === "recipe" ? recipes[form.recipe]?.options : kinds[form.kind]?.options;
  const where = fault ? at(proxy, collection, fault) : at(proxy, { script: "scripts", recipe: "recipes" }[form.mode] ?? "faults");
  const numbers = Object.entries(table?.properties ?? {}).filter(([, one]) => ["integer", "number"].includes(one.type)).map(([name]) => name);
  const body = bodyOf({ ...form, numbers }, now);
  const asText = JSON.stringify(body);
  useEffect(() => {
    const mine = ++newest.current;
    clearTimeout(timer.current);
    timer.current = setTimeout(async () => {
      try { const said = await check(node, where, body); if (mine === newest.current) tell({ said }); }
      catch (error) { if (mine === newest.current) tell({ error }); }
    }, 150);
  }, [asText, where]);

  const change = (part, name, value) => { touch(new Set([...touched, part === "form" ? name : `${part}/${name}`.replace("clauses/", "")])); set(part === "form" ? { ...form, [name]: value } : { ...form, [part]: { ...form[part], [name]: value } }); };
  const pick = (name) => { touch(new Set()); set({ ...form, kind: name, options: optionsOf(name, protocol), clauses: mapOf(form.clauses, (key) => !["at", "direction"].includes(key)) }); };
  const findings = result.error ? (result.error.problem?.errors ?? [{ title: result.error.message }]) : [];
  const errors = {};
  for (const one of findings) { const key = owner(one, form.mode); errors[key] ??= one.title; }
  const filled = (key) => (key.startsWith("options/") ? form.options[key.slice(8)] : form.clauses[key] ?? form[key]) || false;
  const shown = (key) => (touched.has(key) || touched.has("all") || filled(key) ? errors[key] : undefined);
  const drawn = new Set(["text", "steps", "name", ...CLAUSES, ...Object.keys(table?.properties ?? {}).map((name) => `options/${name}`)]);
  const rest = Object.entries(errors).filter(([key]) => !drawn.has(key)).map(([, text]) => text);
  const save = async (on) => {
    touch(new Set([...touched, "all"]));
    work(true);
    try {
      const made = fault ? await send("PATCH", place(node, where), body) : await send("POST", place(node, where), form.mode === "recipe" || form.mode === "script" ? body : { ...body, enabled: on });
      if (!fault && !on && made.enabled) await send("PATCH", place(node, at(proxy, collectionOf(made.form), made.name)), { enabled: false });
      say(`${made.name} on ${proxy} is ${fault ? "changed" : on ? "on" : "saved, turned off"}.`);
      end(made);
    } catch (error) { tell({ error }); work(false); }
  };
  const option = ([name, schema]) => html`<${OptionField} key="${form.kind}-${name}" name=${name} schema=${schema} value=${form.options[name]} error=${shown(`options/${name}`)}
    names=${name === "error" ? Object.keys(protocol.errors ?? {}) : null} set=${(value) => change("options", name, value)} />`;
  const [first, more] = fields.split(table);
  const clause = (name, label, hint, placeholder) => html`<${Field} id="c-${name}" label=${label} hint=${hint} error=${shown(name)}><input id="c-${name}" value=${form.clauses[name] ?? ""} placeholder=${placeholder} autocomplete="off" spellcheck="false"
    aria-invalid=${shown(name) ? "true" : null} aria-describedby=${shown(name) ? `c-${name}-error` : hint ? `c-${name}-hint` : null} onInput=${(e) => change("clauses", name, e.target.value)} /><//>`;
  const choice = (name, label, values, usual) => html`<${Field} id="c-${name}" label=${label} error=${shown(name)}><select id="c-${name}" value=${form.clauses[name] ?? ""} onChange=${(e) => change("clauses", name, e.target.value)}><option value="">${usual}</option>${values.map((one) => html`<option value=${one}>${words(one)}</option>`)}</select><//>`;
  const nameField = !fault && html`<${Field} id="c-name" label="Name" hint="Empty: after its kind" error=${shown("name")}><input id="c-name" value=${form.name} autocomplete="off" spellcheck="false" onInput=${(e) => change("form", "name", e.target.value)} /><//>`;
  const fieldNames = Object.keys(protocol.fields ?? {});
  const matchHint = fieldNames.length ? `Empty: every ${protocol.messages ? "exchange" : "connection"}. Fields: ${fieldNames.join(", ")}` : "Empty: every connection";
  const example = fieldNames.includes("command") ? "command=GET" : fieldNames.includes("path") ? "path^=/api" : fieldNames.includes("statement") ? "statement=SELECT" : `${fieldNames[0] ?? "client"}=…`;
  const about = kinds[form.kind];
  const said = result.said && !result.error;

  return html`<form onSubmit=${(e) => { e.preventDefault(); save(true); }}>
    <header><h2 id="faultform-title">${fault ? html`Change <em>${fault}</em> on ${proxy}` : `Add to ${proxy}`}</h2>
      ${!fault && html`<div class="seg" role="group" aria-label="What to add">${[["fault", "Fault"], ["recipe", "Recipe"], ["script", "Script"], ["text", "Sentence"]].filter(([mode]) => mode !== "recipe" || Object.keys(recipes).length).map(([mode, word]) => html`<button type="button" aria-pressed=${String(form.mode === mode)}
        onClick=${() => { touch(new Set()); set({ ...form, mode, ...(mode === "text" && said && form.mode === "fault" ? { text: result.said.text.replace(/ name [\w.-]+$/, "") } : {}), ...(mode === "recipe" || form.mode === "recipe" ? { options: mode === "fault" ? optionsOf(form.kind, protocol) : {} } : {}) }); }}>${word}</button>`)}</div>`}
    </header>
    <div class="two ${form.mode === "fault" && !fault ? "" : "one"}">
      ${form.mode === "fault" && !fault && html`<${Choices} tables=${known} chosen=${form.kind} choose=${pick} />`}
      <div class="fields">
        ${form.mode === "fault" && html`<p class="lead">${about?.summary.replace(/ \(rascal .*\)/, "")}</p>
          ${first.map(option)}
          ${protocol.messages || about?.levels.includes("message") ? clause("match", "Only if", matchHint, example) : clause("match", "Only if", "Empty: every connection. Field: client", "client=10.0.0.0/8")}
          <div class="pair">${clause("for", "Ends by itself after", "Empty: when you turn it off", "60s")}${clause("probability", "In how many cases", "Empty: in all", "20%")}</div>
          <details open=${more.some(([name]) => form.options[name] != null || shown(`options/${name}`)) || ["at", "direction", "every", "skip", "count", "per", "name"].some((name) => form.clauses[name] || shown(name))}><summary>More</summary><div class="fields">
            ${more.map(option)}
            <div class="pair">${clause("every", "Every n-th", "Of those that match", "3")}${clause("count", "At most", "Strikes, then it is used up", "5")}</div>
            <div class="pair">${clause("skip", "Not the first", "Of those that match", "2")}${about?.moments.length > 1 ? choice("at", "When", about.moments, "as usual for it") : about?.directional ? choice("direction", "Which way", ["to_upstream", "to_client", "both"], "both") : nameField}</div>
            ${(about?.moments.length > 1 || about?.directional) && nameField}
          </div></details>`}
        ${form.mode === "recipe" && html`${!fault && html`<${Field} id="c-recipe" label="Incident" hint=${recipes[form.recipe]?.summary}><select id="c-recipe" value=${form.recipe} onChange=${(e) => set({ ...form, recipe: e.target.value, options: {} })}>${Object.keys(recipes).map((name) => html`<option value=${name}>${words(name)}</option>`)}</select><//>`}
          ${[...first, ...more].map(option)}${clause("for", "Ends by itself after", "Empty: when you turn it off", "60s")}`}
        ${form.mode === "script" && html`<${Field} id="c-steps" label="Steps" hint="One a line, taken in turn by the exchanges that match; then everything passes" error=${shown("steps")}><textarea id="c-steps" class="mono" rows="5" spellcheck="false" autofocus placeholder=${`pass count 2\n${Object.keys(protocol.errors ?? {})[0] ? `error(${Object.keys(protocol.errors)[0]})` : "hang"}\nlose_reply(then=reset)`} onInput=${(e) => change("form", "steps", e.target.value)}>${form.steps}</textarea><//>
          ${clause("match", "Only if", matchHint, example)}${nameField}`}
        ${form.mode === "text" && html`<${Field} id="c-text" label="Sentence" hint="Chance, kind, options, clauses" error=${shown("text")}><textarea id="c-text" class="mono" rows="3" spellcheck="false" autofocus placeholder=${`20% delay(800ms) match ${example} for 60s`} onInput=${(e) => change("form", "text", e.target.value)}>${form.text}</textarea><//>`}
      </div>
    </div>
    <footer>
      <div class="says" aria-live="polite">
        ${said ? html`<p>${result.said.says}</p><p class="mono dim">${result.said.text}</p>`
          : rest.length && (touched.size || form.mode === "recipe") ? rest.map((text) => html`<p class="error" role="alert">${text}</p>`)
          : findings.length ? html`<p class="dim">${Object.keys(errors).some((key) => shown(key)) ? "Something above cannot be meant like that." : form.mode === "text" || form.mode === "script" ? "What it will do is said here while you write." : "Fill in what is missing: what it will do is said here."}</p>` : html`<p class="dim">…</p>`}
      </div>
      <div class="acts"><button class="btn" type="button" onClick=${() => end(null)}>Cancel</button>
        ${fault ? html`<button class="btn main" type="submit" disabled=${busy}>Save</button>`
          : html`<button class="btn" type="button" disabled=${busy} onClick=${() => save(false)}>Save, turned off</button><button class="btn main" type="submit" disabled=${busy}>Turn on now</button>`}</div>
    </footer></form>`;
}
