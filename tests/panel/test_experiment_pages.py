"""Experiments in the panel: what their text means, changes from the drawing, saving, running."""

from __future__ import annotations

import http.client
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from panel_process import SCENARIO, PanelProcess

from rascal.control._problems import Problem
from rascal.errors import ConfigErrors
from rascal.experiment.judge import VERDICTS
from rascal.experiment.reading import experiment_of
from rascal.experiment.timeline import timeline_of
from rascal.panel.experiment_files import ExperimentFiles, is_experiment
from rascal.panel.experiment_moves import lasting, moved
from rascal.panel.experiment_text import check, facts, starter
from rascal.panel.helpers import Helpers, Late, read_line
from rascal.panel.pages import experiments, scenarios
from rascal.panel.pages.experiments import sign_of

CHECKOUT = """\
# Written by hand, with care.
name: checkout
target: http://127.0.0.1:8080
load:
  scenarios: shop.py
  profile: ramp 0..100/s for 10s, hold 100/s
  timeout: 5s
phases: {warm-up: 20s, baseline: 60s, fault: 60s, recovery: 2m}
recipe: overloaded-database on db   # an incident
faults:
  - delay(lognormal(800ms, 2s)) on db match statement=SELECT
  - 30% error(deadlock) on db match statement=UPDATE from fault+20s for 20s
  - hang on cache, delay 2s on db until fault.end-10s
  - 'empty on cache match key^=session: until fault.end-10s'   # quotes
  - "refuse on cache"
scripts:
  - {on: jobs, match: command=LPUSH, steps: ['pass 2', 'lose_reply(then=close)'], from: fault+40s}
  - on: jobs
    steps: pass 2, lose_reply(then=close)
expect: graceful   # we hope
"""
SHOP = {
    "file": "shop.py",
    "scenarios": {"look": {"weight": 1.0}, "ask": {"weight": 3.0}},
    "parameters": [
        {"name": "n", "type": "count", "help": "", "default": "3", "minimum": 1, "maximum": 9,
         "least": "1", "most": "9", "required": False},
    ],
    "findings": [],
}  # fmt: skip
SMALL = """\
target: {target}
nodes: {{main: '{node}'}}
load: {{scenarios: shop.py, profile: hold 20/s}}
phases: {{warm-up: 0s, baseline: 1s, fault: 1s, recovery: 1s}}
faults: [hang on cache]
"""


# ---- what a text means


def test_a_list_tells_what_goes_wrong_for_how_long() -> None:
    found = facts(CHECKOUT, "c.yml")
    assert (found["name"], found["seconds"], found["expect"]) == ("checkout", 260.0, "graceful")
    assert found["recipes"] == ["overloaded-database"]
    assert len(found["faults"]) == 9
    wrong = facts(
        "target: http://127.0.0.1\nload: {scenarios: a.py}\nfaults: [hangs on b]", "w.yml"
    )
    assert (wrong["name"], wrong["target"]) == ("w", "http://127.0.0.1")
    assert wrong["findings"][0]["line"] == 3


def test_a_whole_text_has_a_plan_with_its_load_and_what_it_can_tell() -> None:
    found = check(CHECKOUT, "c.yml", SHOP, {}, None, [])
    assert found["findings"] == []
    plan = found["plan"]
    assert plan["phases"]["fault"] == [80.0, 140.0]
    assert plan["load"] == [[0.0, 0.0], [10.0, 100.0], [260.0, 100.0]]
    assert [one["index"] for one in plan["faults"]] == list(range(9))
    assert {one["name"]: one["rate"] for one in plan["streams"]} == {"look": 25.0, "ask": 75.0}
    assert plan["long_enough"]
    assert ["expected", "graceful, or better"] in plan["holds"]


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("expect: graceful", "expct: graceful", 20, "Did you mean 'expect'?"),
        ("  timeout: 5s", "  timout: 5s", 7, "Did you mean 'timeout'?"),
        ('"refuse on cache"', '"refuses on cache"', 15, "Did you mean 'refuse'?"),
        ("baseline: 60s", "baseline: 60", 8, "unit"),
        ("hold 100/s\n", "hold 100/s\n  only: [lok]\n", 7, "Did you mean 'look'?"),
        ("  timeout: 5s", "  options: {n: 10}", 7, "at most 9"),
        ("  timeout: 5s", "  options: {m: 1}", 7, "no option 'm'"),
        ("ramp 0..100/s for 10s, hold 100/s", "hold 9 users", None, "write a rate"),
        ("name: checkout", "name: [", None, "not YAML"),
    ],
)
def test_each_mistake_stands_at_its_line(old: str, new: str, line: int | None, says: str) -> None:
    found = check(CHECKOUT.replace(old, new), "c.yml", SHOP, {}, None, [])
    assert says in " ".join(one["message"] for one in found["findings"])
    if line:
        assert found["findings"][0]["line"] == line


def test_proxies_that_are_not_there_are_named_with_the_nearest() -> None:
    known = {"db": "main", "cash": "main", "jobs": "main"}
    nodes = {"main": "http://127.0.0.1:8474"}
    found = check(CHECKOUT, "c.yml", SHOP, nodes, known, [])["findings"]
    assert {one["line"] for one in found} == {13, 14, 15}
    assert "Did you mean 'cash'?" in found[0]["message"]
    elsewhere = CHECKOUT.replace("load:", "nodes: {other: 'http://192.0.2.1:8474'}\nload:")
    assert check(elsewhere, "c.yml", SHOP, nodes, known, [])["findings"] == []


# ---- changes from the drawing


def windows(text: str) -> list[tuple[float, float]]:
    found = timeline_of(experiment_of(text, "c.yml")).windows
    return [(one.begins, one.ends) for one in found]


def changed_lines(text: str) -> list[str]:
    old = CHECKOUT.splitlines()
    return [line for line in text.splitlines() if line not in old]


@pytest.mark.parametrize(
    ("index", "line"),
    [
        (0, "recipe: overloaded-database on db from fault+5s for 25s   # an incident"),
        (1, "  - delay(lognormal(800ms, 2s)) on db match statement=SELECT from fault+5s for 25s"),
        (2, "  - 30% error(deadlock) on db match statement=UPDATE from fault+5s for 25s"),
        (3, "  - hang on cache from fault+5s for 25s, delay 2s on db until fault.end-10s"),
        (4, "  - hang on cache, delay 2s on db from fault+5s until fault.end-30s"),
        (5, "  - 'empty on cache match key^=session: from fault+5s until fault.end-30s'"
            "   # quotes"),
        (6, '  - "refuse on cache from fault+5s for 25s"'),
        (7, "  - {for: 25s, on: jobs, match: command=LPUSH, "
            "steps: ['pass 2', 'lose_reply(then=close)'], from: fault+5s}"),
    ],
)  # fmt: skip
def test_a_dragged_fault_changes_its_own_words_only(index: int, line: str) -> None:
    text = moved(CHECKOUT, "c.yml", index, 85.0, 110.0)["text"]
    assert changed_lines(text) == [line]
    expected = windows(CHECKOUT)
    expected[index] = (85.0, 110.0)
    assert windows(text) == expected


def test_a_fault_that_fills_its_phase_again_says_no_times() -> None:
    text = moved(CHECKOUT, "c.yml", 2, 80.0, 140.0)["text"]
    assert changed_lines(text) == ["  - 30% error(deadlock) on db match statement=UPDATE"]


def test_a_script_of_several_lines_gets_lines() -> None:
    text = moved(CHECKOUT, "c.yml", 8, 90.0, 100.0)["text"]
    assert changed_lines(text) == ["  - from: fault+10s", "    for: 10s", "    on: jobs"]
    assert windows(text)[8] == (90.0, 100.0)


def test_a_fault_stays_in_its_phase() -> None:
    text = moved(CHECKOUT, "c.yml", 1, 0.0, 500.0)["text"]
    assert text == CHECKOUT
    for index, begins, ends in ((1, 90.0, 90.0), (99, 85.0, 90.0), (-1, 85.0, 90.0)):
        with pytest.raises(ConfigErrors):
            moved(CHECKOUT, "c.yml", index, begins, ends)


def test_a_sentence_over_several_lines_is_left_to_hands() -> None:
    text = CHECKOUT.replace('"refuse on cache"', "refuse\n    on cache")
    with pytest.raises(ConfigErrors, match="in the text"):
        moved(text, "c.yml", 6, 85.0, 90.0)


@pytest.mark.parametrize(
    ("old", "line"),
    [
        ("", "phases: {warm-up: 20s, baseline: 60s, fault: 60s, recovery: 90s}"),
        (", recovery: 2m", "phases: {recovery: 90s, warm-up: 20s, baseline: 60s, fault: 60s}"),
        ("phases: {warm-up: 20s, baseline: 60s, fault: 60s, recovery: 2m}\n",
         "phases: {recovery: 90s}"),
    ],
)  # fmt: skip
def test_a_phase_gets_another_length(old: str, line: str) -> None:
    text = CHECKOUT.replace(old, "") if old else CHECKOUT
    text = text.replace("from fault+20s for 20s", "").replace("fault+40s", "fault+5s")
    found = lasting(text, "c.yml", "recovery", 90.2)["text"]
    assert line in found.splitlines()
    assert experiment_of(found, "c.yml").phases["recovery"] == 90.0


def test_a_phase_that_gets_too_short_for_its_faults_is_refused() -> None:
    with pytest.raises(ConfigErrors, match="phase"):
        lasting(CHECKOUT, "c.yml", "fault", 25.0)
    with pytest.raises(ConfigErrors):
        lasting(CHECKOUT, "c.yml", "lunch", 25.0)


# ---- a short form


def test_the_short_form_writes_a_file_that_can_be_read() -> None:
    given = {"target": "http://127.0.0.1:8080", "scenarios": "shop.py", "rate": "20/s",
             "proxy": "cache", "fault": "recipe cache-down",
             "node": "http://127.0.0.1:8474"}  # fmt: skip
    text = starter("a.yml", given)["text"]
    found = experiment_of(text, "a.yml")
    assert [one.on for one in found.actions] == ["cache"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("target", "nowhere"), ("rate", "many"), ("fault", "hangs"), ("node", "x"),
     ("expect", "luck"), ("proxy", "a\nfaults: []")],
)  # fmt: skip
def test_the_short_form_says_which_field_is_wrong(field: str, value: str) -> None:
    given = {"target": "http://127.0.0.1:8080", "node": "http://127.0.0.1:8474", field: value}
    with pytest.raises(ConfigErrors) as caught:
        starter("a.yml", given)
    assert field in {one.option for one in caught.value.findings}


def test_every_verdict_has_a_sign() -> None:
    for word in VERDICTS:
        assert sign_of(word)["path"] or sign_of(word)["dashed"], word
        assert sign_of(word)["means"], word
    assert sign_of("")["tone"] == "none"
    assert sign_of("<script>")["tone"] == "none"


# ---- the process that reads


def panel_like(folder: Path) -> Any:
    settings = SimpleNamespace(experiments=str(folder), scenarios=str(folder), nodes={}, targets=())
    return SimpleNamespace(settings=settings, reactor=None, nodes=None)


@pytest.fixture
def helpers() -> Iterator[Helpers]:
    made = Helpers(None)
    yield made
    made._reader.close()


def test_one_process_reads_many_texts(helpers: Helpers) -> None:
    first = helpers._reader.ask("facts", {"text": CHECKOUT, "path": "c.yml"})
    process = helpers._reader._process
    again = helpers._reader.ask("facts", {"text": CHECKOUT, "path": "c.yml"})
    assert first == again and first["answer"]["name"] == "checkout"
    assert helpers._reader._process is process
    with pytest.raises(Problem, match="could not be read"):
        helpers._reader.ask("no such thing", {})
    assert process is not None
    process.kill()
    process.wait()
    assert helpers._reader.ask("facts", {"text": "", "path": "c.yml"})["answer"]["findings"]


def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch, helpers: Helpers) -> None:
    monkeypatch.setattr("rascal.panel.helpers.ANSWER", 0.01)
    with pytest.raises(Problem, match="too long"):
        helpers._reader.ask("facts", {"text": CHECKOUT, "path": "c.yml"})
    assert helpers._reader._process is None
    reader, writer = os.pipe()
    with pytest.raises(Late):
        read_line(reader, 0.01)
    os.close(reader)
    os.close(writer)


def test_only_scenarios_of_the_folders_are_run(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "shop.py").write_text(SCENARIO)
    (tmp_path / "in" / "setup.py").write_text("raise SystemExit")
    (tmp_path / "out.py").write_text(SCENARIO)
    files = ExperimentFiles(panel_like(tmp_path / "in"), Helpers(None))
    assert files._stamp(tmp_path / "in" / "shop.py")
    for name in ("../out.py", "setup.py", "/etc/passwd"):
        with pytest.raises((ValueError, OSError)):
            files._stamp(tmp_path / "in" / name)


def test_what_looks_like_an_experiment() -> None:
    assert is_experiment(CHECKOUT.encode())
    assert not is_experiment(b"services:\n  web:\n    image: a\n")
    assert not is_experiment(b"scenarios: shop.py\nprofile: hold 5/s\ntarget: http://a\n")


# ---- roles


class Rules:
    """Collects what routes ask for."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self.closing: list[Callable[[], None]] = []
        self.reactor = None
        self.nodes = self.scenarios = self.experiments = None
        self.settings = SimpleNamespace(scenarios=".", experiments=".", nodes={}, targets=())
        self.templates = SimpleNamespace(globals={})

    def page(self, rule: str, handler: Any, role: str = "viewer") -> None:
        self.found[f"GET {rule}"] = role

    def asks(self, rule: str, handler: Any, role: str = "viewer") -> None:
        self.found[f"ASK {rule}"] = role

    def api(self, method: str, rule: str, handler: Any, role: str = "viewer") -> None:
        self.found[f"{method} {rule}"] = role


def test_viewers_look_and_operators_run() -> None:
    rules: Any = Rules()
    scenarios.routes(rules)
    experiments.routes(rules)
    changes = {rule: role for rule, role in rules.found.items() if rule[:3] in ("POS", "PUT")}
    assert len(changes) == 5
    assert set(changes.values()) == {"operator"}
    runs_code = ("check", "fits", "edit", "new", "repeat", "once", "starter", "moved")
    for rule, role in rules.found.items():
        if rule.endswith(runs_code):
            assert role == "operator", rule
    assert rules.found["GET /experiments/<path:name>"] == "viewer"


# ---- a whole panel


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[PanelProcess]:
    (tmp_path / "shop.py").write_text(SCENARIO)
    (tmp_path / "checkout.yml").write_text(CHECKOUT)
    made = PanelProcess(tmp_path, nodes="http://127.0.0.1:9")  # nobody is there
    made.start()
    try:
        yield made
    finally:
        made.stop()


def page(panel: PanelProcess, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", panel.port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.integration
def test_write_check_save_and_conflict(panel: PanelProcess) -> None:
    api = "/api/v1/experiments"
    found = panel.call("GET", api)[1]["experiments"]["checkout.yml"]
    assert (found["called"], found["url"]) == ("checkout", "/experiments/checkout")
    for path in ("/experiments", "/experiments/checkout", "/experiments/checkout.yml",
                 "/experiments/checkout/edit", "/experiments/new",
                 "/experiments/new?from=checkout.yml"):  # fmt: skip
        status, text = page(panel, path)
        assert status == 200, path
        assert "checkout" in text or path.endswith("new")
    status, checked = panel.call("POST", f"{api}/check", {"text": CHECKOUT, "file": "checkout.yml"})
    assert (status, checked["findings"]) == (200, []), checked
    assert checked["plan"]["load"]
    assert panel.call("GET", f"{api}/checkout.yml/plan") == (200, checked)
    assert '"load":' in page(panel, "/experiments/checkout")[1], "what was read last is there"
    one = panel.call("GET", f"{api}/checkout.yml")[1]
    change = {"text": one["text"], "file": "checkout.yml", "fault": 2, "begins": 90, "ends": 100}
    status, changed = panel.call("POST", f"{api}/moved", change)
    assert status == 200 and "from fault+10s for 10s" in changed["text"]
    saved = {"text": changed["text"], "digest": one["digest"]}
    status, kept = panel.call("PUT", f"{api}/checkout.yml", saved)
    assert status == 200
    assert (panel.folder / "checkout.yml").read_text() == changed["text"]
    status, problem = panel.call("PUT", f"{api}/checkout.yml", saved)
    assert (status, problem["type"]) == (409, "/problems/changed")
    assert "changed by somebody else" in problem["title"]
    status, problem = panel.call("POST", api, {"text": "x", "file": "checkout.yml"})
    assert (status, problem["type"]) == (409, "/problems/name-taken")
    for name in ("../evil.yml", "/tmp/evil.yml", "a/../../evil.yml", "evil.py", ".evil.yml"):
        assert panel.call("POST", api, {"text": "x", "file": name})[0] == 404, name
    assert panel.call("PUT", f"{api}/..%2fevil.yml", {"text": "x", "digest": ""})[0] == 404
    assert not (panel.folder.parent / "evil.yml").exists()
    assert kept["digest"] != one["digest"]
    for size in (50_000, 200_000):
        long = {"text": "#" * size, "file": "a.yml"}
        assert panel.call("POST", f"{api}/check", long)[0] == 413


@pytest.mark.integration
def test_names_that_are_markup_stay_text(panel: PanelProcess) -> None:
    evil = CHECKOUT.replace("name: checkout", "name: '</script><script>alert(1)</script>'")
    evil = evil.replace("graceful   # we hope", "graceful   # <img src=x onerror=alert(1)>")
    (panel.folder / "evil.yml").write_text(evil)
    panel.call("GET", "/api/v1/experiments")
    for path in ("/experiments", "/experiments/evil", "/experiments/evil/edit"):
        status, text = page(panel, path)
        assert status == 200
        assert "<script>alert" not in text, path
        assert "<img src=x" not in text, path
    status, text = page(panel, "/experiments/%3Cscript%3Ealert(1)%3C/script%3E")
    assert status == 404
    assert "<script>alert" not in text


@pytest.mark.integration
def test_a_scenario_that_hangs_is_a_finding(panel: PanelProcess) -> None:
    (panel.folder / "shop.py").write_text(
        "from rascal.load import scenario\nimport time\ntime.sleep(600)\n"
    )
    status, checked = panel.call(
        "POST", "/api/v1/experiments/check", {"text": CHECKOUT, "file": "checkout.yml"}
    )
    assert status == 200
    assert any("takes longer than" in one["message"] for one in checked["findings"])
    assert checked["plan"]["faults"], "what can be told is told"


@pytest.mark.integration
def test_repeat_runs_it_with_a_seed_each(panel: PanelProcess) -> None:
    text = SMALL.format(target="http://127.0.0.1:9", node="http://127.0.0.1:9")
    (panel.folder / "small.yml").write_text(text)
    api = "/api/v1/experiments/small.yml/repeat"
    status, problem = panel.call("POST", api, {"times": 2})
    assert status in (409, 422), "nobody listens there, and that is said"
    assert "127.0.0.1:9" in str(problem)
    assert panel.call("POST", api, {"times": 0})[0] == 422
    assert panel.call("POST", api, {"tims": 2})[0] == 422
    assert panel.call("POST", "/api/v1/experiments/none/repeat", {})[0] == 404
