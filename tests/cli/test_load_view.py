"""The live view and the report of recorded runs."""

from __future__ import annotations

import re
import time
from typing import Any

import click
import pytest
from recorded import report, row, snapshot, steady

from rascal.cli.load.ending import Ended, lines_of, notes_of, seconds_of
from rascal.cli.load.look import History, Look
from rascal.cli.load.showing import Shown, Watching, Writer, event_text
from rascal.cli.load.view import curve, plain_line
from rascal.cli.load.view import lines_of as view_lines
from rascal.histogram import Histogram
from rascal.load.planning import plan_of
from rascal.load.results import Results
from rascal.load.types import SERVED, Event, Meters, Sample
from rascal.report.words import clock_text, share_text, time_text


def plain(lines: list[str]) -> str:
    return click.unstyle("\n".join(lines))


def words(text: str) -> list[str]:
    return text.split()


def watched(results: Results, seconds: int, **more: Any) -> Look:
    """A look at each of the last seconds, as a terminal takes them; gives the last."""
    history = History()
    part = Results()
    look = history.look(snapshot(part))
    by_second: dict[int, dict[str, Any]] = {}
    for kind, names in (("flow", results.flows), ("scenario", results.scenarios)):
        for name in names:
            for second, one in results.rows(kind, name).items():  # type: ignore[arg-type]
                by_second.setdefault(second, {})[kind, name] = one
    for second in range(seconds):
        rows = by_second[second]
        flows = {name: one for (kind, name), one in rows.items() if kind == "flow"}
        part.add(report(second, flows, scenario=rows.get(("scenario", "visit"))))
        look = history.look(snapshot(part, **more))
    return look


# ---- looks


def test_rates_counts_and_latencies() -> None:
    look = watched(steady(12), 12)
    assert (look.arrived, look.started) == (20.0, 20.0)
    assert look.calls.rate == 40.0
    assert look.calls.ok == 38.0
    checkout, page = look.flows
    assert (checkout.name, checkout.rate, checkout.ok) == ("checkout", 20.0, 18.0)
    assert checkout.counts.failed == pytest.approx(0.1)
    assert checkout.counts.started == 240
    assert page.latency == pytest.approx((0.01,) * 4, rel=0.005)
    assert look.calls.latency[0] == pytest.approx(0.01, rel=0.005)
    assert look.calls.latency[2] == pytest.approx(0.04, rel=0.005)
    assert look.calls.counts.outcomes == {SERVED: 456, "http_5xx": 24}
    assert look.rates == (40.0,) * 11  # the last second has not settled
    assert (look.in_flight, look.users) == (3, 5)


def test_latencies_are_of_the_last_ten_seconds() -> None:
    results = Results()
    for second in range(20):
        flows = {"page": row({SERVED: 10}, 5.0 if second < 10 else 0.01)}
        results.add(report(second, flows))
    look = History().look(snapshot(results))
    assert look.flows[0].latency[-1] == pytest.approx(0.01, rel=0.005)


def test_a_look_at_a_long_run_costs_what_one_at_a_short_run_does() -> None:
    def cost(seconds: int) -> float:
        results, history = steady(seconds), History()
        history.look(snapshot(results))
        best = 1.0
        for _ in range(5):
            began = time.perf_counter()
            history.look(snapshot(results))
            best = min(best, time.perf_counter() - began)
        return best

    assert cost(3000) < 10 * cost(30) + 0.002


def test_the_first_look_has_no_rates() -> None:
    look = History().look(snapshot(Results(), second=-1, state="starting", agents={}))
    assert look.arrived is None
    assert plain(view_lines(look, "shop", 80)).splitlines()[:2] == ["shop", "starting"]


def test_warnings() -> None:
    results = Results()
    for second in range(12):
        meters = Meters(cpu=0.99, busy=1.0, unsound=("cpu", "late") if second > 8 else ())
        results.add(
            report(
                second,
                {"page": row({SERVED: 5}, dropped=2)},
                scenario=row({SERVED: 5}, dropped=2),
                meters=meters,
            )
        )
    results.add(report(14, {}))
    look = History().look(snapshot(results, closed=11, lost=("b",)))
    said = "\n".join(look.warnings)
    assert "agent b is lost" in said
    assert "agent local is the bottleneck (cpu, late) in 3 of the last 10 s" in said
    assert plain_line(look).endswith("unsound 3 of 10 s (cpu, late)")
    assert "24 arrivals dropped" in said
    assert "2 reports of agents are missing" in said


def test_unsound_seconds_of_many_agents_are_one_warning() -> None:
    results = Results()
    for number in range(7):
        for second in range(4):
            meters = Meters(unsound=("late",) if second == number % 2 else ())
            results.add(report(second, {}, agent=f"a{number}", meters=meters))
    look = History().look(snapshot(results, closed=3, agents={}))
    assert look.warnings == [
        "agents a0, a1, a2, a3, a4 and 2 more are the bottleneck (late) in 2 of the last 4 s: "
        "these seconds do not count"
    ]


# ---- lines


def test_the_view_of_a_steady_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rascal.cli.load.view.can_draw", lambda: True)
    look = watched(steady(12), 12)
    lines = plain(view_lines(look, "run 17  shop.py → http://t", 100, "hint")).splitlines()
    assert lines[0] == "run 17  shop.py → http://t"
    assert re.fullmatch(r"0:12 of 1:00  █+·+  0:48 left", lines[1])
    assert lines[3] == "arrivals offered 20.0/s, started 20.0/s  calls 40.0/s, ok 38.0/s"
    assert lines[4] == "in flight 3  users 5"
    flows = [line.split() for line in lines if line.startswith(("checkout", "page", "all"))]
    assert flows[0] == words("checkout 240 20.0/s 18.0/s 10 % 40ms 40ms 40ms 40ms")
    assert flows[1][:6] == words("page 240 20.0/s 20.0/s 0.0 %")
    assert flows[2][0] == "all"
    assert "served 456  http_5xx 24" in lines
    assert any(line.startswith("rate ████") and line.endswith("up to 40.0/s") for line in lines)
    agent = next(line.split() for line in lines if line.startswith("local"))
    assert agent == words("local here 25% 30% 2.0ms - 3 yes")
    assert lines[-1] == "hint"


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"state": "draining"}, r"0:12  draining: .*3 in flight\)"),
        ({"ends": None}, "0:12  running, until it is stopped"),
        ({"state": "ended"}, "ended after 0:12"),
        ({"ends": 6.0, "second": 30}, r"0:30 of 0:06 .* 0:00 left"),
    ],
)
def test_states(more: dict[str, Any], wanted: str) -> None:
    look = History().look(snapshot(steady(12), **more))
    assert re.match(wanted, plain(view_lines(look, "t", 80)).splitlines()[1])


def test_many_agents_and_those_in_trouble_first() -> None:
    results = Results()
    for number in range(20):
        unsound = ("late",) if number == 19 else ()
        results.add(report(0, {}, agent=f"a{number:02}", meters=Meters(unsound=unsound)))
    look = History().look(snapshot(results, lost=("a07",), agents={}))
    lines = plain(view_lines(look, "t", 80)).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("AGENT"))
    assert [line.split()[0] for line in lines[at + 1 : at + 4]] == ["a07", "a19", "a00"]
    assert lines[at + 1].endswith("lost") and lines[at + 2].endswith("late")
    assert lines[-1] == "… and 8 agents, all well"


def test_one_line_for_logs() -> None:
    look = watched(steady(12), 12)
    assert plain_line(look).split("  ")[1:] == [
        "0:12/1:00",
        "arrivals offered 20.0/s, started 20.0/s",
        "calls 40.0/s, ok 38.0/s",
        "failed 5.0 %",
        "p50 10ms",
        "p95 40ms",
        "p99 40ms",
        "max 40ms",
        "in flight 3",
    ]


def test_words() -> None:
    assert [clock_text(one) for one in (-1, 7, 750, 3723)] == ["0:00", "0:07", "12:30", "1:02:03"]
    shares = (None, 0.0, 0.0004, 0.002, 0.25, 0.9995, 1.0)
    texts = ["-", "0.0 %", "<0.1 %", "0.2 %", "25 %", ">99.9 %", "100 %"]
    assert [share_text(one) for one in shares] == texts
    assert [time_text(one) for one in (None, 0.00025, 0.0123, 1.5)] == [
        "-", "250us", "12ms", "1.5s",
    ]  # fmt: skip
    assert event_text(Event(second=12.3, kind="agent_lost", text="b is gone")) == "0:12  b is gone"


def test_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rascal.cli.load.view.can_draw", lambda: True)
    assert curve([0, 1, None, 8]) == "▁▂ █"
    assert curve([0, 0]) == "▁▁"
    assert len(curve([1.0] * 100, 40)) == 40
    monkeypatch.setattr("rascal.cli.load.view.can_draw", lambda: False)
    assert curve([0, 8]) == ".#"


# ---- showing


class Noted(Shown):
    def __init__(self) -> None:
        super().__init__("t")
        self.seen: list[str] = []
        self.broken = False

    def show(self, look: Look) -> None:
        if self.broken:
            raise BrokenPipeError
        self.seen.append(f"look {look.second}")

    def tell(self, text: str) -> None:
        self.seen.append(text)

    def finish(self) -> None:
        self.seen.append("end")


def test_the_writer_shows_all_events_and_the_newest_look() -> None:
    shown = Noted()
    writer = Writer(shown)
    history = History()
    with writer.open():
        writer.tell("one")
        writer.tell("two")
        writer.show(history.look(snapshot(steady(3))))
    assert [one for one in shown.seen if not one.startswith("look")] == ["one", "two", "end"]
    assert shown.seen[-2:] == ["look 3", "end"]


def test_looks_are_taken_in_steps_and_only_some_events_are_told() -> None:
    shown = Noted()
    writer = Writer(shown)
    later: list[Any] = []
    watching = Watching(writer, lambda delay, function, *args: later.append((function, args)))
    with writer.open():
        watching.snapshot(snapshot(steady(5)))
        watching.snapshot(snapshot(steady(4)))  # the first look is still being taken
        while later:
            function, args = later.pop()
            function(*args)
        watching.event(Event(second=1.0, kind="started", text="started"))
        watching.event(Event(second=1.0, kind="agent_lost", text="b is gone"))
    assert sorted(shown.seen) == ["0:01  b is gone", "end", "look 5"]


# ---- the report


def plan(**more: Any) -> Any:
    values = {"target": "http://127.0.0.1:1", "rate": "20/s", "for": "12s", **more}
    return plan_of(values, scenarios=("visit",), file="shop.py")


def ended(results: Results, the_plan: Any = None, **more: Any) -> Ended:
    given: dict[str, Any] = {
        "run": "17",
        "outcome": "completed",
        "status": 0,
        "plan": the_plan or plan(),
        "results": results,
        "summary": {},
    }
    return Ended(**{**given, **more})


def test_both_latencies_side_by_side() -> None:
    results = Results()
    for second in range(12):
        results.add(
            report(second, {"page": row({SERVED: 20}, 0.01, late=1.0)}, scenario=row({SERVED: 20}))
        )
    text = plain(lines_of(ended(results), None))
    titles, page = (line.split() for line in text.splitlines()[:2])
    assert titles == words("FLOW OFFERED GOODPUT FAILED p50 p95 p99 max p50* p95* p99* max*")
    assert page == words("page 20.0/s 20.0/s 0.0 % 1s 1s 1s 1s 10ms 10ms 10ms 10ms")
    assert "* from the actual start of each call" in text
    narrow = plain(lines_of(ended(results), 80)).splitlines()
    assert max(map(len, narrow)) <= 80
    assert any(line.split() == words("FLOW p50* p95* p99* max*") for line in narrow)


def test_objectives_kept_and_not() -> None:
    wanted = ["p95(checkout) < 300ms", "failed(checkout) < 1%", "p99 < 1s"]
    the_plan = plan(objectives=wanted)
    text = plain(lines_of(ended(steady(12), the_plan, status=1), None))
    assert re.search(r"checkout .*p95\(checkout\) < 300ms  kept", text)
    assert re.search(r"failed\(checkout\) < 1%  not kept: 10 %", text)
    assert re.search(r"p99 < 1s  kept: \d+ms", text)
    assert "run 17: completed after 0:12: an objective was not kept" in text
    assert text.endswith("look at it again: rascal runs show 17")


def test_the_load_lasts_as_long_as_the_profile_unless_it_was_ended() -> None:
    assert seconds_of(ended(steady(12))) == 12.0
    assert seconds_of(ended(steady(5))) == 5.0
    half = plan(**{"for": "11.5s"})
    assert seconds_of(ended(steady(12), half)) == 11.5


def test_notes() -> None:
    results = steady(3)
    results.add(
        report(
            3,
            {"page": row({SERVED: 20})},
            meters=Meters(reused_lost=3, lateness=Histogram()),
        )
    )
    notes = notes_of(ended(results, summary={"warnings": ["the agent was late"]}))
    assert notes[0] == "the agent was late"
    assert any(note.startswith("3 requests were sent again") for note in notes)


def test_samples_one_of_each_kind() -> None:
    samples = [
        Sample(
            second=2.5,
            flow="checkout",
            outcome=outcome,
            detail="status 503",
            method="GET",
            url="http://t/checkout",
            took=0.04,
        )
        for outcome in ("http_5xx", "http_5xx", "timeout")
    ]
    results = Results()
    results.add(report(0, {"checkout": row({"http_5xx": 2, "timeout": 1})}, samples=samples))
    text = plain(lines_of(ended(results), None))
    assert text.count("http_5xx: status 503  (GET http://t/checkout, 40ms)") == 1
    assert text.count("checkout  timeout") == 1


def test_nothing_was_called() -> None:
    text = plain(lines_of(ended(Results(), status=3), None))
    assert text.startswith("no call was made")
    assert "it proves nothing" in text
    assert "not stored: " in plain(lines_of(ended(Results(), kept=False), None))
