"""The engine on a Clock: what begins when, what is counted, how it ends."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from engine_stubs import Bench, StubScenario, share
from hypothesis import given, settings
from hypothesis import strategies as st
from load_profiles import profiles

from rascal.errors import ConfigErrors

EVEN = {"spacing": "even"}


def constant(seconds: float) -> Any:
    """A distribution of one value."""

    class Constant:
        def sample(self, uniform: Any) -> float:
            return seconds

    return Constant()


def test_arrivals_begin_when_they_are_due_and_count_in_their_second() -> None:
    bench = Bench(share("hold 10/s for 3s", **EVEN)).to_end()
    assert bench.due == [n / 10 for n in range(30)]
    for due, started, _, _ in bench.world.begun:
        assert 0 <= started - due <= 0.0051
    rows = bench.rows()
    assert {second: (row.planned, row.started) for second, row in rows.items()} == {
        0: (10, 10), 1: (10, 10), 2: (10, 10),
    }  # fmt: skip
    assert [user.iteration for user in bench.world.users] == [1] * 30
    assert [user.number for user in bench.world.users] == list(range(30))
    assert [user.left for user in bench.world.users] == [1] * 30


def test_a_report_comes_every_second_also_an_empty_one() -> None:
    bench = Bench("pause 2s, hold 5/s for 1s, pause 1500ms").to_end(step=0.001)
    assert [report.second for report in bench.reports] == [0, 1, 2, 3, 4]
    assert [report.sequence for report in bench.reports] == [0, 1, 2, 3, 4]
    assert bench.emitted == pytest.approx([1, 2, 3, 4, 4.5], abs=0.002)
    assert [report.last for report in bench.reports] == [False] * 4 + [True]
    assert not bench.reports[0].rows


def test_lateness_is_metered_and_the_intended_start_is_kept() -> None:
    bench = Bench(share("hold 10/s for 3s", **EVEN))
    bench.run(0.95, 0.001)
    bench.clock.advance(0.5)  # the process slept
    bench.to_end()
    assert bench.due == [n / 10 for n in range(30)]
    first, second = bench.reports[0].meters, bench.reports[1].meters
    assert first.lateness.count == 10  # those due by 0.95
    assert first.lateness.most <= 5_000
    assert first.lag == pytest.approx(0.45, abs=0.01)
    assert first.unsound == ("lag",)
    assert second.lateness.count >= 10
    assert second.lateness.most == pytest.approx(450_000, abs=10_000)
    assert "late" in second.unsound
    total = bench.total()
    assert total.served.most == pytest.approx(450_000, abs=10_000)
    assert total.served_actual.most == 0


def test_a_report_is_on_time_and_no_turn_is_long_when_too_much_is_due() -> None:
    bench = Bench(share("hold 1000/s for 3s", **EVEN))
    spent = []

    def takes(user: Any) -> float:
        bench.clock.rightNow += 0.004  # four times more than there is time for
        return 0.0

    bench.world.book.scenarios["look"].takes = takes
    tick = bench.engine._tick

    def timed() -> None:
        began = bench.clock.seconds()
        tick()
        spent.append(bench.clock.seconds() - began)

    bench.engine._tick = timed  # type: ignore[method-assign]
    bench.to_end()
    assert len(bench.due) == 3000
    assert max(spent) <= 0.01 + 16 * 0.004
    assert len(bench.emitted) >= 12
    for second, emitted in enumerate(bench.emitted[:-1]):
        assert second + 1 <= emitted < second + 1.1


def test_what_is_beyond_the_bound_is_dropped_and_counted() -> None:
    bench = Bench(
        share("hold 10/s for 3s", **EVEN, max_in_flight=4),
        scenarios=[StubScenario(takes=0.95)],
    ).to_end()
    total = bench.total()
    assert (total.planned, total.started, total.dropped) == (30, 12 + 0, 18)
    assert max(report.meters.users for report in bench.reports) <= 4
    flows = [
        row.dropped
        for report in bench.reports
        for (kind, _, _), row in report.rows.items()
        if kind == "flow"
    ]
    assert sum(flows) == 18
    names = {name for report in bench.reports for kind, name, _ in report.rows if kind == "flow"}
    assert names == {"GET /look"}


def test_the_bound_is_shared_out() -> None:
    found = [
        Bench(
            share("hold 100/s for 1s", **EVEN, max_in_flight=5),
            scenarios=[StubScenario(takes=None)],
            index=index,
            members=(0, 1),
            timeout=1,
        ).to_end().total().started
        for index in (0, 1)
    ]  # fmt: skip
    assert found == [3, 2]


def test_several_shares_run_at_once_with_users_of_their_own() -> None:
    bench = Bench(
        share("hold 10/s for 2s", "look", **EVEN),
        share("hold 5/s for 1s", "buy", **EVEN),
        share("hold 2 users for 2s", "wait"),
        scenarios=[StubScenario("look"), StubScenario("buy"), StubScenario("wait", takes=0.5)],
    ).to_end()
    counts = Counter(name for *_, name, _ in bench.world.begun)
    assert (counts["look"], counts["buy"]) == (20, 5)
    numbers = [user.number for user in bench.world.users]
    assert len(set(numbers)) == len(numbers) == 27


def test_scenarios_are_chosen_by_weight_and_the_same_on_any_agent() -> None:
    scenarios = [StubScenario("look", weight=8), StubScenario("buy", weight=2)]
    alone = Bench(share("hold 100/s for 3s", "look", "buy"), scenarios=scenarios).to_end()
    split = [
        Bench(
            share("hold 100/s for 3s", "look", "buy"),
            scenarios=scenarios,
            index=index,
            members=(0, 1, 2),
        ).to_end()
        for index in (0, 1, 2)
    ]

    def offered(*benches: Bench) -> list[Any]:
        return sorted(
            (number, name, round(due, 6))
            for one in benches
            for due, _, name, number in one.world.begun
        )

    assert offered(alone) == offered(*split)
    assert Counter(name for _, name, _ in offered(alone))["buy"] == pytest.approx(60, abs=25)


def test_a_log_is_replayed() -> None:
    plan = share("pause 1s", "look", "buy")
    bench = Bench(
        type(plan)(scenarios=("look", "buy"), replay="a.log"),
        scenarios=[StubScenario("look"), StubScenario("buy")],
        files={"a.log": b"0.5 buy\n0.75 look\n2 buy\n"},
    ).to_end()
    assert bench.due == [0.5, 0.75, 2.0]
    assert [name for *_, name, _ in bench.world.begun] == ["buy", "look", "buy"]
    assert bench.emitted[-1] == pytest.approx(2, abs=0.01)
    with pytest.raises(ConfigErrors, match=r"no arrival log 'b\.log' in the bundle"):
        Bench(type(plan)(scenarios=("look",), replay="b.log"))


# ---- users


def test_users_come_and_go_and_finish_what_they_do() -> None:
    bench = Bench(
        "hold 1 users for 1s, hold 2 users for 1s, hold 1 users for 1s",
        scenarios=[StubScenario(takes=0.6)],
    ).to_end()
    begun: dict[int, list[float]] = {}
    for due, _, _, number in bench.world.begun:
        begun.setdefault(number, []).append(due - bench.at)
    assert begun[0] == pytest.approx([0, 0.6, 1.2, 1.8, 2.4], abs=0.03)
    assert begun[1] == pytest.approx([1, 1.6], abs=0.03)
    assert [user.left for user in bench.world.users] == [1, 1]
    assert [report.meters.users for report in bench.reports] == [1, 2, 1, 0]
    assert bench.total().started == bench.total().planned == 7


def test_a_user_who_is_called_back_before_it_has_left_stays() -> None:
    bench = Bench(
        "hold 1 users for 1s, pause 200ms, hold 1 users for 1s",
        scenarios=[StubScenario(takes=0.7)],
    ).to_end()
    assert len(bench.world.users) == 1
    assert bench.due == pytest.approx([0, 0.7, 1.4, 2.1], abs=0.03)


def test_a_pace_is_a_grid_that_a_slow_reply_does_not_move() -> None:
    slow = iter([0.1, 1.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    bench = Bench(
        "hold 1 users for 3s",
        scenarios=[StubScenario(takes=lambda user: next(slow), pace=constant(0.5))],
    ).to_end(step=0.001)
    assert [due - bench.due[0] for due in bench.due] == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5])
    started = [started - bench.at for _, started, _, _ in bench.world.begun]
    assert started == pytest.approx([0, 0.5, 1.8, 1.9, 2.0, 2.5], abs=0.01)
    assert bench.total().served.most == pytest.approx(1_300_000, abs=10_000)
    # What the server makes late is not this process's lateness.
    assert max(report.meters.lateness.most for report in bench.reports) < 5_000


def test_what_was_due_on_the_grid_and_never_began_is_dropped() -> None:
    bench = Bench(
        "hold 1 users for 3s", scenarios=[StubScenario(takes=1.3, pace=constant(0.5))]
    ).to_end()
    total = bench.total()
    assert (total.planned, total.started, total.dropped) == (6, 3, 3)
    assert [row.planned for row in bench.rows().values()] == [2, 2, 2]


def test_between_iterations_a_user_thinks() -> None:
    bench = Bench(
        "hold 1 users for 3s", scenarios=[StubScenario(takes=0.2, think=constant(0.5))]
    ).to_end(step=0.001)
    assert bench.due == pytest.approx([0, 0.7, 1.4, 2.1, 2.8], abs=0.01)


def test_iterations_that_end_at_once_do_not_hold_up_the_reactor() -> None:
    bench = Bench("hold 3 users for 1s").to_end(step=0.001)
    assert 1000 <= len(bench.due) <= 3100


def test_users_are_shared_out() -> None:
    for agents in (1, 2, 3):
        members = tuple(range(agents))
        found: Counter[int] = Counter()
        for index in members:
            bench = Bench(
                "ramp 0..10 users for 2s, hold 10 users for 1s",
                scenarios=[StubScenario(takes=0.9)],
                index=index,
                members=members,
            ).to_end()
            found.update(user.number for user in bench.world.users)
        assert found == dict.fromkeys(range(10), 1)


def test_users_are_bounded() -> None:
    bench = Bench(
        share("hold 50 users for 1s", max_in_flight=7), scenarios=[StubScenario(takes=2.0)]
    ).to_end()
    assert len(bench.world.users) == 7
    events = [event for report in bench.reports for event in report.events]
    assert [(event.kind, event.text) for event in events] == [
        ("limit", "max_in_flight holds the users at 7")
    ]


# ---- changes


def test_the_load_is_changed_at_a_second_and_ramps_from_where_it_is() -> None:
    bench = Bench(share("hold 10/s", **EVEN)).run(1.5)
    bench.engine.change([share("ramp 20/s for 2s, hold 20/s for 1s", **EVEN)], 2)
    bench.to_end()
    planned = [row.planned for row in bench.rows().values()]
    assert planned[:2] == [10, 10]
    assert planned[2:] == pytest.approx([12.5, 17.5, 20], abs=0.6)
    assert bench.emitted[-1] == pytest.approx(5, abs=0.02)


def test_a_share_that_is_as_it_was_goes_on_and_others_come_and_go() -> None:
    scenarios = [StubScenario(name) for name in ("a", "b", "c")]
    first = share("hold 10/s for 4s", "a", **EVEN)
    bench = Bench(first, share("hold 10/s for 9s", "b", **EVEN), scenarios=scenarios)
    bench.run(0.5)
    bench.engine.change([first], 2)
    bench.run(1)
    bench.engine.change(
        [first, share("pause 1s", "b", **EVEN), share("hold 3 users for 1s", "c")], 3
    )
    bench.to_end()
    assert [row.planned for row in bench.rows("a").values()] == [10] * 4
    assert sorted(bench.rows("b")) == [0, 1]
    assert len([user for user in bench.world.users if user.scenario.name == "c"]) == 3
    assert sorted(bench.rows("c")) == [3]


def test_rates_become_users_and_other_scenarios_take_over() -> None:
    scenarios = [StubScenario("a"), StubScenario("b", takes=0.3)]
    bench = Bench(share("hold 10/s", "a", **EVEN), scenarios=scenarios).run(0.5)
    bench.engine.change([share("hold 10/s for 1s", "b", **EVEN)], 1)
    bench.run(1.5)
    bench.engine.change([share("hold 2 users for 1s", "b")], 2)
    bench.to_end()
    assert {second: row.planned for second, row in bench.rows("a").items()} == {0: 10}
    assert {second: row.planned for second, row in bench.rows("b").items()} == {1: 10, 2: 8}


def test_new_members_that_are_known_late_are_said() -> None:
    bench = Bench(share("hold 10/s for 5s", **EVEN), members=(0, 1)).run(3)
    bench.engine.reshare((0,), 1)
    bench.to_end()
    assert sorted(bench.due)[5:] == [n / 10 for n in range(10, 50)]
    events = [event.text for report in bench.reports for event in report.events]
    assert events == ["new members came 2.0 s late; 10 arrivals are made up for"]


# ---- ends


def test_a_run_drains_for_a_time_out_then_cancels() -> None:
    bench = Bench(
        share("hold 10/s for 1s", **EVEN), scenarios=[StubScenario(takes=None)], timeout=2
    ).to_end()
    assert bench.emitted[-1] == pytest.approx(3, abs=0.03)
    assert bench.total().outcomes == {"timeout": 10}
    assert [report.second for report in bench.reports][-1] in (2, 3)
    assert bench.reports[-1].last


def test_what_cannot_be_cancelled_is_given_up() -> None:
    bench = Bench(
        share("hold 10/s for 1s", **EVEN), scenarios=[StubScenario(takes="deaf")], timeout=2
    ).to_end()
    assert bench.emitted[-1] == pytest.approx(4, abs=0.03)
    assert bench.total().outcomes == {"timeout": 10}


def test_a_call_that_nobody_waits_for_is_waited_for() -> None:
    bench = Bench(share("hold 10/s for 1s", **EVEN), timeout=5)
    bench.world.recorder.begin()
    bench.run(2)
    assert not bench.ended
    bench.world.recorder.in_flight -= 1
    bench.run(2.1)
    assert bench.ended
    assert bench.reports[-1].last


def test_stop_ends_arrivals_and_lets_finish() -> None:
    bench = Bench(
        share("hold 10/s", **EVEN), "hold 2 users", scenarios=[StubScenario(takes=0.5)]
    ).run(1.05)
    bench.engine.stop()
    bench.to_end()
    assert max(bench.due) <= 1.05
    assert bench.emitted[-1] == pytest.approx(1.55, abs=0.05)
    assert set(bench.total().outcomes) == {"served"}
    assert bench.total().planned == bench.total().started


def test_stop_now_cancels() -> None:
    bench = Bench(share("hold 10/s", **EVEN), scenarios=[StubScenario(takes=5.0)]).run(1.05)
    bench.engine.stop(now=True)
    bench.run(1.1)
    assert bench.ended
    assert set(bench.total().outcomes) == {"timeout"}
    bench.engine.stop()  # once more is nothing
    bench.engine.stop(now=True)


def test_stop_while_draining_cancels_and_stop_before_the_start_ends() -> None:
    bench = Bench(share("hold 10/s for 1s", **EVEN), scenarios=[StubScenario(takes=None)])
    bench.run(2)
    bench.engine.stop(now=True)
    bench.run(2.02)
    assert bench.ended
    early = Bench(share("hold 10/s for 1s", **EVEN))
    early.engine.stop()
    early.run(0)
    assert early.ended
    assert early.due == []
    assert [report.last for report in early.reports] == [True]


def test_stop_before_and_after_everything() -> None:
    bench = Bench(share("hold 10/s for 1s", **EVEN), start=False)
    bench.engine.stop()
    bench.begin()
    bench.run(0.01)
    assert bench.ended
    assert bench.due == []
    late = Bench(share("hold 10/s for 1s", **EVEN))
    emit = late.engine._reporter._emit

    def stopping(report: Any) -> None:
        emit(report)
        late.engine.stop()

    late.engine._reporter._emit = stopping
    late.to_end()
    assert [report.last for report in late.reports].count(True) == 1


def test_the_hard_ends_hold() -> None:
    bench = Bench(share("hold 10/s", **EVEN), max_time=2.5).to_end()
    assert max(bench.due) < 2.5
    assert bench.emitted[-1] == pytest.approx(2.5, abs=0.03)
    events = [event for report in bench.reports for event in report.events]
    assert [(event.kind, event.text) for event in events] == [
        ("limit", "the hard end after 2.5 seconds is reached")
    ]
    counted = Bench(share("hold 100/s", **EVEN), max_requests=50, members=(0, 1), timeout=1)
    counted.to_end()
    assert counted.total().started == 25
    users = Bench("hold 4 users", scenarios=[StubScenario(takes=0.1)], max_requests=50).to_end()
    assert 50 <= users.total().started <= 54
    assert [event.text for report in counted.reports for event in report.events] == [
        "the hard end of 50 requests is reached"
    ]


def test_a_feeder_that_is_used_up_ends_the_load() -> None:
    bench = Bench(share("hold 10/s", **EVEN)).run(1.55)
    bench.world.exhausted("items.csv is used up")
    bench.to_end()
    assert max(bench.due) <= 1.55


def test_a_report_that_cannot_be_sent_does_not_end_the_load(logged_failures: Any) -> None:
    bench = Bench(share("hold 10/s for 3s", **EVEN))
    bench.engine._reporter._emit = lambda report: 1 / 0  # type: ignore[assignment,return-value]
    bench.to_end()
    assert len(bench.due) == 30
    assert len(logged_failures.flush(ZeroDivisionError)) == 4


@pytest.mark.parametrize("takes", [0.0, 0.2])
def test_an_engine_that_is_broken_says_so(takes: float) -> None:
    bench = Bench(share("hold 10/s for 3s", **EVEN), scenarios=[StubScenario(takes=takes)])
    bench.world.recorder.iteration = lambda *args: 1 / 0  # type: ignore[assignment]
    bench.run(2)
    assert bench.ended[0].check(ZeroDivisionError)
    assert not any(report.last for report in bench.reports)
    bench.engine.stop(now=True)
    bench.engine.change([share("hold 1/s for 1s")], 3)
    bench.clock.advance(0.2)
    assert not bench.clock.getDelayedCalls()
    made = Bench(share("hold 10/s for 3s", **EVEN))
    made.world.user = lambda *args: 1 / 0  # type: ignore[assignment]
    made.run(1)
    assert made.ended[0].check(ZeroDivisionError)


shapes = st.one_of(
    profiles(60).map(lambda text: share(text)),
    profiles(60).map(lambda text: share(text, spacing="even")),
    profiles(60).map(lambda text: share(text, max_in_flight=3)),
    profiles(6, " users").map(lambda text: share(text)),
)
acts = st.one_of(
    st.tuples(st.just("change"), st.lists(shapes, min_size=1, max_size=2), st.integers(0, 3)),
    st.tuples(
        st.just("reshare"),
        st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True).map(tuple),
        st.integers(0, 3),
    ),
)


ALONE = 9


@settings(max_examples=60)
@given(
    st.lists(shapes, min_size=1, max_size=2),
    st.lists(st.tuples(st.floats(0, 4), acts), max_size=3),
    st.sampled_from([0.0, 0.05, 0.7, None, "deaf"]),
    st.sampled_from([None, 0.23]),
    st.booleans(),
)
def test_whatever_happens_the_books_are_balanced(
    shares: list[Any], happens: list[Any], takes: Any, pace: float | None, sleepy: bool
) -> None:
    """planned = started + dropped, one report a second, nothing begun twice, over 3 agents."""
    scenario = StubScenario(takes=takes, pace=constant(pace) if pace else None)
    seen: Counter[tuple[int, float]] = Counter()
    planned: Counter[int] = Counter()
    in_time = True
    for index in (0, 1, 2, ALONE):
        bench = Bench(
            *shares, scenarios=[scenario], index=index, timeout=1, max_time=20,
            members=(ALONE,) if index == ALONE else (0, 1),
        )  # fmt: skip
        for at, (act, what, ahead) in sorted(happens, key=lambda one: one[0]):
            bench.run(at, 0.01)
            if bench.ended:
                break
            second = int(at) + ahead
            in_time = in_time and second > at
            if act == "change" or index != ALONE:
                getattr(bench.engine, act)(what, second)
            if sleepy:
                bench.clock.advance(0.3)
        bench.to_end(step=0.01)
        total = bench.total()
        assert total.planned == total.started + total.dropped
        assert total.started == len(bench.world.begun)
        for row in bench.rows().values():
            assert row.planned == row.started + row.dropped
        for second in bench.rows():
            assert 0 <= second <= 20
        assert [report.second for report in bench.reports] == list(range(len(bench.reports)))
        assert [report.last for report in bench.reports].count(True) == 1
        assert bench.reports[-1].last
        assert all(user.left == 1 for user in bench.world.users) or takes == "deaf"
        if index != ALONE:
            seen.update({(number, due) for due, _, _, number in bench.world.begun})
            planned.update({second: row.planned for second, row in bench.rows().items()})
        elif in_time and not bench.users:
            assert +planned == {second: row.planned for second, row in bench.rows().items()}
    if in_time:
        assert not [one for one, times in seen.items() if times > 1]


# ---- more is due than can begin


def slow_bench(load: str = "hold 1000/s for 3s", then: float = 0.0, **plan: Any) -> Bench:
    """Each iteration keeps the process busy for 4 ms, and may go on after that."""
    bench = Bench(share(load, **EVEN), **plan)

    def takes(user: Any) -> float:
        bench.clock.rightNow += 0.004
        return then

    bench.world.book.scenarios["look"].takes = takes
    return bench


def stopped_after(bench: Bench, seconds: float) -> int:
    """Stop it then; gives how many had begun."""
    begun: list[int] = []

    def stop() -> None:
        begun.append(len(bench.world.begun))
        bench.engine.stop()

    bench.clock.callLater(bench.at + seconds - bench.clock.seconds(), stop)
    bench.to_end()
    return begun[0]


def test_stop_begins_nothing_more_though_it_is_due() -> None:
    bench = slow_bench()
    begun = stopped_after(bench, 1.0)
    assert 200 <= begun <= 300
    assert len(bench.world.begun) == begun
    assert bench.emitted[-1] < 1.2


def test_users_who_wait_do_not_begin_after_a_stop() -> None:
    bench = slow_bench("hold 500 users", then=0.5)
    begun = stopped_after(bench, 0.5)
    assert 100 <= begun < 200
    assert len(bench.world.begun) == begun


def test_the_hard_end_of_requests_holds_though_more_is_due() -> None:
    bench = slow_bench(max_requests=100).to_end()
    assert len(bench.world.begun) == 100
    assert bench.emitted[-1] < 1


def test_what_could_not_begin_within_a_time_out_is_dropped() -> None:
    bench = slow_bench(timeout=2).to_end()
    total = bench.total()
    assert total.planned == 3000
    assert total.started == len(bench.world.begun)
    assert total.dropped == 3000 - total.started > 1000
    assert max(started - due for due, started, *_ in bench.world.begun) <= 2.07
    assert 4.5 < bench.emitted[-1] < 5.5
