"""Contender: Rascal, all of it. Users of the closed model iterate back to back in a real run.

Engine, world, scenario with a status check, time-outs, recorder with both clocks and their
histograms, meters, and a report a second that is encoded and merged.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from rascal.reactor import install

install()

# ruff: noqa: E402
from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from window import HEADERS, Window, arguments

from rascal.language import parse
from rascal.load.book import load_bundle
from rascal.load.local import make_engine
from rascal.load.plan import Plan, Share
from rascal.load.reports import encode
from rascal.load.results import Results
from rascal.load.types import Report

SOURCE = """
from rascal.load import scenario

@scenario
async def page(user):
    response = await user.get("{path}", name="page")
    response.check(status=200)
"""
START = 0.1


class Run:
    """A run of one agent, and what it reports."""

    def __init__(self, reactor: Any) -> None:
        url, users, self.warm_up, self.seconds = arguments()
        self.reactor = reactor
        parts = urlsplit(url)
        profile = parse("profile", f"hold {users} users for {self.warm_up + self.seconds + 60:g}s")
        plan = Plan(
            file="page.py",
            shares=(Share(scenarios=("page",), profile=profile),),
            target=f"{parts.scheme}://{parts.netloc}",
            headers=HEADERS,
        )
        book = load_bundle({"page.py": SOURCE.format(path=parts.path).encode()}, "page.py", {})
        self.client, self.world, self.engine = make_engine(
            reactor, "1", plan, book, lambda host, address: None, self.emit
        )
        self.results = Results()
        self.largest = 0
        self.window = Window(self.counts)

    def emit(self, report: Report) -> None:
        """As an agent does, and its coordinator."""
        flows = sum(kind == "flow" for kind, *_ in report.rows)
        if flows:
            self.largest = max(self.largest, len(encode(report)) // flows)
        self.results.add(report)

    def counts(self) -> tuple[int, int]:
        """Completed and failed; failures are known from reports, at the end."""
        recorder = self.world.recorder
        return recorder.begun - recorder.in_flight, 0

    async def go(self) -> None:
        """From the first user to the last reply."""
        now = self.reactor.seconds
        begin = now() + START
        over = self.engine.start(begin)
        self.reactor.callLater(START + self.warm_up, self.window.open)
        self.reactor.callLater(START + self.warm_up + self.seconds, self._close)
        await over
        await self.client.close()
        total = self.results.total("flow")
        failed = total.started - total.outcomes.get("served", 0)
        self.window.found["failed"] = failed
        self.window.found["completed"] -= failed
        self.window.tell(sent=total.replies, report_bytes=self.largest, opened=self.client.opened)

    def _close(self) -> None:
        self.window.close()
        self.engine.stop()


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(Run(reactor).go()), _reactor=installed)
