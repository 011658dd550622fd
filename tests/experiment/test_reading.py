"""Experiment files: the two of docs/language.md, and what may not stand in one."""

from __future__ import annotations

import pytest

from rascal.errors import ConfigErrors
from rascal.experiment.reading import experiment_of
from rascal.experiment.specification import Check, Experiment
from rascal.experiment.timeline import timeline_of

SHORT = """\
recipe: overloaded-database on db
target: http://127.0.0.1:8080
load: {scenarios: shop.py, profile: hold 200/s}     # no "for": as long as the phases last
expect: graceful
"""

FULL = """\
name: checkout-when-the-database-is-slow
target: http://127.0.0.1:8080
nodes: {main: 'http://127.0.0.1:8474'}
load:
  scenarios: shop.py
  profile: ramp 0..200/s for 10s, hold 200/s
phases: {warm-up: 20s, baseline: 60s, fault: 60s, recovery: 2m}
faults:
  - delay(lognormal(800ms, 2s)) on db match statement=SELECT
  - 30% error(deadlock) on db match statement=UPDATE from fault+20s for 20s
  - lose_reply(then=reset) on db match statement=COMMIT from fault+30s count 1
  - empty on cache match key^=session:,cart:item from fault until fault.end-10s
scripts:
  - {on: db, match: statement=UPDATE, steps: 'pass 2, error(deadlock)', from: fault+50s}
uses: {db: [catalogue, cart, checkout]}
objectives:
  - p95(catalogue) < 500ms in fault
  - time_to_recover <= 30s in recovery
stop:
  - failed > 80% for 15s
  - {name: alive, get: /healthz, for: 10s}
invariants:
  - name: nobody is charged twice
    get: 'http://127.0.0.1:8080/invariants'
    json: $.charged_twice
    equals: 0
    within: 10s
  - {name: no job is lost, redis: LLEN lost, at: 'redis://127.0.0.1:6379/0', unchanged: yes}
expect: exactly graceful
seed: 42
thresholds: {keep: 90%, react: 5s, thin: 100}
"""


def read(text: str) -> Experiment:
    return experiment_of(text, "shop.yml")


def findings(text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        read(text)
    return [str(one) for one in caught.value.findings]


def test_the_short_form_is_whole() -> None:
    found = read(SHORT)
    assert found.name == "shop"
    (action,) = found.actions
    assert (action.form, action.on, action.name) == ("recipe", "db", "overloaded-database")
    assert action.text == "recipe(overloaded-database)"
    assert dict(found.phases) == {"warm-up": 10, "baseline": 20, "fault": 20, "recovery": 60}
    assert dict(found.nodes) == {"main": "http://127.0.0.1:8474"}
    assert str(found.expect) == "graceful"
    timeline = timeline_of(found)
    assert (timeline.windows[0].begins, timeline.windows[0].ends, timeline.ends) == (30, 50, 110)


def test_the_full_form() -> None:
    found = read(FULL)
    windows = {one.action.name: (one.begins, one.ends) for one in timeline_of(found).windows}
    assert windows == {
        "delay": (80, 140),
        "error": (100, 120),
        "lose_reply": (110, 140),
        "empty": (80, 130),
        "script": (130, 140),
    }
    assert [one.text for one in found.actions] == [
        "delay(lognormal(800ms, 2s)) match statement=SELECT",
        "30% error(deadlock) match statement=UPDATE",
        "lose_reply(then=reset) match statement=COMMIT count 1",
        "empty match key^=session:,cart:item",
        "pass 2, error(deadlock)",
    ]
    assert found.uses == {"db": ("catalogue", "cart", "checkout")}
    assert found.dependencies == ("db", "cache")
    rule = found.stop[1]
    assert isinstance(rule, Check) and (rule.ask, rule.lasts) == ("/healthz", 10)
    charged, lost = found.invariants
    assert (charged.test, charged.value, charged.within) == ("equals", "0", 10)
    assert (lost.way, lost.at, lost.test) == ("redis", "redis://127.0.0.1:6379/0", "unchanged")
    assert (found.thresholds.keep, found.thresholds.react, found.thresholds.thin) == (0.9, 5, 100)
    assert (found.seed, str(found.expect)) == (42, "exactly graceful")


def test_containers() -> None:
    text = SHORT.replace("recipe: overloaded-database on db", "faults: [pause on service.mysql]")
    (action,) = read(text).actions
    assert (action.form, action.service, action.text) == ("container", "mysql", "pause")


BASE = "target: http://h/\nload: {scenarios: s.py}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BASE, "what goes wrong? write faults, scripts or a recipe"),
        ("faults: [hang on db]\nload: {scenarios: s.py}\n", "which target?"),
        ("faults: [hang on db]\ntarget: http://h/\n", "which load?"),
        (BASE + "fault: [hang on db]\n", "shop.yml:3:1: an experiment has no 'fault'"),
        (BASE + "fault: [hang on db]\n", "Did you mean 'faults'?"),
        (BASE + "faults: [hang]\n", "shop.yml:3:10: hang: on which proxy?"),
        (BASE + "faults: [hnag on db]\n", "Did you mean 'hang'?"),
        (BASE + "faults: [hang on db from fualt]\n", "shop.yml:3: 'fualt' is not a phase"),
        (BASE + "faults: [hang on db for 30s]\n", "make the phase longer, or the fault shorter"),
        (BASE + "faults: [hang on db until fault]\n", "would end (fault: 30s) before it begins"),
        (BASE + "faults: [hang on db from recovery+1s for 1s]\n", "would spoil the comparison"),
        (BASE + "faults: [pause on db]\n", "containers (on service.NAME) know pause, kill"),
        (BASE + "faults: [hang on service.db]\n", "containers (on service.NAME) know"),
        (
            BASE + "faults: [pause on service.db, kill on service.db]\n",
            "pause and kill strike the service 'db' at the same time",
        ),
        (BASE + "faults: [hang on db]\nphases: {bseline: 3s}\n", "Did you mean 'baseline'?"),
        (BASE + "faults: [hang on db]\nphases: {fault: 3}\n", "'3' has no unit"),
        (BASE + "faults: [hang on db]\nphases: {fault: 2500ms}\n", "whole seconds"),
        (BASE + "faults: [hang on db]\nexpect: gracefull\n", "Did you mean 'graceful'?"),
        (BASE + "faults: [hang on db]\nthresholds: {kep: 1%}\n", "Did you mean 'keep'?"),
        (BASE + "faults: [hang on db]\nnodes: {a: here}\n", "the node 'a' is the URL"),
        (BASE + "faults: [hang on db]\nobjectives: [p95 < 3s in fult]\n", "phases are warm-up"),
        (BASE + "faults: [hang on db]\ninvariants: [{name: a}]\n", "says how to ask"),
        (
            BASE + "faults: [hang on db]\ninvariants: [{sql: SELECT 1}]\n",
            "sql needs 'at', the server's URL (mysql:// or postgresql://…)",
        ),
        (
            BASE + "faults: [hang on db]\ninvariants: [{get: /x, equals: 1, at_most: 2}]\n",
            "one of equals, at_most",
        ),
        (BASE + "faults: [hang on db]\nscripts: [{on: db}]\n", "scripts are lines such as"),
        (BASE + "faults: [hang on db]\nscripts: [{on: db, steps: [hagn]}]\n", "Did you mean"),
        ("[a]\n", "an experiment is a list of 'name: value' lines"),
        (BASE + "target: http://i/\n", "'target' stands twice"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    found = findings(text)
    assert any(message in one for one in found), found
    assert all(one.startswith("shop.yml") for one in found), found


def test_the_environment_fills_in() -> None:
    text = (
        BASE.replace("http://h/", "http://${HOST}:${PORT:-8080}")
        + "faults: ['${KIND:-hang} on db match key^=$${x']\nx-fragile: {expect: [no, matter]}\n"
    )
    found = experiment_of(text, "shop.yml", {"HOST": "shop.test", "OTHER": "no"})
    assert found.target == "http://shop.test:8080"
    assert found.actions[0].text == "hang match key^=${x"
    assert dict(found.variables) == {"HOST": "shop.test"}
    with pytest.raises(ConfigErrors, match=r"shop.yml:\d+:\d+: the environment has no 'HOST'"):
        experiment_of(text, "shop.yml", {})


def test_all_findings_come_at_once() -> None:
    found = findings(BASE + "faults: [hang, hnag on db]\nphases: {fault: 3}\nexpct: graceful\n")
    assert len(found) == 4
