"""Retries and polls: several attempts, one call, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from worlds import Answer, Town, total

from rascal.load.types import Row


def counts(row: Row) -> dict[str, int]:
    return {name: times for name, times in row.outcomes.items() if times}


def script(*answers: int | str | bytes) -> Callable[[str, str], Answer]:
    """Answers in their order, the last one again and again; 100 ms each."""
    left: list[int | str | bytes] = list(answers)

    def answer(method: str, url: str) -> Answer:
        found = left.pop(0) if len(left) > 1 else left[0]
        return (0.1, 200, found) if isinstance(found, bytes) else (0.1, found, b"{}")

    return answer


def retried(arguments: str, *answers: int | str | bytes, body: str = "") -> Town:
    return Town(
        "@scenario('a')\nasync def a(user):\n"
        "    async def pay():\n"
        "        reply = await user.post('/pay', name='pay')\n"
        f"        {body or 'pass'}\n"
        "        return reply\n"
        f"    reply = await user.retry(pay, {arguments})\n"
        "    user.memo['code'] = reply.code\n",
        script(*answers),
    )


def test_attempts_of_a_call_are_one_call() -> None:
    town = retried("attempts=3, backoff='1s'", "reset", 503, 200)
    user = town.user()
    user.due = 999.5
    assert town.run(user) == ("served", "") and user.memo["code"] == 200
    row = total(town.report(), "pay")
    assert counts(row) == {"served": 1}
    assert (row.attempts, row.started, row.replies) == (3, 1, 2)
    assert row.failures == {"reset": 1, "http_5xx": 1}
    assert row.served.total == pytest.approx(2_800_000, abs=80_000)
    assert row.served_actual.total == pytest.approx(2_300_000, abs=80_000)
    assert [round(at - 1000, 1) for at, _, _ in town.asked] == [0.0, 1.1, 2.2]
    assert town.recorder.in_flight == 0


def test_the_last_attempt_decides() -> None:
    town = retried("attempts=2, backoff='1s'", "reset", 503)
    user = town.user()
    assert town.run(user)[0] == "served" and user.memo["code"] == 503
    row = total(town.report(), "pay")
    assert (counts(row), row.attempts, row.failures) == ({"http_5xx": 1}, 2, {"reset": 1})

    town = retried("attempts=2, backoff='1s'", 503, "reset")
    assert town.run(town.user()) == ("reset", "as told")
    row = total(town.report(), "pay")
    assert (counts(row), row.attempts, row.failures) == ({"reset": 1}, 2, {"http_5xx": 1})


def test_a_failed_check_is_a_failed_attempt() -> None:
    town = retried(
        "attempts=4, backoff='10ms'", b"{}", b'{"ok": true}', body="reply.check(json='$.ok')"
    )
    assert town.run(town.user())[0] == "served"
    row = total(town.report(), "pay")
    assert (counts(row), row.attempts, row.failures) == ({"served": 1}, 2, {"check_failed": 1})


def test_an_assert_in_an_attempt_is_a_failed_attempt() -> None:
    town = retried("attempts=2, backoff='10ms'", 200, body="assert reply.code == 201, 'code'")
    assert town.run(town.user()) == ("check_failed", "shop.py:6: code")
    assert total(town.report(), "pay").attempts == 2


def test_a_check_after_the_retry_moves_the_recorded_call() -> None:
    town = Town(
        "@scenario('a')\nasync def a(user):\n"
        "    reply = await user.retry(lambda: user.get('/x'), 2, '10ms')\n"
        "    reply.check(json='$.no')\n",
        script(500, 200),
    )
    assert town.run(town.user())[0] == "served"
    row = total(town.report(), "/x")
    assert (counts(row), row.attempts) == ({"check_failed": 1}, 2)


@pytest.mark.parametrize(
    ("on", "asked"), [("'http_5xx'", 1), ("['reset', 'refused']", 3), ("'reset,timeout'", 3)]
)
def test_only_outcomes_that_were_named_are_repeated(on: str, asked: int) -> None:
    town = retried(f"attempts=3, backoff='10ms', on={on}", "reset")
    assert town.run(town.user())[0] == "reset"
    assert len(town.asked) == asked
    assert total(town.report(), "pay").attempts == asked


def test_calls_are_matched_by_flow_and_place() -> None:
    answers = script(200, 200, "reset", 200, 200, 200)
    town = Town(
        "@scenario('a')\nasync def a(user):\n"
        "    async def order():\n"
        "        await user.get('/cart', name='cart')\n"
        "        await user.get('/cart', name='cart')\n"
        "        await user.get('/pay', name='pay')\n"
        "    await user.retry(order, 3, '10ms')\n",
        answers,
    )
    assert town.run(town.user())[0] == "served"
    report = town.report()
    cart, pay = total(report, "cart"), total(report, "pay")
    assert (counts(cart), cart.attempts, cart.failures) == ({"served": 2}, 4, {})
    assert (counts(pay), pay.attempts, pay.failures) == ({"served": 1}, 2, {"reset": 1})
    assert cart.replies + pay.replies == 5


def test_a_call_that_the_last_attempt_did_not_reach_is_recorded_once() -> None:
    town = Town(
        "@scenario('a')\nasync def a(user):\n"
        "    async def order():\n"
        "        await user.get('/cart', name='cart')\n"
        "        await user.get('/pay', name='pay')\n"
        "    await user.retry(order, 2, '10ms')\n",
        script(200, "reset", "refused"),
    )
    assert town.run(town.user())[0] == "refused"
    report = town.report()
    cart, pay = total(report, "cart"), total(report, "pay")
    assert (counts(cart), cart.attempts) == ({"refused": 1}, 2)
    assert (counts(pay), pay.attempts) == ({"reset": 1}, 1)
    assert town.recorder.in_flight == 0


def test_retries_within_retries_add_up() -> None:
    town = Town(
        "@scenario('a')\nasync def a(user):\n"
        "    async def inner(): await user.get('/x')\n"
        "    async def outer(): await user.retry(inner, 2, '10ms')\n"
        "    await user.retry(outer, 2, '10ms')\n",
        script("reset", "reset", "reset", 200),
    )
    assert town.run(town.user())[0] == "served"
    row = total(town.report(), "/x")
    assert (counts(row), row.attempts, row.failures) == ({"served": 1}, 4, {"reset": 3})
    assert town.recorder.in_flight == 0


def test_cancelled_in_the_middle_what_was_done_is_recorded() -> None:
    town = Town(
        "@scenario('a', deadline='1s')\nasync def a(user):\n"
        "    await user.retry(lambda: user.get('/x'), 9, '300ms')\n",
        script("reset"),
    )
    assert town.run(town.user())[0] == "timeout"
    row = total(town.report(), "/x")
    assert (counts(row), row.attempts) == ({"reset": 1}, 3)
    town = Town(
        "@scenario('a', deadline='150ms')\nasync def a(user):\n"
        "    await user.retry(lambda: user.get('/x'), 9, '10ms')\n",
        script("reset"),
    )
    assert town.run(town.user())[0] == "timeout"
    row = total(town.report(), "/x")
    assert (counts(row), row.attempts, row.failures) == ({"timeout": 1}, 2, {"reset": 1})
    assert town.recorder.in_flight == 0 and town.clock.getDelayedCalls() == []


def waits(arguments: str, attempts: int = 6) -> list[float]:
    town = retried(f"attempts={attempts}, {arguments}", "reset")
    town.run(town.user(), step=0.001)
    times = [at for at, _, _ in town.asked]
    return [round(b - a - 0.1, 2) for a, b in pairwise(times)]


def test_backoff_grows_and_is_spread() -> None:
    assert waits("backoff='100ms', factor=2", 5) == [0.1, 0.2, 0.4, 0.8]
    spread = waits("backoff='1s', jitter='20%'", 8)
    assert all(0.79 <= wait <= 1.21 for wait in spread) and len(set(spread)) > 3
    drawn = waits("backoff='100ms..300ms'", 8)
    assert all(0.09 <= wait <= 0.31 for wait in drawn) and len(set(drawn)) > 3
    assert drawn == waits("backoff='100ms..300ms'", 8)


def test_a_budget_bounds_the_share_of_repetitions() -> None:
    town = retried("attempts=5, backoff='10ms', budget='10%'", "reset")
    for number in range(100):
        town.run(town.user(number))
    # one to begin with, and one for each ten calls
    assert 100 + 10 <= len(town.asked) <= 100 + 11
    (event,) = town.report().events
    assert event.text == "the retry budget of 'pay' (10% of its calls) is used up"


def test_a_budget_that_is_not_needed_is_saved_up_but_not_without_bound() -> None:
    town = retried("attempts=100, backoff='1ms', budget='50%'", *[200] * 100, "reset")
    for number in range(100):
        town.run(town.user(number))
    assert len(town.asked) == 100
    town.run(town.user(100))
    assert len(town.asked) == 100 + 1 + 10


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("attempts=0", "attempts is a count above 0, found 0"),
        ("attempts=True", "attempts is a count above 0"),
        ("backoff='soon'", "time: "),
        ("backoff=3", "has no unit"),
        ("budget='2s'", "budget: "),
        ("budget=0.1", "budget: write it as a text: '10%'"),
        ("jitter='200%'", "jitter is from 0% to 100%"),
        ("on='http_6xx'", "'http_6xx' is no outcome to repeat; outcomes: refused, reset"),
        ("on='served'", "'served' is no outcome to repeat"),
    ],
)
def test_wrong_arguments_are_said(arguments: str, says: str) -> None:
    town = retried(arguments, 200)
    outcome, detail = town.run(town.user())
    assert outcome == "check_failed" and says in detail
    assert town.asked == []


def test_a_feeder_that_is_used_up_is_not_asked_again() -> None:
    town = Town(
        "rows = feeder([1], order='unique', per='iteration')\n"
        "@scenario('a')\nasync def a(user):\n"
        "    user.memo['n'] = 0\n"
        "    def take():\n        user.memo['n'] += 1\n        return user.data(rows)\n"
        "    await user.retry(take, 5, '10ms')\n"
    )
    assert town.run(town.user())[0] == "served"
    user = town.user(1)
    assert town.run(user)[0] == "check_failed" and user.memo["n"] == 1


# ---- until


def polled(arguments: str, *answers: int | str | bytes) -> Town:
    return Town(
        "@scenario('a')\nasync def a(user):\n"
        f"    reply = await user.until('/job', {arguments})\n"
        "    user.memo['code'] = reply.code\n",
        script(*answers),
    )


def test_polls_are_attempts_of_one_call() -> None:
    town = polled(
        "json='$.done', every='200ms', within='8s', name='job'",
        b'{"done": false}',
        500,
        "reset",
        b'{"done": true}',
    )
    assert town.run(town.user())[0] == "served"
    row = total(town.report(), "job")
    assert (counts(row), row.attempts, row.replies) == ({"served": 1}, 4, 3)
    assert row.failures == {"http_5xx": 1, "reset": 1}
    assert row.served.total == pytest.approx(1_000_000, abs=80_000)
    assert town.recorder.in_flight == 0


def test_a_poll_that_never_succeeds_is_a_timeout() -> None:
    town = polled("json='$.done', every='1s', within='3500ms', name='job'", b'{"done": false}')
    outcome, detail = town.run(town.user())
    assert (outcome, detail) == ("timeout", "not within 3.5s, 4 polls: $.done is false")
    row = total(town.report(), "job")
    assert (counts(row), row.attempts) == ({"timeout": 1}, 4)
    assert town.clock.seconds() - 1000 <= 3.6


def test_a_poll_may_wait_for_a_status() -> None:
    town = polled("status=404, every='1s', within='1m', name='job'", 200, 200, 404)
    user = town.user()
    assert town.run(user)[0] == "served" and user.memo["code"] == 404
    assert counts(total(town.report(), "job")) == {"served": 1}


def test_without_a_condition_any_reply_that_is_served_will_do() -> None:
    town = polled("every='1s', within='1m', name='job'", 503, 503, 200)
    assert town.run(town.user())[0] == "served"
    assert total(town.report(), "job").attempts == 3


@pytest.mark.parametrize("within", ["'3s'", "'5s'"])
def test_polls_do_not_outlast_their_time(within: str) -> None:
    town = Town(
        f"@scenario('a')\nasync def a(user): await user.until('/job', within={within})\n",
        lambda method, url: (2.5, "timeout", b""),
    )
    assert town.run(town.user())[0] == "timeout"
    assert town.clock.seconds() - 1000 <= float(within[1]) + 0.06
