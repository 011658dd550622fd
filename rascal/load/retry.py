"""Retries made explicit: several attempts, one call.

    order = await user.retry(pay, attempts=3, backoff="100ms..300ms", budget="10%")
    done = await user.until("/orders/7", json="$.done", every="200ms", within="8s")

While an attempt runs, the session holds its calls instead of recording them. If the attempt is to
be repeated, each of its calls becomes an attempt of the next attempt's call of the same flow (the
first with the first, the second with the second): the first start counts, bytes and replies add
up, outcomes go to `failures`. What is left in the end is recorded, one call a flow and place.

An attempt failed if it raised, or if any call in it was not served. A budget is a share of the
calls of the function that may be repeated (a bucket: each call puts the share in, each repetition
takes one out), so that retries die down when everything fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import ceil
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred

from rascal.errors import ConfigError, did_you_mean
from rascal.language import parse, plain
from rascal.load.feeders import UsedUp
from rascal.load.http.errors import RequestFailed
from rascal.load.parameters import Option, seconds
from rascal.load.timers import outcome_of
from rascal.load.types import OUTCOMES, SERVED, Call, Flow
from rascal.units import plain_text

if TYPE_CHECKING:
    from rascal.load.user import User

FAILURES = tuple(name for name in OUTCOMES if name not in (SERVED, "dropped"))
MAX_ATTEMPTS = 1000
_SAVED = 10.0
"""Repetitions that a budget saves up at most."""


class Budget:
    """Repetitions that are left. Begins with one, so that a lone failure may be repeated."""

    __slots__ = ("share", "tokens")

    def __init__(self, share: float) -> None:
        self.share = share
        self.tokens = 1.0

    def called(self) -> None:
        """A call was made."""
        self.tokens = min(_SAVED, self.tokens + self.share)

    def take(self) -> bool:
        """May one be repeated?"""
        if self.tokens < 1.0 - 1e-9:
            return False
        self.tokens -= 1.0
        return True


class Held:
    """The calls of the attempts so far."""

    __slots__ = ("_outer", "_user", "carried", "current")

    def __init__(self, user: User) -> None:
        self._user = user
        self._outer: list[Call] | None = user.retrying
        self.carried: dict[tuple[Flow, int], Call] = {}
        """Calls of earlier attempts, by flow and place among the calls of that flow."""
        self.current: list[Call] = []

    def begin(self) -> None:
        """An attempt begins."""
        self.current = self._user.retrying = []

    def failure(self) -> str:
        """The outcome of the first call of this attempt that was not served, or ""."""
        return next((call.outcome for call in self.current if call.outcome != SERVED), "")

    def absorb(self) -> None:
        """This attempt is to be repeated."""
        self.carried.update(self._merged())
        self._user.recorder.in_flight -= len(self.current)  # until an attempt takes them up
        self.current = []

    def end(self) -> None:
        """Record what there is, or hand it to the retry around this one."""
        self._user.retrying = self._outer
        for key, call in self._merged().items():
            self.carried.pop(key, None)
            self._record(call)
        for call in self.carried.values():  # the last attempt did not get as far
            self._user.recorder.in_flight += 1
            self._record(call)
        self.carried = {}
        self.current = []

    def _merged(self) -> dict[tuple[Flow, int], Call]:
        """The calls of this attempt, each with its earlier attempts added."""
        counts: dict[Flow, int] = {}
        merged = {}
        for call in self.current:
            place = counts.get(call.flow, 0)
            counts[call.flow] = place + 1
            before = self.carried.get((call.flow, place))
            if before is not None:
                add(call, before)
            merged[call.flow, place] = call
        return merged

    def _record(self, call: Call) -> None:
        if self._outer is not None:
            self._outer.append(call)
            return
        call.held = False
        if call.ended:  # else it is still under way; its client records it
            self._user.recorder.done(call)


def add(call: Call, before: Call) -> None:
    """Make `before` an earlier attempt of `call`."""
    call.intended, call.started = before.intended, before.started
    call.attempts += before.attempts
    call.replies += before.replies
    call.sent += before.sent
    call.received += before.received
    failures = dict(before.failures or {})
    if before.outcome != SERVED:
        failures[before.outcome] = failures.get(before.outcome, 0) + 1
    for name, times in (call.failures or {}).items():
        failures[name] = failures.get(name, 0) + times
    call.failures = failures or None


async def retry(
    user: User,
    function: Callable[[], Any],
    attempts: int,
    backoff: Any,
    jitter: Any,
    factor: float,
    budget: Any,
    on: str | Iterable[str] | None,
) -> Any:
    """Call `function` until an attempt goes well, it may not be repeated, or attempts are over.

    Args:
        user: whose calls are meant.
        function: takes nothing; a coroutine function, or one that returns a Deferred.
        attempts: at most.
        backoff: the wait before each repetition, drawn ("100ms..300ms").
        jitter: share by which each wait is made longer or shorter at random ("20%").
        factor: by which waits grow from repetition to repetition.
        budget: share of the calls of this function that may be repeated ("10%"), in this process.
        on: outcomes to repeat; every failure if left out.

    Returns:
        What the last attempt gave.

    Raises:
        What the last attempt raised.
    """
    pause = user.world.times(backoff)
    spread = _share(user, jitter, "jitter")
    repeatable = _outcomes(on)
    if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
        raise ConfigError(f"attempts is a count above 0, found {attempts!r}")
    allowance = _budget(user, function, budget)
    held = Held(user)
    stretch = 1.0
    try:
        for left in range(min(attempts, MAX_ATTEMPTS) - 1, -1, -1):
            held.begin()
            result, error = await _attempt(function)
            outcome = outcome_of(error)[0] if error else held.failure()
            again = left and outcome in repeatable and not isinstance(error, UsedUp)
            if not again or not _afford(user, function, allowance):
                if error is not None:
                    raise error
                return result
            held.absorb()
            wait = pause.sample(user.uniform) * stretch
            if spread:
                wait *= 1 - spread + 2 * spread * user.uniform()
            stretch *= factor
            await user.sleep(wait)
    finally:
        held.end()
    raise AssertionError("unreachable: the last attempt returns or raises")


async def _attempt(function: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        made = function()
        if hasattr(made, "__await__") or isinstance(made, Deferred):
            made = await made
    except CancelledError:
        raise
    except Exception as error:
        return None, error
    return made, None


def _afford(user: User, function: Any, allowance: Budget | None) -> bool:
    if allowance is None or allowance.take():
        return True
    name = getattr(function, "__qualname__", "function").rpartition(".")[2]
    share = plain_text("percentage", allowance.share)
    user.world.once(
        f"budget {name}", "note", f"the retry budget of '{name}' ({share} of its calls) is used up"
    )
    return False


def _budget(user: User, function: Any, written: Any) -> Budget | None:
    if written is None:
        return None
    key = (getattr(function, "__code__", function), str(written))
    found: Budget | None = user.world.budgets.get(key)
    if found is None:
        found = user.world.budgets[key] = Budget(_share(user, written, "budget"))
    found.called()
    return found


def _share(user: User, written: Any, what: str) -> float:
    if written is None:
        return 0.0
    if isinstance(written, Option):
        return float(written.value)
    key = (what, written)
    share: float | None = user.world.budgets.get(key)
    if share is None:
        try:
            share = float(plain(parse("percentage", written)))
        except (ConfigError, TypeError) as error:
            said = error.message if isinstance(error, ConfigError) else "write it as a text: '10%'"
            raise ConfigError(f"{what}: {said}") from None
        if not 0 <= share <= 1:
            raise ConfigError(f"{what} is from 0% to 100%, found {written}")
        user.world.budgets[key] = share
    return share


def _outcomes(on: str | Iterable[str] | None) -> tuple[str, ...]:
    if on is None:
        return FAILURES
    names = tuple(on.replace(",", " ").split()) if isinstance(on, str) else tuple(on)
    for name in names:
        if name not in FAILURES:
            raise ConfigError(
                f"'{name}' is no outcome to repeat; outcomes: {', '.join(FAILURES)}."
                f"{did_you_mean(name, FAILURES)}",
                allowed=FAILURES,
            )
    return names


async def until(
    user: User, url: str, every: Any, within: Any, name: str, wanted: dict[str, Any]
) -> Any:
    """GET `url` until a reply is as wanted: one call, its polls are its attempts.

    Args:
        user: who asks.
        url: what is polled.
        every: the wait between polls, drawn ("200ms").
        within: how long at most ("8s").
        name: of the flow.
        wanted: as `response.check` takes it; nothing = any reply that is served.

    Returns:
        The reply that was as wanted.

    Raises:
        RequestFailed: "timeout", none was within that time.
    """
    from rascal.load.checks import compiled

    test = compiled(wanted)
    pause = user.world.times(every)
    limit = seconds(within, "within")
    now = user.world.now
    ends = now() + limit
    held = Held(user)
    lacks, polls = "", 0
    about: dict[str, Any] = {"name": name} if name else {}
    try:
        while True:
            held.begin()
            polls += 1
            try:
                left = ends - now()
                if left < user.client.timeout:  # in steps: the client keeps a table for each
                    about["timeout"] = max(1, ceil(left * 20)) / 20
                reply = await user.get(url, **about)
                lacks = test.lacks(reply) or (held.failure() if not test.status else "")
            except RequestFailed as error:
                lacks = str(error)
            else:
                if not lacks:
                    if held.current:
                        held.current[-1].outcome = SERVED
                    return reply
            wait = pause.sample(user.uniform)
            if now() + wait >= ends:
                break
            held.absorb()
            await user.sleep(max(wait, 0.001))
        waited = plain_text("duration", limit)
        detail = f"not within {waited}, {polls} polls: {lacks}"
        if held.current:
            last = held.current[-1]
            last.outcome, last.detail = "timeout", detail
            last.ended = max(last.ended, now())
        raise RequestFailed("timeout", detail)
    finally:
        held.end()
