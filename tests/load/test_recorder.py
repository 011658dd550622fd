"""What is recorded, in which row, and what a later change of mind does to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording import call, done, rows_of

from rascal.load.recorder import MAX_EVENTS, MAX_FLOWS, MAX_NAME, OTHERS, Recorder
from rascal.load.samples import EACH, FIRST, MAX_REPORT, MAX_SAMPLES
from rascal.load.types import OUTCOMES, Meters, Row

PLAIN = ("served", "http_4xx", "http_5xx", "shed")
"""Outcomes that come with a duration."""


def report(recorder: Recorder, second: int = 0, *, last: bool = False) -> dict:
    return recorder.report(second, Meters(), last).rows


def test_a_call_belongs_to_the_second_of_its_intended_start() -> None:
    recorder = Recorder("17", "one", start=1000.0)
    done(recorder, "cart", 1002.9, took=5.0, late=0.4)
    rows = report(recorder, 8)
    assert list(rows) == [("flow", "cart", 2)]
    row = rows["flow", "cart", 2]
    assert (row.planned, row.started, row.dropped, row.attempts, row.replies) == (1, 1, 0, 1, 1)
    assert (row.sent, row.received, row.outcomes) == (100, 300, {"served": 1})
    assert row.served.most == pytest.approx(5_400_000, abs=1)
    assert row.served_actual.most == pytest.approx(5_000_000, abs=1)
    assert row.served.count == row.served_actual.count == 1
    assert not row.explicit


@pytest.mark.parametrize("outcome", [name for name in OUTCOMES if name != "dropped"])
def test_each_outcome_is_counted_and_timed_where_it_belongs(outcome: str) -> None:
    recorder = Recorder("17", "one")
    done(recorder, "cart", 0.1, outcome=outcome)
    row = report(recorder)["flow", "cart", 0]
    assert row.outcomes == {outcome: 1} and row.started == 1
    assert row.served.count == row.served_actual.count == (outcome == "served")
    explicit = outcome in ("http_4xx", "http_5xx", "shed")
    assert row.explicit.count == row.explicit_actual.count == explicit


@given(
    st.lists(
        st.tuples(
            st.floats(0, 3.99),
            st.one_of(st.floats(0, 0.0006), st.floats(-0.001, 100)),
            st.one_of(st.just(0.0), st.floats(0, 2)),
            st.sampled_from(OUTCOMES[:-1]),
        ),
        max_size=40,
    )
)
def test_the_written_out_histograms_are_histograms(
    calls: list[tuple[float, float, float, str]],
) -> None:
    """`done` does by hand what Histogram.record does; both must stay the same."""
    recorder = Recorder("17", "one")
    wanted: dict[int, Row] = {}
    for intended, took, late, outcome in calls:
        one = done(recorder, "cart", intended, took, outcome, late=late)
        row = wanted.setdefault(int(intended), Row())
        if outcome in PLAIN:
            kind = "served" if outcome == "served" else "explicit"
            since_intended = int((one.ended - one.intended) * 1e6 + 0.5)
            since_started = int((one.ended - one.started) * 1e6 + 0.5)
            getattr(row, kind).record(since_intended)
            getattr(row, f"{kind}_actual").record(since_started)
    rows = report(recorder)
    assert {key[2] for key in rows} == set(wanted)
    for second, row in wanted.items():
        found = rows["flow", "cart", second]
        for name in ("served", "explicit", "served_actual", "explicit_actual"):
            assert getattr(found, name) == getattr(row, name)


def test_a_report_holds_what_was_added_since_the_last() -> None:
    recorder = Recorder("17", "one")
    done(recorder, "cart", 0.5)
    first = recorder.report(0, Meters())
    done(recorder, "cart", 0.6, took=1.2)
    second = recorder.report(1, Meters(), last=True)
    third = recorder.report(2, Meters())
    assert [one.sequence for one in (first, second, third)] == [0, 1, 2]
    assert [one.last for one in (first, second, third)] == [False, True, False]
    assert [one.rows["flow", "cart", 0].started for one in (first, second)] == [1, 1]
    assert third.rows == {}
    assert rows_of(first, second)["flow", "cart", 0].served.most == 1_200_000


def test_in_flight_and_begun() -> None:
    recorder = Recorder("17", "one")
    open_call = call(recorder, "cart", 0.1)
    done(recorder, "cart", 0.2)
    meters = recorder.report(0, Meters(in_flight=99)).meters
    assert (meters.in_flight, meters.begun, recorder.begun) == (1, 2, 2)
    recorder.done(open_call)
    meters = recorder.report(1, Meters()).meters
    assert (meters.in_flight, meters.begun, recorder.begun) == (0, 0, 2)


def test_attempts_failures_and_lanes() -> None:
    recorder = Recorder("17", "one")
    done(recorder, "pay", 0.1)
    retried = call(recorder, "pay", 0.2)
    retried.attempts, retried.replies = 3, 2
    retried.failures = {"reset": 1, "http_5xx": 1}
    recorder.done(retried)
    slow = call(recorder, "pay", 0.3)
    slow.lane = "treq"
    recorder.done(slow)
    row = report(recorder)["flow", "pay", 0]
    assert (row.started, row.attempts, row.replies) == (3, 5, 4)
    assert row.failures == {"reset": 1, "http_5xx": 1}
    assert row.lanes == {"treq": 1}


@pytest.mark.parametrize("reported", [False, True])
@pytest.mark.parametrize("before", ["served", "http_5xx", "timeout"])
@pytest.mark.parametrize("after", ["served", "shed", "check_failed"])
def test_amending_leaves_what_would_have_been_recorded_at_once(
    before: str, after: str, reported: bool
) -> None:
    recorder, straight = Recorder("17", "one"), Recorder("17", "one")
    reports = []
    for one in (0.1, 0.7):  # a second call, so that something is left
        done(recorder, "cart", one, 0.02, "served")
        done(straight, "cart", one, 0.02, "served")
    changed = done(recorder, "cart", 0.4, 0.3, before, late=0.001)
    if reported:
        reports.append(recorder.report(0, Meters()))
    recorder.amend(changed, after, "within 100ms: took 300ms")
    reports.append(recorder.report(1, Meters()))
    assert (changed.outcome, changed.detail) == (after, "within 100ms: took 300ms")
    done(straight, "cart", 0.4, 0.3, after, late=0.001)
    found = rows_of(*reports)["flow", "cart", 0]
    wanted = rows_of(straight.report(0, Meters()))["flow", "cart", 0]
    assert {name: times for name, times in found.outcomes.items() if times} == wanted.outcomes
    assert (found.planned, found.started, found.attempts) == (3, 3, 3)
    for name in ("served", "explicit", "served_actual", "explicit_actual"):
        one, other = getattr(found, name), getattr(wanted, name)
        assert (one.count, one.total) == (other.count, other.total)
        assert one.buckets == other.buckets
        assert one.percentile(99) == pytest.approx(other.percentile(99), rel=1 / 256)


def test_amending_a_call_that_is_not_recorded_just_sets_it() -> None:
    recorder = Recorder("17", "one")
    one = call(recorder, "cart", 0.1)
    recorder.amend(one, "wrong_data", "price")
    assert report(recorder) == {}
    recorder.done(one)
    assert report(recorder)["flow", "cart", 0].outcomes == {"wrong_data": 1}


def test_reduced_service_is_counted_once_and_follows_the_outcome() -> None:
    recorder = Recorder("17", "one")
    early = call(recorder, "cart", 0.1)
    recorder.reduce(early)
    recorder.done(early)
    late = done(recorder, "cart", 0.2)
    recorder.reduce(late)
    recorder.reduce(late)
    assert report(recorder)["flow", "cart", 0].reduced == 2
    recorder.amend(late, "check_failed")
    assert report(recorder)["flow", "cart", 0].reduced == -1


def test_an_iteration_is_counted_apart_from_calls() -> None:
    recorder = Recorder("17", "one", start=10.0)
    for intended in (10.2, 10.4, 11.0):
        recorder.planned("browse", intended)
    recorder.iteration("browse", 10.2, 10.3, 12.2)
    recorder.iteration(recorder.scenario("browse"), 10.4, 10.4, 10.5, "timeout")
    recorder.iteration("browse", 11.0, 11.0, 11.1, "http_5xx", "status 503")
    rows = report(recorder)
    assert set(rows) == {("scenario", "browse", 0), ("scenario", "browse", 1)}
    row = rows["scenario", "browse", 0]
    assert (row.planned, row.started, row.dropped) == (2, 2, 0)
    assert row.outcomes == {"served": 1, "timeout": 1}
    assert row.served.most == 2_000_000 and row.served_actual.most == 1_900_000
    assert rows["scenario", "browse", 1].explicit.most == 100_000


def test_planned_arrivals_are_told_before_they_end() -> None:
    recorder = Recorder("17", "one")
    recorder.planned("browse", 0.5)
    row = report(recorder)["scenario", "browse", 0]
    assert (row.planned, row.started) == (1, 0)


def test_dropped_arrivals_wait_for_the_first_flow() -> None:
    recorder = Recorder("17", "one")
    for intended in (0.1, 0.2, 1.3):
        recorder.planned("browse", intended)
        recorder.dropped("browse", intended)
    rows = report(recorder, 1)
    assert set(rows) == {("scenario", "browse", 0), ("scenario", "browse", 1)}
    assert (rows["scenario", "browse", 0].dropped, rows["scenario", "browse", 0].planned) == (2, 2)
    recorder.first_flow("browse", "home")
    recorder.first_flow("browse", "other")  # the first one stays
    recorder.planned("browse", 2.5)
    recorder.dropped("browse", 2.5)
    rows = report(recorder, 2)
    home = {key[2]: row for key, row in rows.items() if key[:2] == ("flow", "home")}
    assert {at: (row.planned, row.dropped) for at, row in home.items()} == {
        0: (2, 2),
        1: (1, 1),
        2: (1, 1),
    }
    assert ("flow", "other", 0) not in rows
    assert all(row.started == 0 and row.outcomes == {} for row in home.values())


def test_drops_of_a_scenario_that_never_finished_are_not_lost() -> None:
    recorder = Recorder("17", "one")
    recorder.planned("browse", 0.1)
    recorder.dropped("browse", 0.1)
    rows = report(recorder, last=True)
    assert rows["flow", "browse", 0].dropped == 1


def test_what_set_up_recorded_is_no_load() -> None:
    recorder = Recorder("17", "one", clock=lambda: 5990.0)
    for _ in range(FIRST):
        failed = done(recorder, "login", 5000.0, outcome="http_5xx")
        recorder.sample(failed, "POST", "/login")
    recorder.event("note", "set up")
    recorder.dropped("browse", 5000.0)
    recorder.start = 6000.0
    done(recorder, "login", 6000.5)
    found = recorder.report(0, Meters(), last=True)
    assert set(found.rows) == {("flow", "login", 0)}
    assert found.rows["flow", "login", 0].outcomes == {"served": 1}
    assert [one.second for one in found.samples] == [-1000.0] * FIRST
    assert [one.second for one in found.events] == [-10.0]
    failed = done(recorder, "login", 6000.7, outcome="http_5xx")
    recorder.sample(failed, "POST", "/login")
    assert [one.second for one in recorder.report(1, Meters()).samples] == [pytest.approx(0.7)]


def test_a_call_from_before_the_start_counts_in_the_first_second() -> None:
    recorder = Recorder("17", "one", start=10.0)
    for intended in (8.9, 9.5, 9.0):
        done(recorder, "cart", intended)
    assert report(recorder)["flow", "cart", 0].started == 3


def test_too_many_flows_end_in_one() -> None:
    recorder = Recorder("17", "one", clock=lambda: 0.0)
    for number in range(MAX_FLOWS + 20):
        done(recorder, f"/items/{number}", 0.1)
    found = recorder.report(0, Meters())
    assert len(found.rows) == MAX_FLOWS + 1
    assert found.rows["flow", OTHERS, 0].started == 20
    assert [event.kind for event in found.events] == ["note"]
    assert recorder.flow("/items/3") is recorder.flow("/items/3")
    assert recorder.flow("yet another") is recorder.flow(OTHERS)


def test_long_names_are_cut_and_meet_in_one_row() -> None:
    recorder = Recorder("17", "one")
    for end in ("a", "b"):
        done(recorder, "x" * MAX_NAME + end, 0.1)
    rows = report(recorder)
    assert list(rows) == [("flow", "x" * MAX_NAME, 0)]
    assert rows["flow", "x" * MAX_NAME, 0].started == 2


def test_events_are_bounded_and_say_what_is_missing() -> None:
    recorder = Recorder("17", "one", start=100.0, clock=lambda: 103.5)
    for number in range(MAX_EVENTS + 7):
        recorder.event("error", f"event {number}", number=number)
    events = recorder.report(3, Meters()).events
    assert len(events) == MAX_EVENTS + 1
    assert (events[0].second, events[0].agent, events[0].data) == (3.5, "one", {"number": 0})
    assert events[-1].text == "7 more events in this second"
    assert recorder.report(4, Meters()).events == []


def test_samples_are_few_of_each_kind_and_later_ones_too() -> None:
    recorder = Recorder("17", "one")
    kept: list[float] = []
    for number in range(600):
        failed = done(recorder, "cart", number / 2, outcome="reset")
        recorder.sample(failed, "GET", "/cart", b"GET /cart HTTP/1.1\r\n\r\n")
        kept += [one.second for one in recorder.report(number, Meters()).samples]
    assert kept[:FIRST] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert len(kept) == EACH
    assert kept[FIRST:] == [2.0 + 10.0 * number for number in range(1, EACH - FIRST + 1)]
    recorder.sample(done(recorder, "cart", 400.0), "GET", "/")
    assert recorder.report(600, Meters()).samples == []  # served


def test_samples_are_bounded_over_all_flows_and_in_a_report() -> None:
    recorder = Recorder("17", "one")
    big = b"HTTP/1.1 500 No\r\n\r\n" + b"x" * 100_000
    for number in range(200):
        failed = done(recorder, f"flow-{number}", 0.1, outcome="http_5xx")
        recorder.sample(failed, "GET", "/", b"GET / HTTP/1.1\r\n\r\n", big)
    samples = recorder.report(0, Meters()).samples
    assert sum(len(one.reply) + len(one.request) for one in samples) < MAX_REPORT + 10_000
    total = len(samples)
    for number in range(MAX_SAMPLES):
        failed = done(recorder, f"flow-{number % 300}", 0.1, outcome="reset")
        recorder.sample(failed, "GET", "/")
    total += len(recorder.report(1, Meters()).samples)
    assert total == MAX_SAMPLES
