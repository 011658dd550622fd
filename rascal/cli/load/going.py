"""Runs a coroutine in Rascal's reactor, for a command: signals, logs, errors, an exit status.

Ctrl-C (SIGINT), SIGTERM and a terminal that is closed (SIGHUP) ask for an end: once to drain,
twice to end at once, three times to leave whatever is under way.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from rascal.cli.output import CANNOT, complain, say
from rascal.errors import ConfigError, ConfigErrors, RascalError

if TYPE_CHECKING:
    from twisted.python.failure import Failure

INTERRUPTED = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOGGED = 20
"""Log lines of trouble that are kept to be shown."""

Main = Callable[[Any, "Interrupts"], Awaitable[Any]]


class Interrupts:
    """Who is to be told when an end is asked for."""

    def __init__(self) -> None:
        self.count = 0
        self.signals = 0
        """What came, whether the reactor has heard of it or not."""
        self.ask: Callable[[int], None] | None = None
        """Called in the reactor with the number of times so far."""
        self.cancel: Callable[[], None] = lambda: None

    def asked(self) -> None:
        """Once more."""
        self.count += 1
        if self.count > 2:
            os._exit(INTERRUPTED)
        if self.ask is not None:
            self.ask(self.count)
        else:
            self.cancel()


def choose_reactor() -> Any:
    """Rascal's own, unless one is loaded already."""
    from rascal.reactor import install_unless_loaded

    install_unless_loaded()
    from twisted.internet import reactor

    return reactor


def go(main: Main, tell: Callable[[str], None] | None = None) -> Any:
    """What `main(reactor, interrupts)` gives; its RascalError and KeyboardInterrupt are raised.

    Args:
        main: runs in the reactor, which ends with it.
        tell: is told what Twisted's log holds of trouble; without it that goes to stderr.
    """
    reactor = choose_reactor()
    from twisted.internet.defer import Deferred

    found: list[Any] = []
    interrupts = Interrupts()

    def ended(result: Any) -> None:
        found.append(result)
        if reactor.running:
            reactor.stop()

    def begin() -> None:
        for number in SIGNALS:
            _listen(number, reactor, interrupts)
        deferred: Deferred[Any] = Deferred.fromCoroutine(_as_coroutine(main, reactor, interrupts))
        interrupts.cancel = deferred.cancel
        deferred.addBoth(ended)

    with _signals_kept(), _logging(tell):
        reactor.callWhenRunning(begin)
        reactor.run()
    return _result(found, interrupts)


async def _as_coroutine(main: Main, reactor: Any, interrupts: Interrupts) -> Any:
    return await main(reactor, interrupts)


def _result(found: list[Any], interrupts: Interrupts) -> Any:
    from twisted.internet.defer import CancelledError
    from twisted.python.failure import Failure

    if not found:
        raise KeyboardInterrupt
    result = found[0]
    if not isinstance(result, Failure):
        return result
    if interrupts.count and result.check(CancelledError):
        raise KeyboardInterrupt
    raise _error(result)


def _error(failure: Failure) -> BaseException:
    error = failure.value
    assert error is not None
    return error.with_traceback(failure.getTracebackObject())


def _listen(number: int, reactor: Any, interrupts: Interrupts) -> None:
    if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
        return  # nohup

    def handle(number: int, frame: FrameType | None) -> None:
        interrupts.signals += 1
        if interrupts.signals > 2:
            os._exit(INTERRUPTED)  # the reactor may be stuck in someone's code
        reactor.callFromThread(interrupts.asked)

    signal.signal(number, handle)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """The handlers as they were, afterwards."""
    kept = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


@contextmanager
def _logging(tell: Callable[[str], None] | None) -> Iterator[None]:
    """Trouble in Twisted's log is told, a bounded number of lines of it, each once."""
    from twisted.logger import (
        ILogObserver,
        LogLevel,
        formatEvent,
        globalLogBeginner,
        globalLogPublisher,
    )
    from zope.interface import implementer

    seen: set[str] = set()

    @implementer(ILogObserver)
    def observe(event: Any) -> None:
        level = event.get("log_level") or LogLevel.info
        if level < LogLevel.warn:
            return
        text = formatEvent(event).strip()
        failure = event.get("log_failure")
        if failure is not None:
            text = f"{text}: {failure.getErrorMessage()}".lstrip(": ")
        text = text.splitlines()[0] if text else "an error without words"
        if text not in seen and len(seen) < LOGGED:
            seen.add(text)
            if tell is not None:
                tell(f"log: {text}")
            else:
                say(f"log: {text}", err=True)

    globalLogBeginner.beginLoggingTo([observe], redirectStandardIO=False, discardBuffer=True)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(observe)


# ---- errors


def findings_of(error: RascalError) -> tuple[RascalError, ...]:
    """One or several."""
    return error.findings if isinstance(error, ConfigErrors) else (error,)


def complain_all(error: RascalError, flags: Callable[[str], str | None]) -> None:
    """Each finding in a line, with the flag that holds it, and where in its text.

    `flags` gives the flag of an option's name, or None.
    """
    for one in findings_of(error):
        if isinstance(one, ConfigError) and one.path:
            say(f"{click.style('error:', fg='red', bold=True)} {one}", err=True)
            continue
        if isinstance(one, ConfigError) and one.option:
            flag = flags(one.option)
            if flag and not one.message.startswith(flag):
                one.message = f"{flag}: {one.message}"
                one.args = (one.message,)
        complain(one)


@contextmanager
def refusing(flags: Callable[[str], str | None] = lambda name: None) -> Iterator[None]:
    """What is wrong ends the command with status 2, an interruption with 130."""
    from rascal.cli.output import leave

    try:
        yield
    except RascalError as error:
        complain_all(error, flags)
        leave(CANNOT)
    except KeyboardInterrupt:
        say("interrupted before load began", err=True)
        leave(INTERRUPTED)
