"""How a coordinator reaches its agents: the link. One in this process, one through Redis.

A link is used for one run. The coordinator calls, in this order: `gather`, `prepare`, `start`,
then `change`, `reshare` and `stop` as needed, at last `close`. The link calls back: `on_report`
for every report, in any order and possibly twice; `on_lost` once an agent is thought dead;
`on_back` when one that was lost reports again.

Seconds are whole seconds of the run, counted from what `start` gave. A member is an agent's
index: arrival number n belongs to `members[n % len(members)]`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import attrs

from rascal.load.plan import Plan, Share
from rascal.load.types import Event, Report


@attrs.frozen(kw_only=True)
class AgentInfo:
    """An agent that takes part in a run."""

    name: str
    """Unique in the run; what reports carry."""
    index: int = 0
    """Its number in the run, from 0; kept when it comes back."""
    host: str = ""
    pid: int = 0
    version: str = ""
    cpu: float = 0.0
    """Share of one core before the run."""
    lag: float = 0.0
    """Of its reactor before the run, seconds."""

    def json(self) -> dict[str, Any]:
        """As summary and `rascal load agents` show it."""
        return attrs.asdict(self)


def _ignore_report(report: Report) -> None:
    """Before the coordinator has set its own."""


def _ignore_lost(agent: str, why: str) -> None:
    """Before the coordinator has set its own."""


def _ignore_back(agent: str) -> None:
    """Before the coordinator has set its own."""


def _ignore_event(event: Event) -> None:
    """Before the coordinator has set its own."""


@attrs.define(kw_only=True, eq=False)
class Callbacks:
    """What a link calls. A link has one as `calls`; the coordinator sets its attributes."""

    on_report: Callable[[Report], None] = _ignore_report
    on_lost: Callable[[str, str], None] = _ignore_lost
    on_back: Callable[[str], None] = _ignore_back
    on_event: Callable[[Event], None] = _ignore_event
    """Something of the link's own for the timeline: Redis was lost, Redis is back. `second` is
    taken as is; a link that cannot know it gives -1, and the coordinator puts its own."""


class Link(Protocol):
    """The agents of one run. Errors are CoordinationError, unless said otherwise."""

    calls: Callbacks

    async def gather(self, count: int) -> Sequence[AgentInfo]:
        """Find, or start, `count` agents of our version (0: all that are there), indices 0…

        Raises CoordinationError, with a line to be shown, if there are fewer.
        """

    async def prepare(self, run: str, plan: Plan, files: Mapping[str, bytes]) -> None:
        """Hand out plan and bundle; done when every agent has loaded it, run its own set-up and
        is ready to start; the one set-up of the run is done by member 0.

        Raises ConfigErrors if the scenario cannot be loaded, LoadError if a set-up fails, and
        CoordinationError if an agent does not answer.
        """

    async def start(self) -> float:
        """Agree on the start; gives second 0 on this process's monotonic clock (soon)."""

    def change(self, shares: Sequence[Share], second: int) -> None:
        """Replace the shares from the beginning of `second`, which lies ahead."""

    def reshare(self, members: Sequence[int], second: int) -> None:
        """The arrivals of `second` and later belong to these members (agent indices)."""

    def stop(self, now: bool = False) -> None:
        """No more arrivals; calls under way may end (drain), unless now. Then last reports."""

    async def close(self) -> None:
        """Tear down: run's tear-down by member 0, agents released, connections closed."""
