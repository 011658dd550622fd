"""Agents that are lost, that come back, and that cannot keep up: what the coordinator does then.

The policy is the plan's: redistribute (the arrivals of a lost agent go to the others from a second
in the near future), continue (its part of the load is not offered), abort. Whatever the policy,
a lost agent and what went with it is an event; its reports that arrived stay counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rascal.load.types import Report

if TYPE_CHECKING:
    from rascal.load.coordinator import Coordinator

AHEAD = 2
QUIET = 5
"""Sound seconds after which an agent that is unsound again is an event again."""


class Losses:
    """Which agents of a run are there."""

    def __init__(self, run: Coordinator) -> None:
        self.run = run
        self.gone: dict[str, str] = {}
        """Lost agents, and why."""
        self.done: set[str] = set()
        """Agents that have sent their last report."""
        self.ever: dict[str, str] = {}
        """All that were lost at some time."""
        self.unsound_seconds: dict[int, set[str]] = {}
        """Second of the run: why it is not to be trusted."""
        self._spoke: dict[str, int] = {}
        self._early: dict[str, str] = {}

    # ---- who is waited for

    def waited_for(self) -> list[str]:
        """Agents that are there and have not ended."""
        return [name for name in self.run.agents if name not in self.gone and name not in self.done]

    def members(self) -> list[int]:
        """The indices of those that are there."""
        return sorted(info.index for name, info in self.run.agents.items() if name not in self.gone)

    # ---- what the link says

    def lost(self, agent: str, why: str) -> None:
        """An agent is thought dead."""
        run = self.run
        if run.state == "starting":
            self._early[agent] = why
            return
        if agent in self.gone or agent in self.done or run.state not in ("running", "draining"):
            return
        self.gone[agent] = self.ever[agent] = why
        run.results.leave(agent)
        run.event("agent_lost", f"agent {agent} is lost: {why}", agent)
        left = self.members()
        if not left or not self.waited_for():
            if not self.done:
                run.fail(f"no agent is left: {agent} is lost, {why}")
            run.check_ended()
        elif run.plan.loss == "abort":
            run.end("aborted", f"agent {agent} is lost: {why}", "stopping")
        elif run.plan.loss == "redistribute" and run.state == "running":
            self._reshare(left, agent)

    def catch_up(self) -> None:
        """Load has started: who was lost on the way?"""
        early, self._early = self._early, {}
        for agent, why in early.items():
            self.lost(agent, why)

    def back(self, agent: str) -> None:
        """An agent that was lost reports again."""
        run = self.run
        self._early.pop(agent, None)
        if agent not in self.gone or run.state not in ("running", "draining"):
            return
        del self.gone[agent]
        run.results.join(agent)
        run.event("agent_back", f"agent {agent} is back", agent)
        if run.plan.loss == "redistribute" and run.state == "running":
            self._reshare(self.members(), agent)

    def _reshare(self, members: list[int], agent: str) -> None:
        run = self.run
        second = run.second + AHEAD
        run.link.reshare(members, second)
        names = [name for name, info in run.agents.items() if info.index in members]
        run.event(
            "redistributed",
            f"from second {second} the load is shared by {', '.join(names)}",
            agent,
            second=second,
            members=members,
        )

    # ---- what reports say

    def report(self, report: Report) -> None:
        """Note the end of an agent, and seconds that it could not do soundly."""
        if report.last:
            self.done.add(report.agent)
            if self.gone.pop(report.agent, None) is not None:
                self.run.event(
                    "agent_back", f"agent {report.agent} has ended well after all", report.agent
                )
        reasons = report.meters.unsound
        if not reasons:
            return
        self.unsound_seconds.setdefault(report.second, set()).update(reasons)
        before = self._spoke.get(report.agent, -QUIET - 1)
        self._spoke[report.agent] = report.second
        if report.second - before > QUIET:
            words = ", ".join(reasons)
            self.run.event(
                "unsound",
                f"agent {report.agent} is itself the bottleneck ({words}): from second "
                f"{report.second} on its numbers are not to be trusted",
                report.agent,
                at=float(report.second),
                reasons=list(reasons),
            )
