"""Writes the reference pages: what the option tables and docstrings say, and nothing by hand.

    python docs/generate.py            write
    python docs/generate.py --check    say what is not current; status 1 if anything is

Whole pages: kinds/*.md, protocols/*.md, recipes.md, fidelity.md (from fidelity/*.json), seen.md
(from seen/*.json), experiment.schema.json. In pages that are written by hand, what stands between
`<!-- begin NAME -->` and `<!-- end -->` is filled in. Examples come from examples.json; a test
reads every one of them.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from click import Context, Group

from rascal.config import PROXY, ROULETTE, SCRIPT, SERVICE, installed
from rascal.config.describe import (
    STRIKES,
    all_kinds,
    default_text,
    kind_facts,
    moments,
    protocol_facts,
    range_text,
    recipe_facts,
    table_facts,
    type_text,
)
from rascal.options import OptionTable

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))  # this file is also loaded by its path alone

from control_page import control_page  # noqa: E402

NOTE = "<!-- Written by docs/generate.py from the code; edit the code. -->\n\n"
BLOCK = re.compile(r"(<!-- begin ([\w :.-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
CONTAINED = ("kinds", "protocols")
"""Folders that hold generated pages only."""

Pages = dict[str, str]


# ---- Markdown


def cell(text: str) -> str:
    """Text in a table."""
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|").replace("<", "&lt;")


def code(text: str) -> str:
    """Text as it is typed."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{cell(text).replace('&lt;', '<')}{fence}" if text else ""


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, or nothing without rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return ""
    head = f"| {' | '.join(titles)} |\n|{' --- |' * len(titles)}\n"
    return head + "\n".join(lines) + "\n"


def options_table(options: Mapping[str, Any]) -> str:
    """The options of a table, or that there are none."""
    rows = [
        (
            code(name),
            ", ".join(map(code, one["choices"])) if "choices" in one else type_text(one),
            code(default_text(one)) if "default" in one else default_text(one),
            code(range_text(one)),
            cell(one["help"]),
        )
        for name, one in options.items()
    ]
    return table(("option", "type", "default", "range", "what it is"), rows) or "None.\n"


def prose(docstring: str | None) -> str:
    """A docstring as paragraphs; what is indented in it stays as it is."""
    text = inspect.cleandoc(docstring or "")
    return f"{text}\n" if text else ""


# ---- examples


def examples() -> dict[str, Any]:
    """The examples: `kinds` and `sayings`, each a list of [protocol, sentence, what it says]."""
    found: dict[str, Any] = json.loads((DOCS / "examples.json").read_text(encoding="utf-8"))
    return found


def example_block(rows: Iterable[Sequence[str]]) -> str:
    """Sentences with what they say, those of protocols that are here."""
    here = installed().protocols
    rows = [row for row in rows if row[0] in here]
    return table(
        ("on", "sentence", "what it does"),
        [(protocol, code(text), cell(says)) for protocol, text, says in rows],
    )


# ---- kinds


def kind_pages() -> Iterator[tuple[str, str]]:
    """One page for each kind, and their list."""
    registry = installed()
    shown = examples()["kinds"]
    rows = []
    for name, kind in all_kinds().items():
        facts = kind_facts(kind, registry)
        strikes = ", ".join(STRIKES[level] for level in facts["strikes"])
        rows.append((f"[{name}]({name}.md)", strikes, cell(facts["summary"])))
        yield f"kinds/{name}.md", _kind_page(kind, facts, shown.get(name, ()))
    head = "# Kinds of faults\n\nWhat can go wrong. `rascal kinds` lists them, `rascal kinds KIND`"
    head += " shows one; [the language](../language.md) says how a fault is written.\n\n"
    text = head + table(("kind", "strikes", "what it does"), rows)
    yield "kinds/index.md", NOTE + text


def _kind_page(kind: Any, facts: Mapping[str, Any], shown: Sequence[Sequence[str]]) -> str:
    strikes = " or ".join(STRIKES[level] for level in facts["strikes"])
    parts = [
        f"# {kind.name}\n\n{facts['summary']}\n",
        f"It strikes {strikes}.",
    ]
    if facts["directional"]:
        parts[-1] += (
            " Where it strikes connections, `direction` chooses `to_upstream`, `to_client` or"
            " `both` (the default)."
        )
    if facts["composes"]:
        parts[-1] += " Several of them at one moment add up."
    parts[-1] += "\n"
    if block := example_block(shown):
        parts.append(f"## Examples\n\n{block}")
    parts.append(f"## How faithful is it?\n\n{facts['faithful']}\n")
    options = options_table(facts["options"])
    if facts["spoken"] and facts["options"]:
        spoken = facts["spoken"]
        options += f"\n`{kind.name}(VALUE)` is short for `{kind.name}({spoken}=VALUE)`.\n"
    parts.append(f"## Options\n\n{options}")
    parts.append(f"## Where and when\n\n{_homes(kind)}")
    return NOTE + "\n".join(parts)


def _homes(kind: Any) -> str:
    """By protocol: the moments, and the options that the protocol adds."""
    rows = []
    for name, protocol in installed().protocols.items():
        there = kind.table(protocol)
        if there is None:
            continue
        when = ", ".join(f"`{moment}`" for moment in moments(kind, protocol)) or "–"
        added = ", ".join(code(option) for option in there if option not in kind.options) or "–"
        rows.append((f"[{name}](../protocols/{name}.md)", when, added))
    if not rows:
        return "No protocol of this installation has it.\n"
    return table(("protocol", "moments (`at`)", "further options"), rows)


# ---- protocols


def protocol_pages() -> Iterator[tuple[str, str]]:
    """One page for each protocol, and their list."""
    registry = installed()
    rows = []
    for name, protocol in registry.protocols.items():
        facts = protocol_facts(protocol, registry)
        counted = str(len(facts["errors"])) if facts["errors"] else "–"
        fields = ", ".join(map(code, facts["fields"]))
        rows.append((f"[{name}]({name}.md)", cell(facts["title"]), counted, fields))
        yield f"protocols/{name}.md", _protocol_page(protocol, facts)
    head = "# Protocols\n\nWhat a proxy can speak. `rascal protocols` lists them, `rascal protocols"
    head += " NAME` shows one.\n\n"
    text = head + table(("protocol", "title", "errors", "match fields"), rows)
    yield "protocols/index.md", NOTE + text


def _protocol_page(protocol: Any, facts: Mapping[str, Any]) -> str:
    title, notes = _notes(protocol)
    parts = [f"# {facts['title']}\n\n{title}\n" if title else f"# {facts['title']}\n"]
    ports = {"http": 80, "mysql": 3306, "memcached": 11211, "redis": 6379, "smtp": 25, "dns": 53}
    port = ports.get(protocol.name, 7000)
    parts.append(
        f"```ini\n[proxy:one]\nprotocol = {protocol.name}\nlisten = 127.0.0.1:{port + 10000}\n"
        f"upstream = 127.0.0.1:{port}\n```\n"
    )
    if notes:
        parts.append(notes)
    if facts["server_speaks_first"]:
        parts.append("The server speaks first: faults may strike its greeting (`at greeting`).\n")
    parts.append(f"## Options of a proxy\n\n{options_table(facts['options'])}")
    parts.append(f"## Match fields\n\n{_fields(facts['fields'])}")
    if facts["errors"]:
        parts.append(f"## Errors\n\n{_errors(protocol, facts['errors'])}")
    for kind in ("error", "replace"):
        added = table_facts(getattr(protocol, f"{kind}_options"))
        if added and kind in facts["kinds"]:
            parts.append(f"## Further options of `{kind}`\n\n{options_table(added)}")
    links = ", ".join(f"[{name}](../kinds/{name}.md)" for name in facts["kinds"])
    parts.append(f"## Kinds\n\n{links}\n")
    return NOTE + "\n".join(parts)


def _notes(protocol: Any) -> tuple[str, str]:
    """The docstring of the protocol's module: its first line, and what concerns users."""
    module = sys.modules[type(protocol).__module__]
    first, _, rest = prose(module.__doc__).strip().partition("\n\n")
    inner = re.compile(rf"\b{re.escape(protocol.name)}_\w+|\bmodules? beside\b")
    kept = [part for part in rest.split("\n\n") if part.strip() and not inner.search(part)]
    first = "" if first.strip(" .") == protocol.title else first.strip()
    return first, "\n\n".join(kept) + "\n" if kept else ""


def _fields(fields: Mapping[str, Any]) -> str:
    rows = [
        (
            code(name),
            one["type"] + (" (no regard to case)" if one["ignores_case"] else ""),
            one["known_with"],
            cell(one["help"]),
        )
        for name, one in fields.items()
    ]
    return table(("field", "type", "known with", "what it is"), rows)


def _errors(protocol: Any, errors: Mapping[str, Any]) -> str:
    rows = []
    for name, one in errors.items():
        notes = []
        if one["moments"]:
            notes.append("at " + ", ".join(one["moments"]))
        if one["rolls_back"]:
            notes.append("undoes the transaction")
        if one["closes"]:
            notes.append("closes the connection")
        says = one["code"] if one["code"] != name else ""
        says += f" ({one['sqlstate']})" if one["sqlstate"] else ""
        rows.append(
            (code(name), cell(says), code(one["text"]), cell(one["help"]), cell("; ".join(notes)))
        )
    text = "`error(NAME)`, or the code in place of the name.\n\n"
    text += table(("name", "code", "says", "when a real server sends it", "and"), rows)
    sources = sorted({one["source"] for one in errors.values() if one["source"]})
    if sources:
        text += "\nSources: " + "; ".join(sources) + ".\n"
    return text


# ---- recipes, fidelity


def recipe_page() -> str:
    """All recipes on one page."""
    from rascal.faults.recipes import RECIPES

    parts = [
        "# Recipes\n\nA recipe is a named set of faults that imitates one incident, written in the "
        "language: `recipe NAME`, with its options and the clauses `on`, `from`, `until`, `for`, "
        "`name`. `rascal recipes` lists them.\n"
    ]
    for name, recipe in RECIPES.items():
        facts = recipe_facts(recipe)
        parts.append(f"## {name}\n\n{facts['summary']} {facts['imitates']}\n")
        parts.append(options_table(facts["options"]) if facts["options"] else "")
        rows = [
            (protocol, code(label), code(sentence))
            for protocol, sentences in facts["faults"].items()
            for label, sentence in sentences.items()
        ]
        parts.append(table(("on", "part", "with the defaults"), rows))
    return NOTE + "\n".join(part for part in parts if part)


def seen_page() -> str:
    """What real client libraries saw, from the files that the integration tests write."""
    parts = [
        "# What clients see\n\nEach fault was installed in front of a real server, a real client "
        "library sent a request through it, and this is what the application got. The tests that "
        "do so write the tables. *Usable*: whether the same connection went on afterwards, or the "
        "client's pool made one anew, as it would have with the real server.\n"
    ]
    for path in sorted((DOCS / "seen").glob("*.json")):
        rows = json.loads(path.read_text(encoding="utf-8"))
        protocol = installed().protocols.get(path.stem)
        parts.append(f"## {protocol.title if protocol else path.stem}\n")
        parts.append(
            table(
                ("client", "fault", "what it saw", "usable"),
                [
                    (cell(row["client"]), code(row["sentence"]), cell(row["saw"]), row["usable"])
                    for row in rows
                ],
            )
        )
    if len(parts) == 1:
        parts.append("Nothing has been written yet.\n")
    return NOTE + "\n".join(parts)


def fidelity_page() -> str:
    """What was held against real servers, from the files that the tests write."""
    parts = [
        "# Fidelity\n\nErrors that a real server can be made to send were provoked there, and "
        "the injected bytes held against the captured ones, field by field. The tests that do so "
        "write the tables.\n"
    ]
    for path in sorted((DOCS / "fidelity").glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        rows = data if isinstance(data, list) else data["compared"]
        protocol = installed().protocols.get(path.stem)
        parts.append(f"## {protocol.title if protocol else path.stem}\n")
        for server in sorted({str(row.get("server", "")) for row in rows}):
            mine = [row for row in rows if str(row.get("server", "")) == server]
            parts.append(f"### {server}\n\n{len(mine)} compared.\n\n{_compared(mine)}")
    if len(parts) == 1:
        parts.append("Nothing has been written yet.\n")
    return NOTE + "\n".join(parts)


LONGEST = 160
"""Characters of captured bytes that the table shows."""


def _compared(rows: Sequence[Mapping[str, Any]]) -> str:
    """One table; rows that say the same are one."""
    lines: dict[tuple[str, ...], None] = {}
    columns = [name for name in ("error", "provoked", "request") if any(name in r for r in rows)]
    facts = [name for row in rows for name in row if name not in _KNOWN]
    columns += dict.fromkeys(facts)
    if any("real" in row for row in rows):
        columns += ["real", "equal", "differs"]
    for row in rows:
        lines[tuple(_value(name, row.get(name)) for name in columns)] = None
    titles = [_TITLES.get(name, name.replace("_", " ")) for name in columns]
    return table(titles, list(lines))


_KNOWN = {
    *("protocol", "server", "error", "provoked", "request"),
    *("real", "injected", "equal", "differs"),
}
_TITLES = {"provoked": "provoked by", "real": "the server says", "equal": "equal"}


def _value(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return cell(", ".join(map(str, value))) or "–"
    text = "" if value is None else str(value)
    if name in ("error", "real") and text and not text.startswith("("):
        return code(text if len(text) <= LONGEST else f"{text[:LONGEST]}…")
    return cell(text)


# ---- blocks in pages that are written by hand


def blocks() -> dict[str, Callable[[], str]]:
    """What may stand between `<!-- begin NAME -->` and `<!-- end -->`."""
    from rascal.cli.app import STATUSES

    made: dict[str, Callable[[], str]] = {"sayings": lambda: example_block(examples()["sayings"])}
    tables: dict[str, OptionTable] = {
        "service": SERVICE,
        "proxy": PROXY,
        "script": SCRIPT,
        "roulette": ROULETTE,
    }
    for name, options in tables.items():
        made[f"table {name}"] = lambda options=options: options_table(table_facts(options))
    made |= load_blocks()
    made |= experiment_blocks()
    made["commands"] = commands
    made["statuses"] = lambda: table(("status", "meaning"), STATUSES)
    made["incidents"] = incident_tables
    return made


def load_blocks() -> dict[str, Callable[[], str]]:
    """The same, of the pages about load."""
    from rascal.cli.load import STATUSES
    from rascal.language.profile import measure_type
    from rascal.load.agent_options import AGENT
    from rascal.load.meanings import MEASURES, OUTCOMES
    from rascal.load.watch import UNSOUND
    from rascal.load.wishes import PLAN, SHARE
    from rascal.panel.settings import PANEL

    def measures() -> str:
        rows = [("`p50`, `p95`, `p99.9` …", "duration", "time of the served calls, a percentile")]
        rows += [(code(name), measure_type(name), cell(text)) for name, text in MEASURES.items()]
        every = ", ".join(map(code, list(OUTCOMES)[1:]))
        rows.append((every, "percentage", "this outcome, as a share of the offered"))
        return table(("measure", "limit", "what it is"), rows)

    return {
        "table agent": lambda: options_table(table_facts(AGENT)),
        "table panel": lambda: options_table(table_facts(PANEL)),
        "table plan": lambda: options_table(table_facts(PLAN)),
        "table share": lambda: options_table(table_facts(SHARE)),
        "load-statuses": lambda: table(("status", "meaning"), STATUSES),
        "measures": measures,
        "outcomes": lambda: table(
            ("outcome", "what happened"),
            [(code(name), cell(text)) for name, text in OUTCOMES.items()],
        ),
        "unsound": lambda: table(
            ("unsound", "a second in which"), [(word, cell(text)) for word, text in UNSOUND.items()]
        ),
    }


def experiment_blocks() -> dict[str, Callable[[], str]]:
    """The same, of the page about experiments: what the schema knows."""
    import attrs

    from rascal.cli.experiment import STATUSES
    from rascal.containers import KINDS
    from rascal.experiment.reading import NAMES, OPTIONS, SHARES
    from rascal.experiment.record import Thresholds
    from rascal.experiment.schema import schema

    members = schema()["properties"]

    def known(found: Mapping[str, Any], names: Iterable[str], title: str) -> str:
        rows = [(code(name), cell(found[name]["description"])) for name in names]
        return table((title, "what it is"), rows)

    def described(name: str) -> str:
        """Its help; of one value also type and default."""
        if name not in OPTIONS:
            return str(members[name]["description"])
        one = table_facts(OPTIONS)[name]
        kind = ", ".join(map(code, one["choices"])) if "choices" in one else type_text(one)
        default = f", default {code(default_text(one))}" if "default" in one else ""
        return f"{one['help']} ({kind}{default})"

    def load() -> str:
        found = members["load"]["properties"]
        return known(found, [name for name in found if "description" in found[name]], "name")

    def thresholds() -> str:
        rows = []
        for one in attrs.fields(Thresholds):
            share = one.name in SHARES
            value = f"{one.default:.6g}" if not share else f"{one.default * 100:.6g} %"
            rows.append((code(one.name), "share" if share else "number or time", value))
        return table(("threshold", "type", "default"), rows)

    def containers() -> str:
        rows = []
        for name, kind in KINDS.items():
            options = [
                f"{code(key)} ({type_text(one)}): {cell(one['help'])}"
                for key, one in table_facts(kind.options).items()
            ]
            rows.append((code(name), cell(kind.help), "; ".join(options)))
        return table(("kind", "what it does", "options"), rows)

    checks = members["invariants"]["anyOf"][0]["properties"]
    scripts = members["scripts"]["anyOf"][0]["properties"]
    phases = members["phases"]["properties"]
    return {
        "experiment-names": lambda: table(
            ("name", "what it is"), [(code(name), cell(described(name))) for name in NAMES]
        ),
        "experiment-load": load,
        "experiment-phases": lambda: table(
            ("phase", "default"), [(code(name), one["default"]) for name, one in phases.items()]
        ),
        "experiment-scripts": lambda: known(scripts, scripts, "name"),
        "experiment-checks": lambda: known(checks, checks, "name"),
        "experiment-thresholds": thresholds,
        "experiment-statuses": lambda: table(("status", "meaning"), STATUSES),
        "containers": containers,
    }


def experiment_schema() -> str:
    """The JSON Schema of experiment files, for editors."""
    from rascal.experiment.schema import schema

    return json.dumps(schema(), ensure_ascii=False, indent=2)


def commands() -> str:
    """Every command as its --help shows it, and the commands of groups."""
    from rascal.cli.app import SECTIONS, rascal

    parent = Context(rascal, info_name="rascal", terminal_width=90, **rascal.context_settings)
    parts = []
    for section, names in SECTIONS.items():
        parts.append(f"## {section}\n")
        for name in names:
            command = rascal.get_command(parent, name)
            assert command is not None
            if name == "demo":
                parts.append(f"### rascal demo\n\n{names[name]} `rascal demo --help` says more.\n")
            else:
                parts += _help(command, name, parent)
    return "\n".join(parts)


def _help(command: Any, name: str, parent: Context) -> list[str]:
    context = Context(command, info_name=name, parent=parent, terminal_width=90)
    parts = [f"### {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"]
    for each in command.list_commands(context) if isinstance(command, Group) else ():
        parts += _help(command.get_command(context, each), each, context)
    return parts


# ---- incidents


def incidents() -> dict[str, Any]:
    """The incidents: name, what one sees, and [protocol, sentence or script, what it does]."""
    found: dict[str, Any] = json.loads((DOCS / "incidents.json").read_text(encoding="utf-8"))
    return found


def incident_tables() -> str:
    """A section for each incident."""
    parts = []
    for name, one in incidents().items():
        rows = [(protocol, code(text), cell(says)) for protocol, text, says in one["sentences"]]
        parts.append(f"## {name}\n\n{one['seen']}\n")
        parts.append(table(("on", "write", "which is"), rows))
        if one.get("note"):
            parts.append(f"{one['note']}\n")
    return "\n".join(parts)


def filled(text: str, known: Mapping[str, Callable[[], str]]) -> str:
    """A page with its blocks written anew."""

    def fill(found: re.Match[str]) -> str:
        return f"{found[1]}\n{known[found[2]]()}\n{found[4]}"

    return BLOCK.sub(fill, text)


# ---- all


def pages() -> Pages:
    """Every page that this writes, by its path in docs."""
    made: Pages = {}
    made.update(kind_pages())
    made.update(protocol_pages())
    made["recipes.md"] = recipe_page()
    made["fidelity.md"] = fidelity_page()
    made["seen.md"] = seen_page()
    made["control.md"] = NOTE + control_page()
    made["experiment.schema.json"] = experiment_schema()
    known = blocks()
    for path in sorted(DOCS.glob("*.md")):
        if path.name not in made:
            text = path.read_text(encoding="utf-8")
            if BLOCK.search(text):
                made[path.name] = filled(text, known)
    return {name: text.rstrip("\n") + "\n" for name, text in made.items()}


def not_current() -> list[str]:
    """The pages that differ, are missing, or should not be there."""
    made = pages()
    wrong = [name for name, text in made.items() if _read(name) != text]
    return wrong + [name for name in _there() if name not in made]


def write() -> list[str]:
    """Write what differs; the names."""
    made = pages()
    changed = [name for name, text in made.items() if _read(name) != text]
    for name in changed:
        path = DOCS / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(made[name], encoding="utf-8")
    for name in _there():
        if name not in made:
            (DOCS / name).unlink()
            changed.append(name)
    return changed


def _there() -> list[str]:
    return [f"{folder}/{one.name}" for folder in CONTAINED for one in (DOCS / folder).glob("*.md")]


def _read(name: str) -> str | None:
    path = DOCS / name
    return path.read_text(encoding="utf-8") if path.exists() else None


def main(words: Sequence[str]) -> int:
    """The command line."""
    if list(words) == ["--check"]:
        wrong = not_current()
        for name in wrong:
            print(f"docs/{name} is not current; script/docs writes it")
        return 1 if wrong else 0
    for name in write():
        print(f"docs/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
