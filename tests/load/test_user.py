"""Users: chance, data, waiting, names, other clients, and what an idle one costs."""

from __future__ import annotations

import ssl
import tracemalloc
from typing import Any

import pytest
from twisted.internet import error as failures
from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed
from worlds import Town, total

from rascal.load.http.errors import RequestFailed
from rascal.load.measuring import deadline_of
from rascal.load.reports import decode, encode
from rascal.load.results import Results
from rascal.load.timers import outcome_of
from rascal.load.user import TimedUser, User

EMPTY = "@scenario('a', think='1s..3s')\nasync def a(user): pass\n"
OTHER = EMPTY + "@scenario('b', think='1s..3s')\nasync def b(user): pass\n"


def draws(number: int = 3, scenario: str = "a", **about: Any) -> tuple[list[float], float]:
    user = Town(OTHER, **about).user(number, scenario)
    return [user.uniform() for _ in range(5)], user.random.random()


def test_draws_depend_on_seed_scenario_and_number_alone() -> None:
    assert draws() == draws()
    kinds = [draws(), draws(number=4), draws(scenario="b"), draws(seed=2)]
    assert len({str(kind) for kind in kinds}) == 4
    assert all(len(set(kind[0])) == 5 for kind in kinds)


def test_the_generator_does_not_depend_on_what_was_drawn_otherwise() -> None:
    user = Town(EMPTY).user(3)
    assert user.random.random() == draws()[1]


def test_draws_are_even() -> None:
    town = Town(EMPTY)
    numbers = [town.user(n).uniform() for n in range(4000)]
    one = town.user(0)
    numbers += [one.uniform() for _ in range(4000)]
    counts = [sum(tenth / 10 <= n < (tenth + 1) / 10 for n in numbers) for tenth in range(10)]
    assert sum(counts) == 8000 and all(680 < found < 920 for found in counts)


def test_thinking_takes_what_the_scenario_says() -> None:
    town = Town("@scenario('a', think='1s..3s')\nasync def a(user): await user.think()\n")
    times = set()
    for number in range(20):
        begin = town.clock.seconds()
        town.run(town.user(number))
        times.add(round(town.clock.seconds() - begin, 2))
    assert all(1.0 <= time <= 3.02 for time in times) and len(times) > 15


def test_thinking_takes_a_text_too() -> None:
    town = Town("@scenario('a')\nasync def a(user): await user.think('250ms')\n")
    town.run(town.user())
    assert town.clock.seconds() == pytest.approx(1000.25, abs=0.015)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("await user.think()", "scenario 'a' has no think time: write @scenario(…, think="),
        ("await user.think(2)", "ConfigError: time: 2 has no unit: write a text such"),
        ("await user.think('soon')", "time: "),
    ],
)
def test_a_wrong_think_time_is_said(code: str, says: str) -> None:
    town = Town(f"@scenario('a')\nasync def a(user): {code}\n")
    outcome, detail = town.run(town.user())
    assert outcome == "check_failed" and says in detail


def test_unique_texts_are_unique_over_users_agents_and_runs() -> None:
    towns = [Town(EMPTY, index=n, members=(0, 1)) for n in (0, 1)] + [Town(EMPTY)]
    texts = [town.user(n).unique("order") for town in towns for n in range(50)]
    assert len(set(texts)) == 150
    assert all(text.startswith("order-") for text in texts)


def test_a_user_has_a_name_and_remembers() -> None:
    user = Town(EMPTY).user(12)
    user.memo["token"] = "x"
    assert (user.name, user.memo) == ("a-12", {"token": "x"})


def test_notes_are_bounded() -> None:
    town = Town(EMPTY)
    for number in range(200):
        town.user(number).log("x" * 2000)
    events = town.report().events
    assert len(events) <= 101
    assert all(event.kind == "note" and len(event.text) <= 500 for event in events)


def timed(body: str) -> tuple[tuple[str, str], Town]:
    town = Town(
        "from twisted.internet.error import ConnectionRefusedError as Refused\n"
        "@scenario('a')\nasync def a(user):\n"
        "    async with user.timer('smtp send') as timing:\n"
        "        await user.sleep(0.5)\n"
        f"        {body}\n"
    )
    user = town.user()
    user.due = 999.75
    return town.run(user), town


@pytest.mark.parametrize(
    ("body", "outcome", "ended"),
    [
        ("pass", "served", "served"),
        ("raise Refused()", "refused", "check_failed"),
        ("assert 1 == 2, 'no'", "check_failed", "check_failed"),
        ("timing.wrong('sent twice')", "wrong_data", "served"),
        ("timing.failed('shed'); raise ValueError()", "shed", "check_failed"),
        ("timing.failed('odd')", "check_failed", "check_failed"),
    ],
)
def test_other_clients_join_the_statistics(body: str, outcome: str, ended: str) -> None:
    (found, _), town = timed(body)
    row = total(town.report(), "smtp send")
    assert (found, row.outcomes, row.lanes) == (ended, {outcome: 1}, {"other": 1})
    assert town.recorder.in_flight == 0


def test_a_timer_counts_from_the_intended_start() -> None:
    _, town = timed("pass")
    row = total(town.report(), "smtp send")
    assert row.served.total == pytest.approx(750_000, abs=15_000)
    assert row.served_actual.total == pytest.approx(500_000, abs=15_000)


def test_a_timer_may_be_marked_afterwards() -> None:
    town = Town(
        "@scenario('a')\nasync def a(user):\n"
        "    async with user.timer('t') as timing: pass\n"
        "    timing.reduced()\n    await user.sleep(1)\n    timing.wrong('late')\n"
    )
    town.run(town.user())
    row = total(town.report(), "t")
    assert {name: times for name, times in row.outcomes.items() if times} == {"wrong_data": 1}
    assert row.reduced == 0


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RequestFailed("truncated", "x"), "truncated"),
        (failures.TimeoutError(), "timeout"),
        (TimeoutError(), "timeout"),
        (CancelledError(), "timeout"),
        (failures.TCPTimedOutError(), "timeout"),
        (failures.ConnectionRefusedError(), "refused"),
        (ConnectionRefusedError(), "refused"),
        (failures.DNSLookupError(), "refused"),
        (ConnectionResetError(), "reset"),
        (BrokenPipeError(), "reset"),
        (failures.ConnectionLost(), "reset"),
        (failures.ConnectionDone(), "reset"),
        (EOFError(), "reset"),
        (ssl.SSLError(1, "no"), "tls"),
        (ResponseFailed([Failure(failures.ConnectionLost())]), "reset"),
        (AssertionError("x"), "check_failed"),
        (KeyError("x"), "check_failed"),
    ],
)
def test_errors_of_other_clients_are_classified(error: BaseException, outcome: str) -> None:
    assert outcome_of(error)[0] == outcome


def test_a_thousand_idle_users_cost_under_4_mb() -> None:
    town = Town(
        "@scenario('a', think='5s..6s')\nasync def a(user):\n"
        "    await user.think()\n    await user.get('/')\n"
    )
    scenario = town.book.scenarios["a"]
    scenario.iterate(town.world.user(1000, "a"))  # what all users share
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        users = [town.world.user(number, "a") for number in range(1000)]
        running = [scenario.iterate(user) for user in users]
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 1_000 * 500 < used < 4_000_000, f"{used / 1000:.0f} bytes each"
    for one in running:
        one.cancel()


def test_leaving_closes_what_is_the_users_own() -> None:
    town = Town(EMPTY)
    user = town.user()
    closed: list[bool] = []
    user.close = lambda: closed.append(True)
    assert user.leave() is None
    assert closed == [True]


# ---- deadlines


def test_a_scenarios_deadline_is_that_of_the_flows_which_it_alone_calls() -> None:
    """Known to the coordinator by what agents report, also over the wire and of several agents."""
    source = (
        "@scenario('buy', deadline='2s')\n"
        "async def buy(user):\n"
        "    await user.get('/', name='home')\n"
        "    await user.post('/pay', name='pay')\n"
        "    async with user.timer('mail'): pass\n"
        "@scenario('look')\n"
        "async def look(user): await user.get('/', name='home')\n"
        "@scenario('mend')\n"
        "async def mend(user): await user.post('/pay', name='pay')\n"
    )
    results = Results()
    for agent, names in (("a", ("buy", "look", "buy")), ("b", ("buy",))):
        town = Town(source, shares=("buy", "look", "mend"))
        town.recorder.agent = agent
        for name in names:
            assert town.run(town.user(scenario=name)) == ("served", "")
        report = town.report()
        assert report.deadlines == {"buy": 2.0}
        results.add(decode(encode(report)))
        assert town.report().owners == {}
    assert results.deadlines == {"pay": 2.0, "mail": 2.0}
    assert results.scenario_deadlines == {"buy": 2.0}
    assert deadline_of(results, "pay") == (2.0, False)
    assert deadline_of(results, "buy", "scenario") == (2.0, False)
    assert deadline_of(results, "home")[1]
    # An agent that comes later sees that another scenario pays as well.
    town = Town(source, shares=("buy", "look", "mend"))
    town.recorder.agent = "c"
    town.run(town.user(scenario="mend"))
    results.add(town.report())
    assert results.deadlines == {"mail": 2.0}


def test_a_run_without_deadlines_notes_no_owners() -> None:
    town = Town("@scenario('a')\nasync def a(user): await user.get('/')\n", shares=("a",))
    town.run(town.user())
    assert isinstance(town.user(), User) and not isinstance(town.user(), TimedUser)
    assert town.report().owners == {}
