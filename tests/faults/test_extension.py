"""Kinds and protocols of other distributions, found by their entry points.

Each distribution is a folder on sys.path with a module and the metadata that an installer would
write; a fresh interpreter looks at it. (tests/packaging builds and installs a real one.)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

MODULE = '''
"""Lines of text, and a kind that shouts."""

from rascal.faults.types import Edit, Kind
from rascal.options import Option, OptionTable
from rascal.wire.types import COMMON_FIELDS, ErrorSpec, Field, WireProtocol


class Lines(WireProtocol):
    name = "lines"
    title = "Lines"
    fields = (*COMMON_FIELDS, Field("text", "text", "the line"))
    errors = {"busy": ErrorSpec("busy", "1", "busy", "it is busy")}

    def codecs(self, session, ledger):
        raise NotImplementedError


class Shout(Kind):
    name = "shout"
    summary = "Replies come in capitals."
    faithful = "As faithful as capitals are."
    options = OptionTable(Option("mark", "text", "what stands at the end", default="!"))
    moments = ("reply",)
    protocols = ("lines",)

    def act(self, options, subject, moment, draw, state):
        return Edit(lambda x, data: data.upper() + options.mark.encode(), 65536)


class _Helper(Shout):
    name = "helper"


instance = Lines()
nothing = 42
'''

LOOK = """
import json
from rascal.faults.build import broken, build_fault, kinds, tables
from rascal.language import parse
from rascal.wire import protocols

found = {
    "kinds": sorted(kinds()),
    "protocols": list(protocols()),
    "broken": {name: str(error) for name, error in broken().items()},
}
lines = protocols().get("lines")
if lines is not None and "shout" in kinds():
    text = 'shout "?!" match text~hey count 2'
    read = parse("fault", text, kinds=tables(lines), fields=lines.fields, protocol="lines")
    spec = build_fault(read, lines)
    act = spec.kind.act(spec.options, None, "reply", None, None)
    found["text"] = spec.text
    found["at"] = spec.at
    found["said"] = act.change(None, b"hey").decode()
    found["elsewhere"] = "shout" in tables(protocols()["redis"])
    read = parse("fault", "error busy", kinds=tables(lines), fields=lines.fields)
    found["error"] = build_fault(read, lines).options.call.spec.text
print(json.dumps(found))
"""


def distribution(folder: Path, name: str, entry_points: str, module: str = MODULE) -> None:
    """An installed distribution."""
    (folder / f"{name}.py").write_text(module)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(dedent(entry_points))


def look(folder: Path) -> Any:
    environ = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", LOOK], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("named", ["rascal_lines:Shout", "rascal_lines:Shout()", "rascal_lines"])
def test_a_protocol_and_a_kind_are_found_and_used(tmp_path: Path, named: str) -> None:
    module = MODULE
    if named.endswith("()"):  # an instance
        module, named = f"{MODULE}\nready = Shout()\n", "rascal_lines:ready"
    points = f"""
        [rascal.protocols]
        lines = rascal_lines:instance
        [rascal.faults]
        shout = {named}
    """
    distribution(tmp_path, "rascal_lines", points, module)
    found = look(tmp_path)
    assert found["broken"] == {}
    assert found["protocols"][-1] == "lines"
    assert "shout" in found["kinds"]
    assert "delay" in found["kinds"]
    assert "helper" not in found["kinds"]
    assert found["text"] == "shout(?!) match text~hey count 2"
    assert found["at"] == ["reply"]
    assert found["said"] == "HEY?!"
    assert found["elsewhere"] is False
    assert found["error"] == "busy"


def test_what_cannot_be_used_is_named_and_the_rest_works(tmp_path: Path) -> None:
    points = """
        [rascal.protocols]
        lines = rascal_lines:instance
        [rascal.faults]
        shout = rascal_lines:Shout
        again = rascal_lines:Shout
        gone = rascal_lines:Gone
        missing = rascal_missing:Shout
        nothing = rascal_lines:nothing
        clause = rascal_clause
        empty = rascal_empty
    """
    distribution(tmp_path, "rascal_lines", points)
    clause = MODULE.replace('Option("mark"', 'Option("every"').replace('"shout"', '"beat"')
    (tmp_path / "rascal_clause.py").write_text(clause)
    (tmp_path / "rascal_empty.py").write_text("")
    found = look(tmp_path)
    assert "shout" in found["kinds"]
    assert "beat" not in found["kinds"]
    assert found["said"] == "HEY?!"
    wrong = found["broken"]
    assert set(wrong) == {"shout", "gone", "missing", "nothing", "clause", "empty"}
    assert (
        "entry point 'shout = rascal_lines:Shout' of rascal_lines gives no kind" in wrong["shout"]
    )
    assert "there is a kind 'shout' already" in wrong["shout"]
    assert "Gone" in wrong["gone"]
    assert "No module named 'rascal_missing'" in wrong["missing"]
    assert "int is no Kind" in wrong["nothing"]
    assert "option 'every' has the name of a clause" in wrong["clause"]
    assert "module rascal_empty defines no Kind" in wrong["empty"]


def test_a_kind_cannot_take_the_place_of_ours(tmp_path: Path) -> None:
    points = """
        [rascal.faults]
        delay = rascal_lines:Shout
    """
    distribution(tmp_path, "rascal_lines", points, MODULE.replace('"shout"', '"delay"'))
    found = look(tmp_path)
    assert "there is a kind 'delay' already" in found["broken"]["delay"]
