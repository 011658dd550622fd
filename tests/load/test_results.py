"""Merging: each report once, whatever the order; the same numbers as from all raw values."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import call, done, results_of, rows_of

from rascal.load import results as module
from rascal.load.recorder import Recorder
from rascal.load.reports import decode, encode
from rascal.load.results import Gap, Results
from rascal.load.types import OUTCOMES, Meters, Report, Row, Sample

AGENTS = ("a", "b", "c", "d")
ERROR = 1 / 256


def plain(row: Row) -> dict[str, object]:
    return {name: getattr(row, name) for name in Row.__slots__}


def reports_of(agent: str, seed: int, seconds: int = 5) -> tuple[list[Report], list[float]]:
    """Reports of an agent, and every latency of a served call of flow "cart"."""
    recorder, chance = Recorder("17", agent), random.Random(f"{agent}{seed}")
    reports, raw = [], []
    for second in range(seconds):
        for _ in range(chance.randrange(30)):
            flow = chance.choice(("cart", "pay"))
            outcome = chance.choice(("served",) * 4 + OUTCOMES[1:-1])
            intended = max(0.0, second + 1 - chance.expovariate(1))
            one = done(recorder, flow, intended, chance.lognormvariate(-4, 2), outcome)
            if chance.random() < 0.2:
                outcome = "check_failed"
                recorder.amend(one, outcome)
            if flow == "cart" and outcome == "served":
                raw.append(one.ended - one.intended)
        reports.append(recorder.report(second, Meters(), last=second == seconds - 1))
    return reports, raw


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_any_order_and_any_repeats_give_the_same(seed: int, chance: random.Random) -> None:
    reports = [report for agent in AGENTS for report in reports_of(agent, seed)[0]]
    wanted = rows_of(*reports)
    sent = [*reports, *chance.choices(reports, k=10)]
    chance.shuffle(sent)
    found = Results("17", AGENTS)
    merged = [found.add(decode(encode(report))) for report in sent]
    assert sum(merged) == len(reports)
    assert found.gaps() == [] and found.finished
    for (kind, name, second), row in wanted.items():
        got = plain(found.rows(kind, name)[second])  # type: ignore[arg-type]
        assert got == plain(row) | {"outcomes": got["outcomes"]}
        assert {k: v for k, v in got["outcomes"].items() if v} == {  # type: ignore[attr-defined]
            k: v for k, v in row.outcomes.items() if v
        }


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_percentiles_over_four_agents_are_those_of_all_raw_values(seed: int) -> None:
    found, raw = Results("17"), []
    for agent in AGENTS:
        reports, values = reports_of(agent, seed)
        raw += values
        for report in reports:
            assert found.add(report)
    served = found.total("flow", ["cart"]).served
    micros = sorted(int(value * 1e6 + 0.5) for value in raw)
    assert served.count == len(micros) and served.total == sum(micros)
    for share in (1, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100):
        if micros:
            rank = max(1, -(-round(share * 10**9) * len(micros) // 10**11))
            value = micros[rank - 1]
            wanted = pytest.approx(value / 1e6, rel=ERROR if value > 255 else 1e-9, abs=1e-9)
            assert served.percentile(share) == wanted


def test_a_report_is_copied_not_kept() -> None:
    """Others read the rows of a report later; merging must not change them."""
    (first, second), _ = reports_of("a", 3, seconds=2)
    before = {key: plain(row)["outcomes"].copy() for key, row in first.rows.items()}  # type: ignore[attr-defined]
    counts = {key: row.served.count for key, row in first.rows.items()}
    found = Results()
    found.add(first)
    found.add(second)
    assert {key: row.outcomes for key, row in first.rows.items()} == before
    assert {key: row.served.count for key, row in first.rows.items()} == counts


def test_gaps_are_seen_until_they_are_filled() -> None:
    reports, _ = reports_of("a", 1, seconds=8)
    found = Results()
    for number in (0, 2, 3, 6):
        assert found.add(reports[number])
    assert found.gaps() == [Gap("a", 1, 1), Gap("a", 4, 5)]
    assert not found.finished
    for number in (5, 1, 4, 7):
        assert found.add(reports[number])
    assert found.gaps() == [] and found.finished
    assert not any(found.add(report) for report in reports)


def test_a_last_report_with_a_gap_before_it_is_not_the_end() -> None:
    reports, _ = reports_of("a", 1, seconds=3)
    found = Results()
    found.add(reports[0])
    found.add(reports[2])
    assert not found.finished
    found.add(reports[1])
    assert found.finished


def test_a_sequence_out_of_all_reason_is_refused() -> None:
    found = Results()
    assert not found.add(Report(run="17", agent="a", sequence=10**9, second=0))
    assert found.gaps() == []


def test_closed_is_the_last_second_that_all_have_reported_past() -> None:
    found = Results("17", ["a", "b"])
    assert found.closed == -1
    a, b = reports_of("a", 1)[0], reports_of("b", 1)[0]
    found.add(a[0])
    found.add(a[1])
    assert found.closed == -1  # b has said nothing yet
    found.add(b[0])
    assert found.closed == 0
    found.join("c")
    assert found.closed == -1
    found.leave("c")
    assert found.closed == 0
    found.leave("b")
    assert found.closed == 1
    found.join("b")
    assert found.closed == 0
    for report in a[2:]:
        found.add(report)
    assert found.closed == 0
    for report in b[1:]:
        found.add(report)
    assert found.closed == 4 and found.finished
    assert found.agents == ("a", "b", "c")


def test_old_rows_are_packed_and_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_OPEN", 3)
    seconds = {
        at: [("cart", 0.001 * (at + 1), "served"), ("pay", 0.1, "reset")] for at in range(40)
    }
    found = results_of(seconds)
    series = found.series("flow", "cart")
    assert list(series) == list(range(40)) and len(series) == 40
    assert len(series._open) <= 7 and len(series._packed) >= 33
    assert 0 in series and 40 not in series and series.get(40) is None
    assert [series[at].served.most for at in range(40)] == [1000 * (at + 1) for at in range(40)]
    recorder = Recorder("17", "late")
    done(recorder, "cart", 2.5, took=9.0)
    found.add(recorder.report(11, Meters(), last=True))
    assert found.rows("flow", "cart")[2].started == 2
    assert found.rows("flow", "cart")[2].served.most == 9_000_000
    assert len(found.meters["one"]) == 40 and found.meters["one"][0].begun == 2
    assert found.total().started == 81
    assert found.total("flow", ["cart"], first=1, last=2).started == 3
    assert found.total("flow", ["cart"], first=39).started == 1
    assert found.total("flow", ["nothing"]).started == 0
    assert found.total("scenario").started == 0


def test_the_sum_is_that_of_the_rows() -> None:
    found = Results()
    for agent in AGENTS:
        for report in reports_of(agent, 9)[0]:
            found.add(report)
    for name in found.flows:
        rows = found.rows("flow", name)
        total = Row()
        for row in rows.values():
            total.add(row)
        whole = found.total("flow", [name])
        assert (total.started, total.served, total.explicit) == (
            whole.started,
            whole.served,
            whole.explicit,
        )


def test_what_happened_in_a_second_is_counted_apart() -> None:
    recorder, found = Recorder("17", "a"), Results()
    recorder.begin()  # will end in second 1
    done(recorder, "cart", 0.2)
    recorder.first_flow("browse", "cart")
    recorder.planned("browse", 0.3)
    recorder.dropped("browse", 0.3)
    found.add(recorder.report(0, Meters()))
    recorder.done(call(recorder, "cart", 0.1, took=1.2, outcome="timeout", begin=False))
    found.add(recorder.report(1, Meters()))
    assert found.begun == {0: 2, 1: 0}
    assert found.ended == {0: {"served": 1, "dropped": 1}, 1: {"timeout": 1}}
    assert found.rows("flow", "cart")[0].outcomes == {"served": 1, "timeout": 1}


def test_samples_and_events_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SAMPLES", 3)
    monkeypatch.setattr(module, "MAX_EVENTS", 2)
    found = Results()
    for number in range(5):
        report = Report(run="17", agent="a", sequence=number, second=number)
        report.samples = [Sample(second=number, flow="f", outcome="reset", detail=str(number))]
        report.samples *= 2
        found.add(report)
    assert [one.detail for one in found.samples] == ["0", "0", "1"]


def test_the_last_seconds_in_a_few_numbers() -> None:
    seconds = {
        at: [("cart", 0.1, "served")] * 8 + [("cart", 0.3, "shed"), ("pay", 2.0, "timeout")]
        for at in range(20)
    }
    found = results_of(seconds)
    now = found.live(5)
    assert (now.first, now.last) == (15, 19)
    assert (now.offered, now.started, now.ok, now.failed, now.dropped) == (10, 10, 8, 2, 0)
    assert now.outcomes == {"served": 40, "shed": 5, "timeout": 5}
    assert now.p50 == pytest.approx(0.1, rel=ERROR) and now.most == 0.1
    cart, pay = now.flows
    assert (cart.name, cart.offered, cart.ok, cart.failed) == ("cart", 9, 8, 1)
    assert (pay.name, pay.p50, pay.outcomes) == ("pay", None, {"timeout": 5})
    assert now.json()["flows"][0]["name"] == "cart"


def test_live_before_anything_is_closed() -> None:
    now = Results("17", ["a"]).live()
    assert (now.offered, now.p99, now.in_flight, now.flows) == (0, None, 0, ())


def test_live_adds_the_agents_up_and_names_the_unsound() -> None:
    found = Results()
    for agent, reasons in (("a", ()), ("b", ("cpu",))):
        recorder = Recorder("17", agent)
        recorder.begin()
        for second in range(3):
            found.add(recorder.report(second, Meters(users=4, unsound=reasons)))
    now = found.live(2)
    assert (now.in_flight, now.users, now.unsound) == (2, 8, {"b": ("cpu",)})
