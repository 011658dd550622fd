"""`.marteau.yml` of 2013: read for what it asks, with a note on what has no equivalent.

    name: salmon
    script: loadtest.py
    test: TestWebSite.test_something
    nodes: 2
    cycles: 10:20
    duration: 60
    deps: [PyBrowserID]
    email: ann@example.org

Such a script drove FunkLoad or Loads, which nothing here does: the job shows a rascal.yml that
says the same, and runs only if the script is a scenario file already.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from rascal.errors import did_you_mean
from rascal.load.wishes import as_list
from rascal.load.yamltext import Block
from rascal.panel.scenario_files import is_scenario

if TYPE_CHECKING:
    from rascal.panel.job_file import JobFile

KEYS = {
    "name": "the job's name",
    "script": "a scenario file under scenarios",
    "test": "nothing: all scenarios of a file run, or those under 'only'",
    "nodes": "agents of the run",
    "cycles": "users of the profile, one stretch a cycle",
    "duration": "seconds of each stretch of the profile",
    "deps": "requires",
    "email": "nothing in a job: 'mail' in the panel's settings is told of every run",
}
"""What has become of each."""
IGNORED = ("server", "fixtures", "fixture_class", "fixture_module", "lib", "sleep_time", "tests",
           "send_report", "wdir", "scenarios")  # fmt: skip
"""Known once; nothing here is like them."""
USUAL_CYCLES, USUAL_DURATION = "10", "60"
_NUMBERS = re.compile(r"[0-9]{1,6}")


def read_old(reader: JobFile) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """The job as a new file would say it, and notes: {"key", "text"}."""
    made: dict[str, Any] = {"name": "", "target": "", "requires": [], "labels": [], "items": []}
    found = reader._yaml()
    notes: list[dict[str, str]] = []
    if not isinstance(found, Block):
        return made, notes
    for key in found:
        if key in KEYS:
            notes.append({"key": str(key), "text": f"→ {KEYS[key]}"})
        elif key in IGNORED:
            notes.append({"key": str(key), "text": "→ nothing: has no equivalent"})
        else:
            text = f"'{key}' was no key of {reader.name}.{did_you_mean(key, KEYS)}"
            reader.wrong(text, key, str(key), "unknown-name")
    made["name"] = reader._text(found, "name")[:80]
    made["requires"] = reader._requires({"requires": found.get("deps")})
    values = _values(reader, found)
    script = reader._text(found, "script")
    made["suggestion"] = _suggestion(made, script, values)
    path = reader.inside(found["script"], (".py",), "script") if script else None
    if path is None:
        if not script:
            reader.wrong("which script? nothing to run", None, "script")
        return made, notes
    with path.open("rb") as file:
        ours = is_scenario(file.read(1 << 18))
    if not ours:
        text = (
            f"'{script}' is no scenario file: its test drove FunkLoad or Loads, which nothing runs "
            "here. Write it anew as a scenario (docs/scenarios.md), and a rascal.yml beside it"
        )
        reader.wrong(text, found["script"], "script")
    else:
        name = path.relative_to(reader.base).as_posix()
        item = {"kind": "load", "file": name, "line": None, "values": values, "well": True}
        made["items"].append(item)
    return made, notes


def _values(reader: JobFile, found: Block) -> dict[str, Any]:
    """How much load, from cycles and duration; agents from nodes."""
    cycles = _whole(reader, found, "cycles", USUAL_CYCLES, r"[0-9:,\s]+")
    duration = _whole(reader, found, "duration", USUAL_DURATION, r"[0-9]{1,6}")
    counts = _NUMBERS.findall(cycles) or [USUAL_CYCLES]
    profile = ", ".join(f"hold {max(1, int(one))} users for {int(duration)}s" for one in counts)
    values: dict[str, Any] = {"profile": profile}
    nodes = _whole(reader, found, "nodes", "1", r"[0-9]{1,4}")
    if int(nodes) > 1:
        values["agents"] = nodes
    return values


def _whole(reader: JobFile, found: Block, name: str, usual: str, pattern: str) -> str:
    value = found.get(name)
    if value is None:
        return usual
    # A list was allowed as well.
    text = ":".join(str(one) for one in as_list(value) if isinstance(one, str))
    if not re.fullmatch(pattern, text) or not _NUMBERS.search(text):
        reader.wrong(f"{name}: '{text[:40]}' is no number", value, name)
        return usual
    return text


def _suggestion(made: dict[str, Any], script: str, values: dict[str, Any]) -> str:
    """A rascal.yml that says the same."""
    lines = [f"name: {_quoted(made['name'])}"] if made["name"] else []
    lines.append("target: http://127.0.0.1:8080   # the old file had it in the script")
    if made["requires"]:
        lines.append("requires:")
        lines += [f"  - {_quoted(one)}" for one in made["requires"]]
    lines += ["scenarios:", f"  - file: {_quoted(script or 'loadtest.py')}"]
    lines += [f"    {name}: {_quoted(str(one))}" for name, one in values.items()]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[\w][\w ./=<>~+-]*", text) else json.dumps(text)
