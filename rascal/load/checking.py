"""One request of each agent: is the target reached from there, and is it allowed?

What `rascal load run --check-agents` and the panel's page of agents ask. No load is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from rascal.load.types import SERVED

if TYPE_CHECKING:
    from rascal.load.links import Link
    from rascal.load.plan import Plan

SOURCE = b'''"""One request of each agent."""

from rascal.load import scenario


@scenario("check", pace="1h")
async def check(user):
    await user.get("/", name="check")
'''
FILE = "rascal_check_agents.py"
GRACE = 15.0
"""Seconds beyond a request's time-out in which an agent must have said how it went."""


@attrs.define
class Said:
    """What one agent's request came to."""

    info: Any
    outcome: str = ""
    detail: str = ""
    took: float | None = None

    def merge(self, report: Any) -> None:
        """Take it from a report."""
        for (kind, _, _), row in report.rows.items():
            for outcome in row.outcomes if kind == "flow" else ():
                self.outcome = outcome
                timed = row.served_actual or row.explicit_actual
                self.took = timed.most / 1e6 if timed.count else None
        for sample in report.samples:
            self.detail = sample.detail
        for event in report.events:
            if event.kind == "error":
                self.detail = self.detail or event.text

    @property
    def answered(self) -> bool:
        """Whether the target answered, whatever it said: agent and target can reach each other."""
        return self.outcome == SERVED or self.outcome in ("http_4xx", "http_5xx", "shed")


async def ask_agents(reactor: Any, asked: Plan, link: Link, count: int) -> list[Said]:
    """Let `count` agents (0: all that are there) send one request to the target of a plan.

    Raises ConfigErrors, CoordinationError: there are not so many, or one cannot take part.
    """
    from twisted.internet.defer import Deferred, TimeoutError

    from rascal.load.planning import plan_of

    said: dict[str, Said] = {}
    waiting: set[str] = set()
    ended: Deferred[None] = Deferred()

    def over(agent: str) -> None:
        waiting.discard(agent)
        if not waiting and not ended.called:
            ended.callback(None)

    def reported(report: Any) -> None:
        said[report.agent].merge(report)
        if report.last:
            over(report.agent)

    def lost(agent: str, why: str) -> None:
        said[agent].outcome, said[agent].detail = "lost", why
        over(agent)

    link.calls.on_report, link.calls.on_lost = reported, lost
    try:
        infos: Sequence[Any] = await link.gather(count)
        said.update({info.name: Said(info) for info in infos})
        waiting.update(said)
        values = {"users": str(len(said)), "for": "1s", "target": asked.target}
        plan = plan_of(values, scenarios=("check",), file=FILE)
        kept = ("timeout", "connect_timeout", "verify", "headers", "allow")
        plan = attrs.evolve(plan, **{name: getattr(asked, name) for name in kept})
        await link.prepare("check-agents", plan, {FILE: SOURCE})
        await link.start()
        try:
            await ended.addTimeout(plan.timeout + GRACE, reactor)
        except TimeoutError:
            for name in waiting:
                said[name].outcome, said[name].detail = "lost", "it said nothing"
    finally:
        await link.close()
    return [said[name] for name in sorted(said)]
