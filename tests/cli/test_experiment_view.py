"""The live view of an experiment and its report, as lines: what stands where, in which words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import attrs
import click
import pytest
from recorded import snapshot, steady

from rascal.cli.experiment.ending import deciding, headline, lines_of, repeat_lines
from rascal.cli.experiment.look import ExperimentLook, FaultLook, Looking, PhaseLook
from rascal.cli.experiment.showing import Watching
from rascal.cli.experiment.view import lines_of as view_lines
from rascal.cli.experiment.view import phase_line, plain_line, state_text
from rascal.cli.load.look import History
from rascal.experiment.expectation import read_expectation
from rascal.experiment.judge import FlowResult, Rule, Verdict
from rascal.experiment.outcome import Outcome
from rascal.experiment.reading import experiment_of
from rascal.experiment.record import FaultRecord, InvariantRecord, Thresholds
from rascal.experiment.recording import Kept
from rascal.experiment.repeating import Repeats
from rascal.experiment.sofar import FlowNow, Now
from rascal.experiment.statistics import Finding
from rascal.experiment.timeline import timeline_of
from rascal.load.types import Event

TEXT = """
target: http://127.0.0.1:9
load: {scenarios: shop.py, profile: hold 40/s}
phases: {warm-up: 5s, baseline: 10s, fault: 20s, recovery: 30s}
faults: [hang on db match command=GET]
expect: graceful
"""


def flow(name: str, **more: Any) -> FlowNow:
    given: dict[str, Any] = {
        "uses": False, "rate": 20.0, "good": 1.0, "usual": 1.0, "p95": 0.012,
        "honest": 0, "dishonest": 0,
    }  # fmt: skip
    return FlowNow(name=name, **{**given, **more})


def look(**more: Any) -> ExperimentLook:
    load = attrs.evolve(History().look(snapshot(steady(23))), second=23)
    given: dict[str, Any] = {
        "phase": PhaseLook(
            name="fault", text="20 s", begins=15.0, ends=35.0, follows="recovery", total=65.0
        ),
        "faults": (
            FaultLook(
                name="db/hang", text="hang match command=GET", begins=15.0, ends=35.0, on=15.02,
                off=None, matched=1204, fired=1200,
            ),
        ),
        "now": Now(
            flows=(flow("buy", uses=True, good=0.1, honest=30, dishonest=4), flow("page")),
            good=0.55, usual=0.998, word="degraded",
        ),
        "load": load,
        "expect": "graceful",
    }  # fmt: skip
    return ExperimentLook(**{**given, **more})


def plain(found: list[str]) -> list[str]:
    return [click.unstyle(line) for line in found]


# ---- live


def test_what_the_live_view_shows() -> None:
    found = plain(view_lines(look(), "run 7  x → y", 100, "ctrl-C"))
    assert found[0] == "run 7  x → y"
    assert found[1].startswith(
        "fault  ██████████··············  0:12 left, then recovery   0:23 of"
    )
    assert found[3] == ("so far: degraded  good calls 55 %, 55 % of the usual  expected: graceful")
    rows = {line.split()[0]: line.split() for line in found if line}
    assert rows["db/hang"][1:4] == ["hang", "match", "command=GET"]
    assert rows["db/hang"][-2:] == ["1,204", "1,200"]
    assert rows["buy"][1:] == ["yes", "20.0/s", "10", "%", "100", "%", "10", "%", "12ms", "30", "4"]
    assert rows["page"][1] == "no"
    assert found[-1] == "ctrl-C"
    assert max(map(len, found)) <= 100


def test_a_lost_flow_is_red() -> None:
    styled = view_lines(look(), "x", 100)
    line = next(one for one in styled if one.startswith("buy"))
    assert click.style("10 %", fg="red") in line
    calm = next(one for one in styled if one.startswith("page"))
    assert click.unstyle(calm) == calm


@pytest.mark.parametrize(
    ("second", "on", "off", "text"),
    [
        (10, None, None, "in 0:05"),
        (16, None, None, "not yet on"),
        (20, 15.5, None, "on for 4.5s"),
        (40, 15.5, 35.5, "over after 20s"),
    ],
)
def test_the_state_of_a_fault(second: int, on: float | None, off: float | None, text: str) -> None:
    fault = attrs.evolve(look().faults[0], on=on, off=off)
    assert state_text(fault, second) == text


def test_a_phase_without_an_end() -> None:
    phase = PhaseLook(
        name="probing", text="load down to 10%", begins=None, ends=None, follows="", total=65.0
    )
    assert click.unstyle(phase_line(look(phase=phase))) == "probing: load down to 10%  0:23"


def test_one_plain_line() -> None:
    words = plain_line(look()).split("  ")
    assert words[1:3] == ["0:23/1:05", "fault 0:12 left"]
    assert words[4:] == ["good 55 %", "kept 55 %", "db/hang fired 1,200", "so far degraded"]


def test_without_any_call_there_is_little_to_say() -> None:
    found = plain(view_lines(look(now=Now(), faults=(), expect=""), "x", 80))
    assert "no call yet" in found
    assert "kept" not in plain_line(look(now=Now()))


# ---- looks are taken in steps


class Writer:
    def __init__(self) -> None:
        self.looks: list[Any] = []
        self.texts: list[str] = []

    def show(self, look: Any) -> None:
        self.looks.append(look)

    def tell(self, text: str) -> None:
        self.texts.append(text)


def looking() -> Looking:
    experiment = experiment_of(TEXT, "x.yml")
    return Looking(experiment, timeline_of(experiment))


def test_a_look_is_taken_in_steps_and_none_disturbs_another() -> None:
    writer, calls = Writer(), []
    watching = Watching(
        writer, looking(), lambda delay, function, *args: calls.append((delay, function, args))
    )  # type: ignore[arg-type]
    for _ in range(2):
        watching.snapshot(snapshot(steady(5)))
        assert len(calls) == 1 and not writer.looks
    while calls:
        delay, function, args = calls.pop()
        assert delay == 0.001
        function(*args)
    assert len(writer.looks) == 1
    watching.snapshot(snapshot(steady(6)))
    assert len(calls) == 1


def test_where_it_stands_and_what_the_faults_did() -> None:
    found = looking()
    window = found.timeline.windows[0]
    standing = SimpleNamespace(name="db/hang", window=window, on=15.0, off=None)
    found.conductor = SimpleNamespace(  # type: ignore[assignment]
        standings=[standing], books=lambda one: (7, 5)
    )
    found.kept = Kept(name="x", text="", phases=dict(found.timeline.phases))
    found.entered("fault", "20 s", 15)
    steps = found.steps(snapshot(steady(20)))
    while True:
        try:
            next(steps)
        except StopIteration as done:
            seen = done.value
            break
    assert (seen.phase.begins, seen.phase.ends, seen.phase.follows) == (15, 35, "recovery")
    assert [(one.matched, one.fired, one.on) for one in seen.faults] == [(7, 5, 15.0)]
    assert [one.name for one in seen.now.flows] == ["checkout", "page"]
    found.kept.phases["recovery"] = (35.0, 95.0)
    found.entered("recovery", "30 s more", 65)
    assert found._phase().total == 95.0


def test_phases_are_told_and_what_they_have_told_is_not() -> None:
    told = {True: ["preparing: x", "0:03  fault: 20 s", "0:04  oops"], False: ["0:04  oops"]}
    for chatty, texts in told.items():
        writer = Writer()
        watching = Watching(writer, looking(), lambda *args: None, chatty=chatty)  # type: ignore[arg-type]
        watching.state("preparing", "x")
        watching.state("fault", "20 s")
        watching.event(Event(second=3.0, kind="phase", text="fault: 20 s"))
        watching.event(Event(second=3.0, kind="changed", text="from second 5"))
        watching.event(Event(second=4.0, kind="error", text="oops"))
        assert writer.texts == texts


# ---- the end


def result(name: str, **more: Any) -> FlowResult:
    given: dict[str, Any] = {
        "uses": True, "calls": {"baseline": 400, "fault": 300, "tail": 300}, "baseline": 0.998,
        "kept": (0.093, 0.069, 0.12), "residual": (0.0, -0.01, 0.01), "honest": 400,
        "dishonest": 0, "reduced": 0, "slow": 0.0, "attempts": 1.0, "attempts_before": 1.0,
        "time_to_degrade": 0, "time_to_recover": 2, "scatter": 1.0, "p95": 0.008,
        "deadline": 0.5, "derived": True, "failures": {"shed": 398, "http_5xx": 2},
    }  # fmt: skip
    return FlowResult(name=name, **{**given, **more})


def finding(question: str, **more: Any) -> Finding:
    given: dict[str, Any] = {"answer": "no", "lean": False, "flow": "buy", "part": 1.0,
                             "limit": 0.95, "calls": 300, "first": 15, "last": 35}  # fmt: skip
    return Finding(question=question, **{**given, **more})


def outcome(**more: Any) -> Outcome:
    verdict = Verdict(
        word="graceful",
        between=("graceful",),
        flows=(result("buy"), result("page", uses=False, kept=(1.0, 0.99, 1.01), failures={})),
        rules=(
            Rule(verdict="stuck", answer="no", lean=False, findings=(
                finding("far", part=1.0), finding("near", part=0.96))),
            Rule(verdict="degraded", answer="no", lean=False, findings=(
                finding("lost", answer="yes", part=0.1),
                finding("0 of 400 were dishonest", flow="", part=0.0, limit=0.1))),
            Rule(verdict="graceful", answer="yes", lean=True, findings=(
                finding("a little", answer="yes", part=0.9),
                finding("most", answer="yes", part=0.1))),
        ),
    )  # fmt: skip
    given: dict[str, Any] = {
        "run": "7", "name": "x", "verdict": verdict, "sentence": "It gave up what it had to.",
        "status": 0, "expect": read_expectation("graceful"), "objectives": (),
        "kept": Kept(name="x", text="", phases={"recovery": (35.0, 65.0)}),
        "thresholds": Thresholds(), "seed": 3, "target": "http://127.0.0.1:9",
    }  # fmt: skip
    return Outcome(**{**given, **more})


def test_the_report_of_an_experiment() -> None:
    found = plain(lines_of(outcome(), None))
    assert found[:2] == ["graceful  as expected (expected: graceful)", "It gave up what it had to."]
    titles = "FLOW HIT BASELINE KEPT BETWEEN HONEST DISHONEST ATTEMPTS DEGRADED RECOVERED STILL"
    assert found[3].split() == [*titles.split(), "MISSING"]
    assert found[4].split("  ")[0] == "buy"
    assert "6.9 to 12 %" in found[4] and found[4].endswith("-")
    assert "buy: shed 398  http_5xx 2" in found
    assert "buy: deadline 500ms (derived), usual p95 8.0ms" in found
    assert "run 7: x, 1:05, seed 3" in found


def test_what_decided_each_rule() -> None:
    verdict = outcome().verdict
    assert verdict is not None
    assert [[one.question for one in deciding(rule)] for rule in verdict.rules] == [
        ["near"],
        ["0 of 400 were dishonest"],
        ["most"],
    ]


def test_words_of_the_headline() -> None:
    verdict = outcome().verdict
    assert verdict is not None

    def head(**more: Any) -> str:
        given = {name: more.pop(name) for name in ("expect", "lenient") if name in more}
        return click.unstyle(headline(outcome(verdict=attrs.evolve(verdict, **more), **given)))

    assert head(expect=None) == "graceful"
    assert head(word="degraded", between=("degraded",)) == (
        "degraded  worse than expected (expected: graceful)"
    )
    assert head(between=("degraded", "graceful")) == (
        "graceful, or degraded  this run cannot tell whether it is as expected (expected: graceful)"
    )
    assert head(between=("degraded", "graceful"), lenient=True) == (
        "graceful, or degraded  as expected (expected: graceful)"
    )
    assert head(word="stuck", kind="metastable", between=("stuck",), expect=None) == "metastable"
    assert head(word="stuck", kind="not probed", between=("stuck",), expect=None) == (
        "stuck (not probed)"
    )
    assert click.unstyle(headline(outcome(verdict=None))) == "not judged"


def test_what_is_still_missing_and_what_stayed() -> None:
    verdict = outcome().verdict
    assert verdict is not None
    flows = (result("buy", residual=(0.02, 0.01, 0.03), attempts=2.4),)
    kept = Kept(
        name="x",
        text="",
        phases={"recovery": (35.0, 65.0)},
        faults=[
            FaultRecord(name="db/hang", dependency="db", on=15.0, off=35.0, fired=5, stayed=True)
        ],
        invariants=[
            InvariantRecord(name="once", before=True, after=False, found="2 instead of 0"),
            InvariantRecord(name="sum", before=False, after=False, found="3"),
        ],
    )
    text = "\n".join(
        plain(lines_of(outcome(verdict=attrs.evolve(verdict, flows=flows), kept=kept), None))
    )
    assert "2.0 % (1.0 to 3.0 %)" in text
    assert "1.00 → 2.40" in text
    assert "✗ once  does not hold any more: 2 instead of 0" in text
    assert "✗ sum  did not hold before the fault: 3" in text
    assert "15.00s  stayed" in text


def test_a_run_that_is_not_kept_cannot_be_looked_at_again() -> None:
    found = plain(lines_of(outcome(stored=False), None))
    assert found[-1] == "not kept: x, 1:05, seed 3"


def test_several_runs() -> None:
    expect = read_expectation("graceful")
    repeats = Repeats(wanted=20, expect=expect, seed=1)
    for number in range(20):
        word = "degraded" if number == 3 else "graceful"
        repeats.add(str(number), number, Verdict(word=word, between=(word,)))
    found = plain(repeat_lines(repeats, None))
    assert found[0] == "as expected  20 runs"
    assert found[1].startswith("Near an edge: degraded in 1 of 20, graceful in 19 of 20. 76% to")
    rows = [line.split() for line in found if line.startswith(("degraded", "graceful", "as exp"))]
    assert rows[1][:5] == ["degraded", "1", "of", "20", "5.0"]
    few = Repeats(wanted=20, expect=expect)
    while not few.over:
        few.add("1", 1, Verdict(word="stuck", between=("stuck",)))
    assert "spared: they could not have changed the answer" in repeat_lines(few, None)[0]


def test_a_quiet_run_tells_of_trouble_alone() -> None:
    from types import SimpleNamespace
    from typing import Any, cast

    from rascal.cli.experiment.showing import Watching
    from rascal.load.types import Event

    learned = Event(kind="note", second=0, text="learned it", data={"uses": {"db": ["buy"]}})
    lost = Event(kind="agent_lost", second=3, text="agent b is lost")
    for chatty, told in ((True, ["0:00  learned it", "0:03  agent b is lost"]),
                         (False, ["0:03  agent b is lost"])):  # fmt: skip
        said: list[str] = []
        writer = cast(Any, SimpleNamespace(tell=said.append))
        watching = Watching(writer, cast(Any, None), lambda *_: None, chatty=chatty)
        watching.event(learned)
        watching.event(lost)
        assert said == told
