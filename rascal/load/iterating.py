"""One iteration of a scenario: started, bounded, ended with one outcome, never fatal.

    coroutine ends                            served
    RequestFailed                             its outcome
    an assert                                 check_failed, with its text and line
    any other exception of the user's code    check_failed, and an error event, once for each kind
    deadline, or cancelled from outside       timeout; also by the hard end in requests

A cancelled coroutine that goes on all the same (it caught CancelledError) is closed.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from inspect import isgenerator
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.python.failure import Failure

from rascal.load.book import last_line
from rascal.load.feeders import UsedUp
from rascal.load.http.answer import Answer
from rascal.load.http.errors import RequestFailed
from rascal.load.recorder import HardEnd
from rascal.load.setting import do
from rascal.load.types import SERVED
from rascal.units import plain_text

if TYPE_CHECKING:
    from rascal.load.modules import Modules
    from rascal.load.scenario import Scenario
    from rascal.load.user import User

Ended = tuple[str, str]
Told = Callable[[Any, str, str], object]
"""Hears of the end, once: what it was given to remember, the outcome, the detail."""
_FRAMES = 4
_MAX_DETAIL = 300
_MAX_LINE = 200


def iterate(scenario: Scenario, user: User) -> Deferred[Ended]:
    """One iteration with set-up, deadline and an outcome; the Deferred never fails."""
    ended: Deferred[Ended] = Deferred(lambda _: under_way.cancel())
    under_way = Iteration(scenario, user, _fire, ended)
    under_way.start()
    return ended


def _fire(ended: Deferred[Ended], outcome: str, detail: str) -> None:
    ended.callback((outcome, detail))


def run(scenario: Scenario, user: User) -> Deferred[None]:
    """One iteration and nothing else; fails as the user's code does."""
    user.begin()
    made = _entered(scenario, user)
    if isinstance(made, Coroutine):
        return Deferred.fromCoroutine(made)
    return made if isinstance(made, Deferred) else succeed(None)


def _entered(scenario: Scenario, user: User) -> Any:
    """What the function gives: a coroutine, a Deferred, or nothing if it is done."""
    if user.ready or not user.world.book.user_hooks:
        user.ready = True
        return scenario.function(user)
    return _first(scenario, user)


async def _first(scenario: Scenario, user: User) -> None:
    """A user's set-ups, then its iteration."""
    undo: list[Any] = []
    user.undo = undo
    for hook in user.world.book.user_hooks:
        await do(hook, user, undo)
    user.ready = True
    made = scenario.function(user)
    if made is not None:
        await made


class Iteration:
    """One iteration under way.

    It drives the user's coroutine itself, as Twisted's Deferred.fromCoroutine does, and calls who
    wants to know: two Deferreds and their callbacks would cost as much as the request between.

    Args:
        told: is called when it has ended, maybe before `start` returns; with `about`.
    """

    __slots__ = (
        "_about",
        "_context",
        "_coroutine",
        "_late",
        "_over",
        "_scenario",
        "_timer",
        "_told",
        "_user",
        "_waited",
    )

    def __init__(self, scenario: Scenario, user: User, told: Told, about: Any) -> None:
        self._scenario = scenario
        self._user = user
        self._told = told
        self._about = about
        self._over = False
        self._late = ""
        self._timer: Any = None
        self._coroutine: Any = None
        self._context: Context
        self._waited: Deferred[Any] | None = None
        """What the user's code waits for."""

    def start(self) -> Iteration:
        """Run the user's code up to its first wait."""
        scenario, user = self._scenario, self._user
        user.begin()
        if scenario.deadline is not None:
            self._timer = user.world.clock.callLater(scenario.deadline, self._out_of_time)
        try:
            made = scenario.function(user) if user.ready else _entered(scenario, user)
        except BaseException:  # a plain function's own code
            self._failed(Failure())
            return self
        if type(made) is CoroutineType or isinstance(made, Coroutine):
            self._coroutine = made
            self._context = copy_context()
            self._resume(None)
        elif isinstance(made, Deferred):
            self._waited = made
            made.addCallbacks(self._done, self._failed)
        else:
            self._done(None)
        return self

    def _resume(self, result: Any) -> None:
        """The user's code goes on to its next wait, with what it has waited for."""
        coroutine, enter = self._coroutine, self._context.run
        try:
            if isinstance(result, Failure):
                waited = enter(result.throwExceptionIntoGenerator, coroutine)
            else:
                waited = enter(coroutine.send, result)
            while type(waited) is not Answer:
                if isinstance(waited, Deferred):
                    self._waited = waited
                    waited.addBoth(self._resume)
                    return
                if isinstance(waited, Coroutine) or isgenerator(waited):
                    waited = Deferred.fromCoroutine(waited)  # type: ignore[arg-type]
                else:  # an awaitable of other making
                    waited = enter(coroutine.send, waited)
            self._waited = waited
            waited.wait(self._resume)
            return
        except StopIteration:
            pass
        except BaseException:
            self._failed(Failure())
            return
        if self._late or self._timer is not None:
            self._done(None)
        else:
            self._end(SERVED, "")

    def _done(self, _: Any) -> None:
        if self._late:
            self._end("timeout", self._late)
        else:
            self._end(SERVED, "")

    def _failed(self, failure: Failure) -> None:
        if self._over:
            return  # given up already; what the code does with that is its own affair
        if self._late:
            self._end("timeout", self._late)
        else:
            self._end(*judge(self._scenario, self._user, failure))

    def _end(self, outcome: str, detail: str) -> None:
        if self._timer is not None:
            if self._timer.active():
                self._timer.cancel()
            self._timer = None
        if not self._over:
            self._over = True
            about, self._about = self._about, None  # which most likely holds on to this
            self._told(about, outcome, detail)

    def _out_of_time(self) -> None:
        self._timer = None
        deadline = plain_text("duration", self._scenario.deadline or 0.0)
        self._give_up(f"not done within its deadline of {deadline}")

    def cancel(self) -> None:
        """End it now, as a timeout."""
        self._give_up("cancelled")

    def _give_up(self, why: str) -> None:
        if self._over:
            return
        self._late = why
        coroutine = self._coroutine
        if coroutine is not None and coroutine.cr_running:
            # Cancelled by its own code, a few frames up: it can be stopped once it waits.
            self._user.world.clock.callLater(0, self._stop)
        else:
            self._stop()
        self._end("timeout", why)

    def _stop(self) -> None:
        """Cancel what the user's code waits for; close the code if it goes on all the same."""
        coroutine = self._coroutine
        self._cancel_wait()
        if coroutine is not None and coroutine.cr_frame is not None:
            _close(coroutine)
            self._cancel_wait()

    def _cancel_wait(self) -> None:
        if self._waited is not None:
            self._waited.cancel()


def _close(coroutine: Any) -> None:
    try:
        coroutine.close()
    except BaseException:  # it caught even GeneratorExit; it is left to itself
        return


def judge(scenario: Scenario, user: User, failure: Failure) -> Ended:
    """What an exception that ended an iteration means; tells the run of those that are news."""
    error: BaseException = failure.value or RuntimeError("nothing was raised")
    if isinstance(error, RequestFailed):
        return error.outcome, error.detail
    if isinstance(error, CancelledError):
        return "timeout", "cancelled"
    if isinstance(error, HardEnd):
        return "timeout", f"cancelled: {error}"
    if isinstance(error, UsedUp) and error.feeder.order == "sequential":
        return "check_failed", str(error)
    book = user.world.book
    found = last_line(error, book.modules.paths)
    place = f"{found[0]}:{found[1]}" if found else str(scenario.place)
    if isinstance(error, AssertionError):
        return "check_failed", f"{place}: {_asserted(error, book.modules)}"[:_MAX_DETAIL]
    said = f"{type(error).__name__}: {error}".rstrip(": ").replace("\n", " ")
    text = f"{place}: {said} (in scenario '{scenario.name}')"
    user.world.once(
        f"{type(error).__name__} {place}",
        "error",
        text,
        scenario=scenario.name,
        traceback=_short(error, book.modules),
    )
    return "check_failed", f"{place}: {said}"[:_MAX_DETAIL]


def _asserted(error: AssertionError, modules: Modules) -> str:
    """The assertion's text, or its source line if it has none."""
    text = str(error).strip()
    if text:
        return text.splitlines()[0]
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if frame.f_code.co_filename in modules.paths:
            return modules.line(frame.f_code.co_filename, line) or "assert"
    return "assert"


def _short(error: BaseException, modules: Modules) -> list[str]:
    """The book's own lines in a traceback, innermost last."""
    lines = []
    for frame, line in traceback.walk_tb(error.__traceback__):
        path = frame.f_code.co_filename
        if path in modules.paths:
            name, source = modules.paths[path], modules.line(path, line)
            lines.append(f"{name}:{line} in {frame.f_code.co_name}: {source}"[:_MAX_LINE])
    return lines[-_FRAMES:]
