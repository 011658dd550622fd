"""What is written of experiments: every verdict, the same twice, nothing lost, nothing injected."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import attrs
import jsonschema_rs
import pytest
from experiment.outputs.stored_experiments import put, store_of
from experiment.simulated import SYSTEMS

from rascal.errors import RascalError
from rascal.experiment.errors import ExperimentError
from rascal.experiment.outputs import comparing, comparison, evidence, tables
from rascal.experiment.outputs.counted import CLASSES, sides
from rascal.experiment.outputs.gathered import Gathered, gather
from rascal.experiment.outputs.headline import badges, certainty, expected, sentences
from rascal.experiment.outputs.html import html, page
from rascal.experiment.outputs.json import as_json, data, schema
from rascal.experiment.outputs.junit import junit
from rascal.experiment.outputs.markdown import PLACEHOLDER, escape, markdown
from rascal.experiment.outputs.soundness import OTHER, checks
from rascal.experiment.outputs.timeline import phases, timeline
from rascal.experiment.record import Thresholds
from rascal.report.page import Grid
from rascal.store import Store

NAMES = [name.replace(" ", "-") for name in SYSTEMS]
EVERY = [*NAMES, "stopped", "thin", "was-wrong"]
WORDS = {name.replace(" ", "-"): word for name, (_, word) in SYSTEMS.items()}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """All simulated systems, stored; read only."""
    with store_of(tmp_path_factory.mktemp("outputs") / "runs.db") as found:
        yield found


@pytest.fixture(scope="module")
def all_of(store: Store) -> dict[str, Gathered]:
    return {name: gather(store, name) for name in EVERY}


def text_of(it: Gathered) -> str:
    """The page without its markup."""
    body = re.sub(r"(?s)<(style|script).*?</\1>|<title>.*?</title>", " ", html(it))
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


# ---- gathered


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_run_is_judged_as_it_was(
    store: Store, all_of: dict[str, Gathered], name: str
) -> None:
    it = all_of[name]
    said = store.data(it.load.run.id)["verdict"]
    assert it.word == said["word"]
    assert f"{it.told} {it.doubt}".strip() == said["sentence"]
    if it.verdict is not None and it.verdict.kind != "not probed":
        assert it.word == WORDS[name]


@pytest.mark.parametrize("name", EVERY)
def test_the_same_run_gives_the_same_bytes(
    store: Store, all_of: dict[str, Gathered], name: str
) -> None:
    again = gather(store, name)
    for made in (html, as_json, junit, markdown):
        assert made(again) == made(all_of[name])


def test_letters_follow_time_and_plans_come_from_the_file(all_of: dict[str, Gathered]) -> None:
    hang, delay = all_of["hangs"].faults
    assert (hang.letter, hang.planned) == ("A", (30.0, 45.0))
    assert hang.text == "hang on db match statement=SELECT"
    assert (delay.letter, delay.planned, delay.record.late) == ("B", (35.0, 40.0), 0.02)


def test_a_file_of_another_version_costs_words_and_nothing_else(store: Store) -> None:
    run = put(store, "hangs", name="of-tomorrow", text="kinds: {of: tomorrow}")
    it = gather(store, run)
    assert it.experiment is None and it.word == "degraded" and it.objectives == ()
    assert it.faults[1].planned == (35.0, 40.0) and "kinds: {of: tomorrow}" in text_of(it)


def test_other_thresholds_give_another_verdict_and_its_status(store: Store) -> None:
    it = gather(store, "hangs", attrs.evolve(Thresholds(), dishonest=1.0))
    assert it.verdict is not None and it.word == "graceful" and it.met == "yes"
    assert it.status == 1  # an objective is not kept
    assert [one.kept for one in it.objectives] == [True, False]


def test_what_is_no_experiment_says_so(store: Store) -> None:
    plain = store.create({"target": "http://127.0.0.1:1"}, {}, name="plain")
    store.finish(plain, "completed", {})
    with pytest.raises(ExperimentError, match="is no experiment, but a load run"):
        gather(store, plain)
    lost = store.create({}, {}, kind="experiment", name="lost")
    with pytest.raises(ExperimentError, match="goes on"):
        gather(store, lost)
    store.finish(lost, "failed", {})
    with pytest.raises(ExperimentError, match="without a word"):
        gather(store, lost)
    with pytest.raises(RascalError, match="there is no run 'nobody'"):
        gather(store, "nobody")


# ---- counted


@pytest.mark.parametrize("name", ["hangs", "one-thread-pool", "fast-503", "too-few-started"])
def test_every_call_stands_in_one_class(all_of: dict[str, Gathered], name: str) -> None:
    it = all_of[name]
    using, others = sides(it, step=1)
    assert list(using.flows) == ["orders"] and list(others.flows) == ["browse", "export"]
    for side in (using, others):
        rows = [
            row
            for flow in it.record.flows
            if flow.name in side.flows
            for second, row in flow.rows.items()
            if second < it.end
        ]
        assert sum(map(side.total, CLASSES)) == sum(row.started + row.dropped for row in rows)
        assert sum(one.offered for one in side.steps) == sum(row.planned for row in rows)
    joined = sides(it, step=7)[0]
    assert [joined.total(name) for name in CLASSES] == [using.total(name) for name in CLASSES]


def test_good_calls_are_those_of_the_judge(all_of: dict[str, Gathered]) -> None:
    it = all_of["hangs"]
    assert it.verdict is not None
    flow = next(one for one in it.verdict.flows if one.name == "orders")
    first, last = it.verdict.windows["fault"]
    steps = sides(it, step=1)[0].steps[first:last]
    honest = sum(one.classes.get("quick no", 0) for one in steps)
    good = sum(one.classes.get("good", 0) for one in steps)
    assert (honest, good) == (flow.honest, flow.calls["fault"] - flow.honest - flow.dishonest)


# ---- the page


@pytest.mark.parametrize("name", EVERY)
def test_every_page_opens_with_its_verdict(all_of: dict[str, Gathered], name: str) -> None:
    it = all_of[name]
    made = page(it)
    assert made.verdicts[0].word == it.word.capitalize() and made.headline[0] == it.told
    text = text_of(it)
    assert text.index(it.word.capitalize()) < text.index("Timeline")
    for word in ("db/hang", "Is the measurement sound?", "How to run it again", "seed 5"):
        assert word in text


def test_an_unsure_verdict_says_what_else_and_what_would_settle_it(
    all_of: dict[str, Gathered],
) -> None:
    it = all_of["thin"]
    assert it.verdict is not None and not it.verdict.sure
    assert certainty(it).startswith("not sure: ") and certainty(it) in [x.text for x in badges(it)]
    assert "more of baseline" in it.doubt and it.doubt in sentences(it)[1]
    assert it.doubt not in it.told


def test_what_was_ended_early_says_why_and_shows_what_there_is(
    all_of: dict[str, Gathered],
) -> None:
    it = all_of["stopped"]
    assert it.word == "ended early" and it.status == 4 and it.verdict is None
    text = text_of(it)
    assert "stop rule 'errors': 5" in text.replace("&#39;", "'")
    assert "Evidence" not in text and "Calls a second" in text
    assert not checks(it)[0].good


def test_expectations_in_badges(all_of: dict[str, Gathered]) -> None:
    texts = {name: [one.text for one in badges(all_of[name])] for name in EVERY}
    assert "✗ not as expected: graceful or better" in texts["hangs"]
    assert "✓ as expected: exactly degraded" in texts["resets"]
    assert "✓ as expected: exactly invalid" in texts["never-fired"]
    assert "0 of 1 invariant held" in texts["charged-twice"]
    assert expected(all_of["fast-503"]) == "resilient"
    wrong = all_of["was-wrong"]
    assert wrong.word == "invalid" and "? proves nothing: graceful or better" in [
        one.text for one in badges(wrong)
    ]


def test_the_timeline_has_one_axis_phases_lanes_and_letters(all_of: dict[str, Gathered]) -> None:
    it = all_of["queue-and-3-attempts"]
    names = [name for name, _, _ in phases(it)]
    assert names == ["warm-up", "baseline", "fault", "recovery", "down", "ramp", "back"]
    made = timeline(it)
    assert len({(plot.across.first, plot.across.last) for plot in made.plots}) == 1
    assert [lane.letter for lane in made.lanes] == ["", "A", "B"]
    for plot in made.plots:
        assert [one.letter for one in plot.bands if one.tone == "fault"] == ["A", "B"]
    titles = [plot.title for plot in made.plots]
    assert titles == [
        "Calls a second that use db", "Calls a second that do not", "Latency of served calls",
        "Attempts per call", "In flight", "Work at the dependency",
    ]  # fmt: skip
    assert "Attempts per call" not in [one.title for one in timeline(all_of["hangs"]).plots]
    using = made.plots[0]
    assert [line.name for line in using.over] == ["offered"]
    assert made.plots[2].limits[0].text.startswith("deadline ")
    assert [mark.text for mark in using.marks] == ["agent local is gone"]


def test_what_broke_is_hatched_and_what_works_is_blue(all_of: dict[str, Gathered]) -> None:
    lines = {one.name: one for one in timeline(all_of["hangs"]).plots[0].lines}
    assert (lines["served in time"].colour, lines["served in time"].style) == ("blue", "area")
    assert lines["timeout"].style == "hatch" and 'fill="url(#hatch-red)"' in html(all_of["hangs"])


def test_evidence_has_every_rule_and_question(all_of: dict[str, Gathered]) -> None:
    it = all_of["hangs"]
    answers = {one.name: one.answer for one in evidence.rules(it)}
    assert answers == {
        "invalid": "no", "corrupt": "no", "stuck": "no", "cascading": "no", "degraded": "yes",
        "graceful": "", "resilient": "",
    }  # fmt: skip
    assert it.verdict is not None
    first, second = evidence.tables(it)
    asked = {one for rule in it.verdict.rules for one in rule.findings}
    assert len(second.rows) == len(asked) and len(first.rows) == 7
    for row in second.rows:
        assert row[1].text in evidence.SIGNS.values() and row[7].text
    probed = [one.name for one in evidence.rules(all_of["queue-and-3-attempts"])]
    assert probed[2:5] == ["stuck", "clears at low load", "fails again at full load"]


def test_flows_tell_their_deadline_interval_and_what_is_missing(
    all_of: dict[str, Gathered],
) -> None:
    made = tables.flows(all_of["dead"])
    assert made is not None
    orders = dict(zip(made.titles, made.rows[0], strict=True))
    assert orders["Flow"].more == "uses db" and orders["Deadline"].more == "derived"
    assert orders["Missing"].text == "100 %" and orders["Well again"].text == "never"
    assert re.fullmatch(r"[\d.]+ to [\d.]+ %", orders["Kept"].more)
    assert "refused" in orders["Failures"].more
    others = dict(zip(made.titles, made.rows[1], strict=True))
    assert others["Flow"].more == "does not use db" and others["Missing"].text == "-"
    ranges = tables.ranges(all_of["dead"])
    assert ranges is not None and [one.points[0].sign for one in ranges.rows][:2] == ["dot", "ring"]


def test_length_says_what_would_have_been_enough(all_of: dict[str, Gathered]) -> None:
    made = tables.lengths(all_of["thin"])
    assert made is not None and made.rows[0][2].text == "✗ no"
    assert made.rows[0][4].text.startswith("baseline ")


def test_struck_exchanges_and_failing_calls_are_shown_and_escaped(
    all_of: dict[str, Gathered],
) -> None:
    it = all_of["hangs"]
    made = tables.strikes(it)
    assert made is not None and len(made.rows) == tables.STRIKES
    assert [one.text for one in made.rows[0][:3]] == ["A db/hang", "30.10s", "hang"]
    text = html(it)
    assert "&lt;script&gt;alert(1)" in text and "<script>alert(1)" not in text


def test_the_page_needs_nothing_and_forbids_itself_the_rest(all_of: dict[str, Gathered]) -> None:
    text = html(all_of["hangs"])
    assert "default-src 'none'; style-src 'sha256-" in text.replace("&#39;", "'")
    assert not re.search(r"<(link|img|iframe|object)\b| style=| on\w+=|@import", text)
    assert set(re.findall(r'(?:href|src)="(.)', text)) == {"#"}
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style and len(text) < 250_000


@pytest.mark.parametrize("name", ["hangs", "dead", "thin"])
def test_no_table_has_a_row_of_another_width(all_of: dict[str, Gathered], name: str) -> None:
    grids = [
        one.table
        for section in page(all_of[name]).sections
        for one in section.blocks
        if isinstance(one, Grid)
    ]
    assert grids and all(len(row) == len(one.titles) for one in grids for row in one.rows)


# ---- soundness


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("never-fired", "every fault fired"),
        ("sick-before", "it was well before the fault"),
        ("over-capacity-before", "it was well before the fault"),
        ("agent-starved", "the agents kept up"),
        ("too-few-started", "the load was offered"),
        ("was-wrong", "invariants held before"),
    ],
)
def test_each_reason_stands_at_its_check(
    all_of: dict[str, Gathered], name: str, check: str
) -> None:
    it = all_of[name]
    assert it.verdict is not None
    found = {one.name: one for one in checks(it)}
    assert not found[check].good
    told = "; ".join(one.text for one in found.values() if not one.good)
    assert all(reason in told for reason in it.verdict.reasons)


def test_a_reason_of_no_known_sort_is_not_lost(store: Store) -> None:
    it = gather(store, put(store, "hangs", name="odd", troubles=["the moon was full"]))
    assert it.word == "invalid"
    assert [one.text for one in checks(it) if not one.good] == ["the moon was full"]
    assert next(one for one in checks(it) if not one.good).name == OTHER


# ---- JSON


@pytest.mark.parametrize("name", EVERY)
def test_json_is_what_its_schema_says(all_of: dict[str, Gathered], name: str) -> None:
    found = json.loads(as_json(all_of[name]))
    problems = list(jsonschema_rs.validator_for(schema()).iter_errors(found))
    assert not problems, problems[0]
    assert set(found) == set(schema()["properties"])
    for part in ("verdict", "run", "timeline", "setup"):
        assert set(found[part]) == set(schema()["properties"][part]["properties"]), part
    for part in ("flows", "rules", "faults", "objectives", "invariants", "checks"):
        for one in found[part]:
            assert set(one) == set(schema()["properties"][part]["items"]["properties"]), part


def test_json_of_what_was_not_judged(all_of: dict[str, Gathered]) -> None:
    found = data(all_of["stopped"])
    assert found["verdict"]["name"] is None and found["flows"] == found["rules"] == []
    assert found["ended_early"] == "stop rule 'errors': 5" and found["status"] == 4


def test_json_counts_what_the_rows_count(all_of: dict[str, Gathered]) -> None:
    it = all_of["hangs"]
    using = data(it)["timeline"]["using"]
    orders = next(flow for flow in it.record.flows if flow.name == "orders")
    assert sum(using["offered"]) == sum(
        row.planned for second, row in orders.rows.items() if second < it.end
    )
    assert len(using["p95"]) == len(using["offered"]) == it.end


# ---- JUnit


@pytest.mark.parametrize("name", EVERY)
def test_junit_fails_exactly_when_the_status_does(all_of: dict[str, Gathered], name: str) -> None:
    it = all_of[name]
    root = ElementTree.fromstring(junit(it))
    wrong = [one for one in root.iter() if one.tag in ("failure", "error")]
    assert bool(wrong) == bool(it.status)
    cases = list(root.iter("testcase"))
    assert root.get("tests") == str(len(cases))
    assert int(root.get("failures", "")) + int(root.get("errors", "")) == len(wrong)
    assert len(cases) == 1 + len(it.objectives) + len(it.kept.invariants) + len(checks(it))
    if it.status in (3, 4):
        assert not list(root.iter("failure")) or it.kept.invariants


def test_junit_names_the_verdict_and_what_was_expected(all_of: dict[str, Gathered]) -> None:
    root = ElementTree.fromstring(junit(all_of["hangs"]))
    case = next(root.iter("testcase"))
    assert case.get("name") == "the verdict is graceful or better"
    failure = case.find("failure")
    assert failure is not None and failure.get("message") == "degraded (sure)"
    names = [one.get("name") for one in root]
    assert names == [
        f"hangs: {one}" for one in ("expectation", "objectives", "invariants", "validity")
    ]
    properties = {one.get("name"): one.get("value") for one in root[0].iter("property")}
    assert properties["verdict"] == "degraded" and properties["seed"] == "5"


def test_a_run_that_proves_nothing_is_an_error_not_a_failure(all_of: dict[str, Gathered]) -> None:
    it = all_of["was-wrong"]
    assert it.status == 3
    case = next(ElementTree.fromstring(junit(it)).iter("testcase"))
    error = case.find("error")
    assert error is not None and error.get("type") == "proves nothing"


# ---- Markdown


def test_markdown_has_the_verdict_a_table_and_a_link(all_of: dict[str, Gathered]) -> None:
    lines = markdown(all_of["hangs"]).splitlines()
    assert lines[0] == "### ❌ hangs: degraded"
    assert lines[2].startswith(all_of["hangs"].told) and "Expected: graceful or better." in lines[2]
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == 2 + len(all_of["hangs"].verdict.flows)  # type: ignore[union-attr]
    assert len({line.count(" | ") for line in (rows[0], *rows[2:])}) == 1
    assert f"]({PLACEHOLDER})" in lines[-1]
    assert "](https://ci.example/a%20b)" in markdown(all_of["hangs"], "https://ci.example/a b")


def test_markdown_signs(all_of: dict[str, Gathered]) -> None:
    assert markdown(all_of["resets"]).startswith("### ❌")  # as expected, an objective was not kept
    assert markdown(all_of["fast-503"]).startswith("### ❌ fast-503: graceful")
    assert markdown(all_of["breaker"]).startswith("### ❌") == bool(all_of["breaker"].status)
    assert markdown(all_of["never-fired"]).startswith("### ✅ never-fired: invalid")
    assert markdown(all_of["was-wrong"]).startswith("### ⚠️ was-wrong: invalid")
    assert markdown(all_of["stopped"]).startswith("### ⚠️ stopped: ended early")
    assert all_of["thin"].doubt.split(":")[0] in markdown(all_of["thin"])


def test_nothing_in_a_name_is_markup() -> None:
    text = escape("a|b <b>`x` @team [l](u)\n# *y*")
    assert "|" not in text.replace("\\|", "") and "<" not in text and "\n" not in text
    assert "@team" not in text and "\\[l\\]" in text and "\\`x\\`" in text


# ---- two of them


def test_two_side_by_side(store: Store) -> None:
    it = comparing.compare(store, "hangs", "absorbs-it")
    pairs = {one.name: one for one in it.flows}
    assert pairs["orders"].answer == "better" and pairs["browse"].answer == "no difference seen"
    assert it.sentence.startswith("Degraded before, resilient after; orders kept more (")
    assert any(line.startswith("-expect: graceful") for line in it.file)
    text = "\n".join(comparing.lines(it))
    for part in ("KEPT BEFORE", "better by ", "-name: hangs", "+name: absorbs-it"):
        assert part in text
    back = comparing.compare(store, "absorbs-it", "hangs")
    assert {one.name: one.answer for one in back.flows}["orders"] == "worse"
    assert json.loads(json.dumps(comparing.data(it)))["flows"][0]["name"] == pairs["orders"].name
    made = comparison.html(it)
    assert made.count("<strong>Degraded</strong>") == 1 and "<strong>Resilient</strong>" in made
    assert made.index("Degraded") < made.index("Resilient") < made.index("Timeline before")


def test_the_same_twice_is_told_and_no_difference_is_made_up(store: Store) -> None:
    with pytest.raises(ExperimentError, match="are the same run"):
        comparing.compare(store, "hangs", "hangs")
    twin = put(store, "hangs", name="hangs-again", seed=6)
    it = comparing.compare(store, "hangs", twin)
    assert {one.answer for one in it.flows} == {"no difference seen"}
    assert it.sentence == "Degraded, as before; no flow is seen to have kept more or less."
    assert any(one.what == "seed" for one in it.settings)
    assert not [one for one in it.baselines if one.verdict in ("better", "worse")]


def test_one_that_was_not_judged_beside_one_that_was(store: Store) -> None:
    it = comparing.compare(store, "stopped", "hangs")
    assert {one.answer for one in it.flows} == {"only after"}
    assert "Ended early" in comparison.html(it)


# ---- the command


def test_a_path_that_cannot_be_written_is_found_before(tmp_path: Path) -> None:
    from rascal.cli.experiment.outputs import with_reports
    from rascal.errors import ConfigError

    given = {"html": str(tmp_path / "no" / "x.html"), "junit": None, "markdown": None,
             "json_": None, "link": None}  # fmt: skip
    with pytest.raises(ConfigError, match="cannot be written"):
        with_reports(given)
    given["html"] = str(tmp_path / "x.html")
    assert dict(with_reports(given)["reports"].paths) == {"html": given["html"]}
    for flag, value, says in (
        ("no_store", True, "leave out --no-store"),
        ("repeat", "5", "leave out --repeat"),
        ("link", "https://x", "--link is for --markdown"),
        ("junit", "-", "name a file"),
    ):
        with pytest.raises(ConfigError, match=says):
            with_reports({**given, flag: value})
