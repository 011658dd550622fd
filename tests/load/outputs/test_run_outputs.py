"""What is written of a run: the page, JUnit, and the same from memory as from the store."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import attrs
import pytest
from store.made_runs import FILES, PLAN, a_run, reports

from rascal.load.outputs.checks import checks, where_text
from rascal.load.outputs.curves import (
    COLOURS,
    POINTS,
    bands,
    distribution,
    marks,
    percentile_text,
    timelines,
)
from rascal.load.outputs.gathered import STEPS, Gathered, gather
from rascal.load.outputs.headline import badges, sentences, tiles, tone
from rascal.load.outputs.html import html, page
from rascal.load.outputs.junit import junit
from rascal.load.results import Results
from rascal.load.types import OUTCOMES, Event, Report, Row
from rascal.report.page import Grid
from rascal.report.plots import COLOURS as PALETTE
from rascal.report.plots import Plot
from rascal.store import Store
from rascal.store.export import csv_tables, export_json
from rascal.store.held import Held, unkept

KEPT = {
    "text": "p95(checkout) < 300ms",
    "measure": "p95",
    "flow": "checkout",
    "kept": True,
    "value": 0.0521,
    "op": "<",
    "limit": 0.3,
    "type": "duration",
    "why": "",
    "windows": [],
    "of": 1,
    "failed": 0,
}
MISSED = {
    **KEPT,
    "text": "p99 < 40ms over 2s",
    "flow": "",
    "measure": "p99",
    "kept": False,
    "value": 0.0612,
    "limit": 0.04,
    "windows": [{"first": 3, "last": 5, "value": 0.0612}, {"first": 9, "last": 9, "value": None}],
    "of": 11,
    "failed": 3,
}
SUMMARY: dict[str, Any] = {
    "status": 0,
    "seconds": 12.0,
    "why": "",
    "invalid": [],
    "warnings": [],
    "load": [{"scenarios": ["buy"], "profile": "hold 40/s for 1m"}],
    "offered": {
        "expected": 240.0, "chance": 62.0, "planned": 240, "started": 240, "dropped": 0,
        "share": 1.0, "short": 0,
    },
    "unsound": {"seconds": [], "share": 0.0, "reasons": {}},
    "objectives": [KEPT],
    "agents": {"agent-1": {"host": "here", "lost": None}, "agent-2": {"host": "here"}},
    "reports": {"merged": 24, "missing": 0},
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "runs.db") as opened:
        yield opened


def gathered(store: Store, outcome: str = "completed", **summary: Any) -> Gathered:
    """A run of twelve seconds with that in its summary."""
    run = a_run(store, outcome="")
    if outcome:
        store.finish(run, outcome, {**SUMMARY, **summary})
    return gather(store, run)


def unsound(share: float) -> Mapping[str, Any]:
    return {"seconds": [5, 6], "share": share, "reasons": {"lag": 2}}


# ---- what is read of it


def test_a_long_run_is_joined_into_few_steps_by_adding(store: Store) -> None:
    run = a_run(store, seconds=700, calls=1, flows=("a", "b"), agents=1)
    it = gather(store, run)
    assert (it.step, len(it.rows)) == (5, 140) and len(it.rows) <= STEPS
    series = [store.series(run, "flow", name) for name in ("a", "b")]
    by_hand = Row()
    for seconds in series:
        for second in range(50, 55):
            by_hand.add(seconds[second])
    assert it.rows[10].served == by_hand.served and it.rows[10].outcomes == by_hand.outcomes
    assert it.all.planned == sum(row.planned for one in series for row in one.values())
    assert [len(one) for one in it.agents.values()] == [140]
    assert it.sums["agent-1"].connections == 700 and it.sums["agent-1"].reused_lost == 700
    assert list(it.unsound) == [5]


def test_a_run_without_a_call(store: Store) -> None:
    run = store.create(PLAN, FILES)
    store.begin(run, 1_700_000_000.0)
    store.finish(run, "failed", {**SUMMARY, "status": 3, "why": "nobody came", "seconds": 0})
    it = gather(store, run)
    assert sentences(it)[0] == "This run proves nothing: nobody came. No call was made."
    assert '<svg class="area"' not in html(it)
    assert 'failures="1"' in junit(it)


# ---- JUnit


def cases(it: Gathered) -> dict[str, ElementTree.Element]:
    root = ElementTree.fromstring(junit(it))
    found = {str(case.get("name")): case for case in root.iter("testcase")}
    failed = sum(case.find("failure") is not None for case in found.values())
    assert (root.get("tests"), root.get("failures")) == (str(len(found)), str(failed))
    for suite in root:
        assert int(suite.get("tests", "")) == len(suite.findall("testcase"))
    return found


def test_a_good_run_passes_every_case(store: Store) -> None:
    it = gathered(store)
    found = cases(it)
    assert list(found) == [
        "the run ended as planned",
        "the load was offered",
        "the client was not the bottleneck",
        "arrivals found room in flight",
        "no agent was lost",
        "no report is missing",
        "p95(checkout) < 300ms",
    ]
    assert not [one for one in found.values() if one.find("failure") is not None]
    out = found["p95(checkout) < 300ms"].findtext("system-out")
    assert out == "measured 52ms, limit < 300ms, over 12s"


def test_an_objective_fails_with_value_limit_and_time(store: Store) -> None:
    failure = cases(gathered(store, status=1, objectives=[KEPT, MISSED]))[MISSED["text"]].find(
        "failure"
    )
    assert failure is not None
    assert failure.get("message") == (
        "61ms, limit < 40ms, in 3 of 11 windows: 0:03 to 0:05 (61ms), 0:09 (-)"
    )
    silent = {**KEPT, "kept": False, "value": None, "why": "nothing was measured"}
    failure = cases(gathered(store, status=1, objectives=[silent]))[KEPT["text"]].find("failure")
    assert failure is not None and failure.get("message") == "nothing was measured"


@pytest.mark.parametrize(
    ("outcome", "summary", "failed"),
    [
        ("stopped", {"status": 4, "why": "stop rule: failed > 50%"}, ["the run ended as planned"]),
        ("interrupted", {"status": 130}, ["the run ended as planned"]),
        ("failed", {"status": 3, "why": "no agent is left"}, ["the run ended as planned"]),
        (
            "completed",
            {"status": 3, "offered": {**SUMMARY["offered"], "share": 0.5, "started": 120}},
            ["the load was offered"],
        ),
        (
            "completed",
            {"status": 3, "unsound": unsound(0.17)},
            ["the client was not the bottleneck"],
        ),
        ("completed", {"unsound": unsound(0.04)}, []),
        ("completed", {"offered": {**SUMMARY["offered"], "dropped": 100}}, []),
        ("completed", {"agents": {"agent-1": {"lost": "no report"}}}, []),
        ("completed", {"reports": {"merged": 20, "missing": 4}}, []),
        ("", {}, ["the run ended"]),
    ],
)
def test_a_run_fails_where_its_exit_status_does(
    store: Store, outcome: str, summary: Mapping[str, Any], failed: list[str]
) -> None:
    it = gathered(store, outcome, **summary)
    found = cases(it)
    assert [name for name, one in found.items() if one.find("failure") is not None] == failed
    if outcome and not failed and "unsound" not in summary:
        warned = [one.findtext("system-out") or "" for one in found.values()]
        assert sum(text.startswith("warning: ") for text in warned) == 1
    assert tone(it) != "good" or it.run.status == 0


def test_what_xml_cannot_hold_is_replaced(store: Store) -> None:
    run = a_run(store, outcome="", about={"name": "a\x00b\x1b[2J<&"})
    store.finish(run, "stopped", {**SUMMARY, "status": 4, "why": "\x07bell ]]> <x/>"})
    root = ElementTree.fromstring(junit(gather(store, run)))
    assert root.get("name") == "rascal load a\ufffdb\ufffd[2J<&"
    failure = next(root.iter("failure"))
    assert failure.get("message") == "stopped: \ufffdbell ]]> <x/>"


def test_secrets_are_in_no_output(store: Store) -> None:
    plan = {
        "target": "http://ann:geheim@127.0.0.1/",
        "headers": {"Authorization": "geheim"},
        "options": {"api_key": "geheim"},
    }
    it = gather(store, a_run(store, plan=plan))
    for text in (junit(it), html(it)):
        assert "geheim" not in text and "127.0.0.1" in text


# ---- the page


def test_the_headline_says_what_came_out(store: Store) -> None:
    it = gathered(store)
    planned, served = it.all.planned, it.served
    assert planned == sum(row.planned for row in it.flows.values()) > served
    text = "\n".join(sentences(it))
    assert f"of {planned:,} calls were served, half of them within" in text
    assert "(hold 40/s for 1m by buy), all of which were started." in text
    assert f"Got through: {served:,} of {planned:,} calls" in text
    failures = sorted(
        ((times, name) for name, times in it.all.outcomes.items() if name != "served"),
        reverse=True,
    )
    assert f"Failed: {', '.join(f'{times:,} {name}' for times, name in failures)}." in text
    assert "The tool was the bottleneck in 1 second (8.3 %; lag 1)" in text
    values = {one.title: one.value for one in tiles(it)}
    assert list(values) == ["offered", "served", "failed", "p50", "p95", "p99", "max"]
    assert values["offered"] == f"{planned / 12:.1f}/s" and values["p50"] != "-"


@pytest.mark.parametrize(
    ("outcome", "summary", "begins", "badge", "colour"),
    [
        ("completed", {}, "", "as expected", "good"),
        ("completed", {"warnings": ["x"]}, "", "as expected", "warn"),
        (
            "completed",
            {"status": 1, "objectives": [KEPT, MISSED]},
            "Not kept: p99 < 40ms over 2s (measured: 61ms). ",
            "an objective was not kept",
            "bad",
        ),
        (
            "completed",
            {"status": 1, "objectives": [MISSED, MISSED]},
            "2 of 2 objectives were not kept. ",
            "an objective was not kept",
            "bad",
        ),
        (
            "completed",
            {"status": 3, "invalid": ["too slow."]},
            "This run proves nothing: too slow. ",
            "proves nothing",
            "bad",
        ),
        ("stopped", {"status": 4, "why": "failed > 50%"}, "Ended after 0:12, failed > 50%. ",
         "ended by a stop rule", "bad"),
        ("interrupted", {"status": 130}, "Interrupted after 0:12. ", "interrupted", "warn"),
        ("", {}, "The run goes on. So far: ", "running", "warn"),
    ],
)  # fmt: skip
def test_how_it_went_in_a_word(
    store: Store, outcome: str, summary: Any, begins: str, badge: str, colour: str
) -> None:
    it = gathered(store, outcome, **summary)
    assert sentences(it)[0].startswith(begins)
    assert badges(it)[0].text == badge and tone(it) == colour


def test_what_a_tool_that_does_not_correct_would_say(store: Store) -> None:
    it = gathered(store)
    assert "Uncorrected" not in " ".join(sentences(it))
    stalled = Row()
    stalled.served.record(1_500_000, 100)
    stalled.served_actual.record(3_000, 100)
    stalled.planned = stalled.started = 100
    text = sentences(attrs.evolve(it, all=stalled))[-1]
    assert text.startswith("Uncorrected, the 99th percentile would read 3.0ms instead of 1.5s")


def test_calls_of_which_nothing_is_known_are_told(store: Store) -> None:
    it = gathered(store)
    row = Row()
    row.planned, row.started, row.dropped = 100, 70, 20
    text = sentences(attrs.evolve(it, scenarios={"buy": row}))[1]
    assert "what became of 10 of them is not known; 20 of them (20 %) were dropped" in text


def plots(it: Gathered) -> dict[str, Plot]:
    return {one.title: one for one in timelines(it)}


def test_plots_show_the_rows(store: Store) -> None:
    it = gathered(store)
    found = plots(it)
    assert list(found) == [
        "Calls a second",
        "Latency of served calls",
        "Outcomes a second",
        "Failures a second",
        "In flight",
        "CPU of the agents",
        "Lag of the agents",
    ]
    lines = {one.name: one.values for one in found["Calls a second"].lines}
    assert lines["offered"] == [row.planned for row in it.rows]
    assert lines["served"] == [row.outcomes.get("served", 0) for row in it.rows]
    latency = {one.name: one.values for one in found["Latency of served calls"].lines}
    assert latency["p95"] == [row.served.percentile(95) for row in it.rows]
    assert latency["p99 uncorrected"] == [row.served_actual.percentile(99) for row in it.rows]
    layers = [one.name for one in found["Outcomes a second"].lines]
    assert layers == ["served", "http_5xx", "timeout"]
    assert [one.name for one in found["Failures a second"].lines] == layers[1:]
    assert {one.name: one.values[0] for one in found["In flight"].lines}["calls"] == 6.0
    for one in found.values():
        assert {line.colour for line in one.lines} <= set(PALETTE)
    assert set(COLOURS) == set(OUTCOMES) and len(set(COLOURS.values())) == len(COLOURS)


def test_the_last_step_counts_for_as_long_as_it_was(store: Store) -> None:
    it = gathered(store, seconds=11.5)
    lines = {one.name: one.values for one in plots(it)["Calls a second"].lines}
    assert lines["offered"][-1] == it.rows[-1].planned / 0.5
    drained = attrs.evolve(it, rows=[*it.rows, Row()], agents={})
    lines = {one.name: one.values for one in plots(drained)["Calls a second"].lines}
    assert lines["offered"][-1] is None


def test_seconds_that_are_not_sound_are_shaded_and_events_are_numbered(store: Store) -> None:
    it = gathered(store)
    it = attrs.evolve(
        it,
        unsound={2: ("lag",), 3: ("cpu",), 7: ("late",)},
        events=[
            Event(second=0, kind="started", text="go"),
            Event(second=4, kind="agent_lost", text="gone"),
            Event(second=5, kind="unsound", text="late"),
        ],
    )
    assert [(one.first, one.last) for one in bands(it)] == [(2, 4), (7, 8)]
    assert bands(it)[0].label == "not sound, 0:02 to 0:03: lag, cpu"
    assert [(one.at, one.label, one.text) for one in marks(it)] == [(4, "2", "gone")]


def test_many_agents_are_drawn_as_two_lines(store: Store) -> None:
    it = gather(store, a_run(store, agents=9, seconds=3))
    assert [one.name for one in plots(it)["CPU of the agents"].lines] == ["highest of 9", "middle"]


def test_the_distribution_is_that_of_all_calls(store: Store) -> None:
    it = gathered(store)
    plot = distribution(it.all)
    assert plot is not None and len(plot.across.places) == POINTS
    at = min(range(POINTS), key=lambda one: abs(plot.across.places[one] - 1))  # 90 %
    share = 100 * (1 - 10 ** -plot.across.places[at])
    assert plot.lines[0].values[at] == it.all.served.percentile(share)
    assert plot.lines[1].values[at] == it.all.served_actual.percentile(share)
    assert distribution(Row()) is None
    assert [percentile_text(at) for at in (0, 0.30103, 1, 2, 3, 2.5)] == [
        "0 %", "50 %", "90 %", "99 %", "99.9 %", "99.68 %",
    ]  # fmt: skip


def test_the_page_has_all_of_it(store: Store) -> None:
    it = gathered(store, objectives=[KEPT, MISSED], warnings=["mind the gap"])
    made = page(it)
    assert [one.name for one in made.sections] == [
        "numbers", "objectives", "time", "spread", "flows", "failures", "agents", "events", "plan",
        "again",
    ]  # fmt: skip
    tables = {
        block.table.titles[0]: block.table
        for section in made.sections
        for block in section.blocks
        if isinstance(block, Grid)
    }
    flows = tables["Flow"]
    assert [row[0].text for row in flows.rows] == ["catalogue", "checkout", "all"]
    assert [row[1].text for row in tables["Objective"].rows] == ["✓ kept", "✗ not kept"]
    assert len(tables["Agent"].rows) == 2
    text = html(it)
    for words in ("mind the gap", "no reply in 30s", "Host: x␛[2J", "rascal runs sources"):
        assert words in text, words
    assert "\x1b" not in text


def test_windows_that_are_many_are_cut() -> None:
    state = {**MISSED, "windows": [{"first": at, "last": at, "value": 0.1} for at in range(9)]}
    assert where_text(state, 12).endswith("0:04 (100ms), …")
    assert where_text({**MISSED, "kept": True}, 12) == "the worst of 11 windows"


def test_checks_of_a_run_without_a_schedule(store: Store) -> None:
    it = gathered(store, offered={**SUMMARY["offered"], "share": None})
    assert checks(it)[1].text == "no arrivals were planned by the clock"


# ---- from memory


def held(store: Store, *, kept: bool) -> tuple[Held, str]:
    run = a_run(store, outcome="")
    store.finish(run, "completed", SUMMARY)
    results = Results(run)
    for report in reports(1):
        assert results.add(report)
    results.events.append(Event(second=0.0, kind="started", text="load starts"))
    told = store.run(run)
    if not kept:
        told = unkept(told.plan, SUMMARY, versions={}, about={}, started=told.started)
    return Held(told, results, FILES), run


def test_what_is_held_reads_as_what_was_kept(store: Store) -> None:
    source, run = held(store, kept=True)
    assert json.loads("".join(export_json(source, run))) == json.loads(
        "".join(export_json(store, run))
    )
    mine, theirs = csv_tables(source, run), csv_tables(store, run)
    assert {name: list(lines) for name, lines in mine.items()} == {
        name: list(lines) for name, lines in theirs.items()
    }
    assert html(gather(source, run)) == html(gather(store, run))
    assert junit(gather(source, run)) == junit(gather(store, run))


def test_a_run_that_was_not_kept_is_written_as_well(store: Store) -> None:
    source, _ = held(store, kept=False)
    it = gather(source, "")
    assert it.run.state == "ended" and it.run.status == 0
    text = html(it)
    assert "rascal runs" not in text and "Load run<" in text
    assert len(cases(it)) == 7


def test_reports_are_only_read(store: Store) -> None:
    """The results of a run are the coordinator's."""
    source, run = held(store, kept=True)
    before = source.results(run).total().served.copy()
    html(gather(source, run))
    html(gather(source, run))
    assert source.results(run).total().served == before
    assert isinstance(next(reports(1)), Report)
