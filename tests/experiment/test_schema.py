"""The JSON Schema says what the reader takes: names, and nothing that the reader refuses."""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest
import yaml

from rascal.errors import ConfigErrors
from rascal.experiment.questions import TESTS, WAYS
from rascal.experiment.reading import LOAD_NAMES, NAMES, OPTIONS, experiment_of
from rascal.experiment.record import Thresholds
from rascal.experiment.schema import schema

FULL = """
name: checkout-when-the-database-is-slow
target: http://127.0.0.1:8080
nodes: {main: 'http://127.0.0.1:8474'}
load:
  scenarios: shop.py
  profile: ramp 0..200/s for 10s, hold 200/s
  timeout: 5s
phases: {warm-up: 20s, baseline: 60s, fault: 60s, recovery: 2m}
faults:
  - delay(lognormal(800ms, 2s)) on db match statement=SELECT
  - 30% error(deadlock) on db match statement=UPDATE from fault+20s for 20s
scripts:
  - {on: db, match: statement=UPDATE, steps: 'pass 2, error(deadlock)'}
recipe: cache-down on cache
uses: {db: [catalogue, cart, checkout], cache: cart}
deadlines: {checkout: 800ms}
objectives:
  - p95(catalogue) < 500ms in fault
stop: [failed > 80% for 15s, {name: alive, get: /health, for: 5s}]
invariants:
  - {name: nobody is charged twice, get: '/invariants', json: $.charged_twice, equals: 0}
  - {name: jobs, redis: LLEN jobs, at: 'redis://127.0.0.1:6379/0', at_most: 10, within: 30s}
expect: exactly cascading
thresholds: {keep: 90%, react: 5s, thin: 100}
seed: 42
probe: no
labels: nightly
"""


class Editor(yaml.SafeLoader):
    """YAML 1.2, as editors read it: on, off, yes and no are texts."""


Editor.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in several if not tag.endswith(":bool")]
    for first, several in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def edited(text: str) -> Any:
    return yaml.load(text, Editor)


def problems(value: Any, wanted: dict[str, Any], at: str = "") -> list[str]:
    """A validator for the words that the schema uses; a word that it does not know is an error."""
    known = {
        "$schema", "title", "description", "type", "properties", "additionalProperties",
        "required", "anyOf", "oneOf", "enum", "pattern", "items", "minimum", "default",
        "patternProperties",
    }  # fmt: skip
    assert set(wanted) <= known, set(wanted) - known
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "number": (int, float)}
    kinds["integer"] = int
    type_ = wanted.get("type")
    if type_ is not None:
        types = [type_] if isinstance(type_, str) else type_
        if not any(isinstance(value, kinds[one]) for one in types):  # type: ignore[arg-type]
            return [f"{at}: {value!r} is no {type_}"]
    found = []
    if "enum" in wanted and value not in wanted["enum"]:
        found.append(f"{at}: {value!r}")
    if "pattern" in wanted and not re.search(wanted["pattern"], str(value)):
        found.append(f"{at}: {value!r} !~ {wanted['pattern']}")
    if "minimum" in wanted and value < wanted["minimum"]:
        found.append(f"{at}: {value} is too small")
    if isinstance(value, dict):
        members = wanted.get("properties", {})
        rest = wanted.get("additionalProperties", True)
        for name, one in value.items():
            others = [of for at_, of in wanted.get("patternProperties", {}).items()
                      if re.search(at_, name)]  # fmt: skip
            if name in members or others:
                for each in [members[name]] if name in members else others:
                    found += problems(one, each, f"{at}/{name}")
            elif rest is False:
                found.append(f"{at}: {name} is not known")
            elif isinstance(rest, dict):
                found += problems(one, rest, f"{at}/{name}")
        found += [
            f"{at}: {one} is missing" for one in wanted.get("required", ()) if one not in value
        ]
    if isinstance(value, list) and "items" in wanted:
        for number, one in enumerate(value):
            found += problems(one, wanted["items"], f"{at}/{number}")
    for word, few in (("anyOf", None), ("oneOf", 1)):
        if word in wanted:
            good = sum(not problems(value, one, at) for one in wanted[word])
            if not good or (few is not None and good != few):
                found.append(f"{at}: {good} of {word}")
    return found


def test_a_full_experiment_is_well_to_both() -> None:
    text = FULL + "x-others: {may: [say, this]}\n"
    experiment_of(text, "x.yml")
    assert problems(edited(text), schema()) == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (("seed: 42", "sed: 42"), "sed"),
        (("fault: 60s", "fault: 60"), "/phases/fault"),
        (("expect: exactly cascading", "expect: fine"), "/expect"),
        (("  timeout: 5s", "  tymeout: 5s"), "tymeout"),
        (("keep: 90%", "keeep: 90%"), "keeep"),
        (("target: http://127.0.0.1:8080", ""), "target"),
        (("http://127.0.0.1:8474", "127.0.0.1:8474"), "/nodes/main"),
        (("checkout: 800ms", "checkout: soon"), "/deadlines/checkout"),
        (("seed: 42", "seed: -1"), "/seed"),
    ],
)
def test_both_refuse(change: tuple[str, str], where: str) -> None:
    text = FULL.replace(*change)
    assert text != FULL
    with pytest.raises(ConfigErrors):
        experiment_of(text, "x.yml")
    found = problems(edited(text), schema())
    assert any(where in one for one in found), found


def test_every_name_of_the_reader_is_there() -> None:
    members = schema()["properties"]
    assert set(members) == set(NAMES) >= set(OPTIONS)
    assert set(members["load"]["properties"]) == set(LOAD_NAMES)
    thresholds = members["thresholds"]["properties"]
    assert list(thresholds) == [field.name for field in attrs.fields(Thresholds)]
    check = members["invariants"]["anyOf"][0]["properties"]
    assert {*WAYS, *TESTS} <= set(check)
    assert all(one.get("description") for one in members.values())
