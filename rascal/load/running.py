"""One load run from plan to summary: what the command, experiments and the panel call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

import attrs

from rascal.load.links import AgentInfo, Link
from rascal.load.plan import Plan
from rascal.load.types import Event, RunStore

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from rascal.load.results import Results

Outcome = Literal["completed", "stopped", "aborted", "interrupted", "failed", "refused"]
"""How a run ended: as planned; by a stop rule; agents or the policy; asked to; an error; or it
never began, because its target or an agent could not be used, or a set-up failed."""
State = Literal["starting", "running", "draining", "ended"]


@attrs.define(kw_only=True)
class Finished:
    """A run that has ended."""

    run: str
    """Its id in the store; "" without one."""
    outcome: Outcome
    status: int
    """The exit code: 0 as expected · 1 objective failed · 3 invalid · 4 stopped by a stop rule ·
    130 interrupted. Errors of usage and configuration (2) are exceptions before the start."""
    summary: dict[str, Any]
    """Plain JSON; rascal.load.summary says what is in it."""
    results: Results


@attrs.define(kw_only=True)
class Snapshot:
    """A run while it goes on, once a second."""

    run: str
    second: int
    """The run's clock, whole seconds since its start (negative before it)."""
    closed: int
    """The last second that all agents have reported past."""
    results: Results
    """Live: read it, do not keep it."""
    state: State = "running"
    agents: Mapping[str, AgentInfo] = attrs.Factory(dict)
    lost: tuple[str, ...] = ()
    planned: float = 0.0
    """Arrivals a second that the profiles ask for now."""
    users: float = 0.0
    """Users that the profiles ask for now."""
    ends: float | None = None
    """Seconds after the start at which the last profile ends."""


class Listener(Protocol):
    """Who watches a run: the terminal, the panel, an experiment."""

    def began(self, run: str, control: Control) -> None:
        """The run has its id; load has not started yet. `control` is for whoever may stop it."""

    def snapshot(self, snapshot: Snapshot) -> None:
        """Once a second."""

    def event(self, event: Event) -> None:
        """At once."""

    # A listener may also have `wanted(request)`: what others asked of the run's faults through the
    # store, as an experiment takes it.


class Control(Protocol):
    """What can be asked of a run that goes on."""

    def stop(self, why: str = "", *, now: bool = False) -> None:
        """End it: drain; at once with `now`, or if it was asked before. Outcome interrupted."""

    def change(self, profiles: Mapping[str, str]) -> None:
        """Other profiles ("" for the only share, else by scenario name), from the next second
        but one; the new profile starts then. Raises ConfigErrors."""


def run_load(
    reactor: Any,
    plan: Plan,
    files: Mapping[str, bytes],
    *,
    link: Link | None = None,
    agents: int = 1,
    store: RunStore | None = None,
    listener: Listener | None = None,
    about: Mapping[str, Any] | None = None,
) -> Deferred[Finished]:
    """Run a plan.

    Args:
        reactor: the reactor; also the clock.
        plan: what to do.
        files: the bundle: the scenario file and its data files, by name.
        link: the agents; None is one engine in this process (rascal.load.local.LocalLink, which
            has options of its own).
        agents: how many agents are wanted; 0 is all that are there.
        store: where the run is kept; None keeps it in memory only.
        listener: who watches.
        about: more for the store: labels, command line …

    The Deferred fails before load starts with an error that is one line for the user (exit 2):
    ConfigErrors (plan or scenario), TargetError, CoordinationError, another LoadError (a set-up),
    or what the store raises. After that it gives a Finished whatever happens. Cancelling it
    stops the run (drain), cancelling again stops it at once.
    """
    from twisted.internet.defer import Deferred

    from rascal.load.coordinator import Coordinator
    from rascal.load.local import LocalLink

    async def run() -> Finished:
        coordinator = Coordinator(
            plan,
            files,
            link if link is not None else LocalLink(reactor),
            store,
            clock=reactor,
            listener=listener,
            agents=agents,
            about=about,
        )
        return await coordinator.run()

    return Deferred.fromCoroutine(run())
