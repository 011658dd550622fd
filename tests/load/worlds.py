"""A world for users without a network: a clock, the real recorder, a server that is a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from rascal.load.book import Book, load_bundle
from rascal.load.http.client import Client
from rascal.load.http.errors import RequestFailed
from rascal.load.plan import Plan, Share
from rascal.load.recorder import Recorder
from rascal.load.types import SERVED, Call, Report, Row

HEAD = "from rascal.load import *\n"


class Reply:
    """A reply, as far as checks look at it."""

    def __init__(
        self, session: Any, call: Call, code: int, body: bytes, headers: Mapping[str, str]
    ):
        self.session = session
        self.call = call
        self.code = code
        self.body = body
        self.headers = Headers({name: [value] for name, value in headers.items()})

    def check(self, **wanted: Any) -> Any:
        from rascal.load.checks import check

        return check(self, wanted)


Answer = tuple[float, int | str, bytes]
"""Seconds until it comes, a status or a failed outcome, the body."""


class Town:
    """A world with one book, whose server is `answer(method, url)`."""

    def __init__(
        self,
        source: str,
        answer: Callable[[str, str], Answer] = lambda method, url: (0.01, 200, b"{}"),
        files: Mapping[str, bytes] | None = None,
        book: Book | None = None,
        shares: tuple[str, ...] = (),
        **about: Any,
    ) -> None:
        from rascal.load.world import World

        self.answer = answer
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.book = book or load_bundle(
            {"shop.py": (HEAD + source).encode(), **(files or {})}, "shop.py"
        )
        self.recorder = Recorder("7", "a", 1000.0, clock=self.clock.seconds)
        self.plan = Plan(
            file="shop.py",
            shares=(Share(scenarios=shares),) if shares else (),
            target="http://shop.test",
            seed=about.pop("seed", 1),
        )
        self.world = World(
            self.plan, self.book, self.recorder, Client(self.clock, self.plan), self.clock, **about
        )
        self._make = self.world.user
        self.world.user = self._connected  # type: ignore[method-assign]
        self.asked: list[tuple[float, str, str]] = []

    def user(self, number: int = 0, scenario: str = "") -> Any:
        """A user whose requests go to `answer`."""
        return self.world.user(number, scenario or next(iter(self.book.scenarios)))

    def _connected(self, number: int, scenario: Any) -> Any:
        user: Any = self._make(number, scenario)
        user.get = lambda url, **about: self.ask(user, "GET", url, **about)
        user.post = lambda url, **about: self.ask(user, "POST", url, **about)
        return user

    def ask(self, user: Any, method: str, url: str, name: str = "", **about: Any) -> Deferred[Any]:
        """What a session does, with the same order of events."""
        call = user._begin(name or url)
        self.asked.append((self.clock.seconds(), method, url))
        after, code, body = self.answer(method, url)

        def cancelled(deferred: Deferred[Any]) -> None:
            timer.cancel()
            call.ended, call.outcome, call.detail = self.clock.seconds(), "timeout", "given up"
            deferred.errback(Failure(CancelledError()))
            user.finish(call)

        def reply() -> None:
            call.ended = self.clock.seconds()
            if isinstance(code, str):
                call.outcome, call.detail = code, code
                waiting.errback(Failure(RequestFailed(code, "as told")))
            else:
                call.replies, call.received = 1, len(body)
                call.outcome = SERVED if code < 400 else "http_4xx" if code < 500 else "http_5xx"
                waiting.callback(Reply(user, call, code, body, {"Content-Type": "text/plain; q=1"}))
            user.finish(call)

        waiting: Deferred[Any] = Deferred(cancelled)
        timer = self.clock.callLater(min(after, float(about.get("timeout", 1e9))), reply)
        return waiting

    def run(self, user: Any, seconds: float = 100.0, step: float = 0.01) -> tuple[str, str]:
        """One iteration to its end, in virtual time."""
        ended: list[tuple[str, str]] = []
        user.scenario.iterate(user).addCallback(ended.append)
        left = seconds
        while not ended:
            assert left > 0, "the iteration does not end"
            self.clock.advance(step)
            left -= step
        return ended[0]

    def report(self) -> Report:
        """What was recorded since the last one."""
        from rascal.load.types import Meters

        return self.recorder.report(0, Meters())


def total(report: Report, flow: str) -> Row:
    """All seconds of a flow."""
    row = Row()
    for (kind, name, _), part in report.rows.items():
        if (kind, name) == ("flow", flow):
            row.add(part)
    return row
