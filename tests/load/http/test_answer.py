"""The Deferred of a request is a Deferred, whoever waits for it and however."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from rascal.load.http.answer import Answer


def test_a_waiter_gets_the_result_and_takes_it() -> None:
    answer, got = Answer(), []
    answer.wait(got.append)
    answer.callback("reply")
    later: list[Any] = []
    answer.addBoth(later.append)
    assert (got, later) == (["reply"], [None])


def test_while_the_waiter_runs_the_answer_can_be_awaited() -> None:
    answer, got = Answer(), []

    async def user() -> None:
        got.append(await answer)

    coroutine = user()
    assert coroutine.send(None) is answer

    def go_on(result: object) -> None:
        with pytest.raises(StopIteration):
            coroutine.send(result)

    answer.wait(go_on)
    answer.callback("reply")
    assert got == ["reply"]


def test_a_waiter_gets_a_failure_and_takes_it() -> None:
    answer, got = Answer(), []
    answer.wait(got.append)
    answer.errback(Failure(ValueError("no")))
    assert isinstance(got[0].value, ValueError)
    later: list[Any] = []
    answer.addBoth(later.append)
    assert later == [None]


def test_callbacks_that_came_after_the_waiter_run_after_it() -> None:
    answer, got = Answer(), []
    answer.wait(lambda result: got.append(("waiter", result)))
    answer.addCallback(lambda result: got.append(("callback", result)))
    answer.callback("reply")
    assert got == [("waiter", "reply"), ("callback", None)]


def test_callbacks_that_came_before_the_waiter_run_before_it() -> None:
    answer, got = Answer(), []
    answer.addCallback(str.upper)
    answer.wait(got.append)
    answer.callback("reply")
    assert got == ["REPLY"]


def test_two_may_wait() -> None:
    answer, got = Answer(), []
    answer.wait(lambda result: got.append(("first", result)))
    answer.wait(lambda result: got.append(("second", result)))
    answer.callback("reply")
    assert got == [("first", "reply"), ("second", None)]


def test_who_waits_too_late_gets_it_at_once() -> None:
    answer, got = Answer(), []
    answer.callback("reply")
    answer.wait(got.append)
    assert got == ["reply"]


def test_a_paused_answer_keeps_its_waiter_waiting() -> None:
    answer, got = Answer(), []
    answer.wait(got.append)
    answer.pause()
    answer.callback("reply")
    assert got == []
    answer.unpause()
    assert got == ["reply"]


def test_cancelled_it_fails_whoever_waits() -> None:
    answer, got = Answer(), []
    answer.wait(got.append)
    answer.cancel()
    assert got[0].check(CancelledError)
    answer.callback("too late, and let go as with any Deferred")
    assert len(got) == 1


def test_a_deferred_may_be_chained_to_it() -> None:
    answer, got = Answer(), []
    answer.wait(lambda result: got.append(("waiter", result)))
    outer: Deferred[Any] = Deferred()
    outer.addCallback(lambda _: answer).addCallback(lambda result: got.append(("outer", result)))
    outer.callback(None)
    answer.callback("reply")
    assert got == [("waiter", "reply"), ("outer", None)]
