"""Makes things go wrong at the planned moments, and right again whatever happens.

Faults are put onto their proxies before the load starts, disarmed and under a lease: so what is
wrong with them is known in time, and none outlives a controller that dies. Shortly before its
moment each is told when to arm itself, and how long to stay so, on its proxy's own clock. When
that really happened is read from the proxy's events. Containers are struck from here.

    conductor = Conductor(reactor, experiment, timeline, run="17")
    await conductor.prepare()          # ExperimentError or ConfigErrors: nothing is left behind
    conductor.begin(start)             # the reactor's time of second 0
    …
    records = await conductor.end()    # rollback; always
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from rascal.containers import ContainerError, Containers
from rascal.control.client import AsyncClient, Refused, Unreachable
from rascal.errors import ConfigError, ConfigErrors, RascalError, did_you_mean
from rascal.experiment.errors import ExperimentError
from rascal.experiment.record import FaultRecord
from rascal.experiment.specification import Experiment
from rascal.experiment.timeline import Timeline, Window
from rascal.experiment.watching import NodeClock, Watch
from rascal.language import parse
from rascal.language.values import Quantity
from rascal.units import plain_text

log = Logger()

LEASE = 15.0
"""Seconds that faults outlive a controller that has died."""
AHEAD = 2.0
"""Seconds before its moment at which a fault is told of it."""
NOT_YET = "24h"
"""A recipe cannot be put there disarmed; this comes to the same."""
OWNER = "experiment-"
"""What the leases of experiments begin with."""
OVER = ("disabled", "expired", "removed")
"""Changes after which a fault does nothing more."""
COLLECTIONS = {"fault": "faults", "roulette": "faults", "script": "scripts", "recipe": "recipes"}

Tell = Callable[[str, str, Mapping[str, Any]], None]
"""An event for the timeline: kind, text, data."""


@attrs.define(kw_only=True, eq=False)
class Standing:
    """One action and what has become of it."""

    window: Window
    node: str = ""
    installed: bool = False
    on: float | None = None
    """Seconds of the run; when it really took effect."""
    off: float | None = None
    fired: int = 0
    matched: int = 0
    stayed: bool = False
    struck: Any = None
    trouble: str = ""
    told: bool = False
    """Its proxy knows its moment, or the container is about to be struck."""
    timers: list[Any] = attrs.Factory(list)

    @property
    def name(self) -> str:
        """DEPENDENCY/NAME, as it is called in words."""
        action = self.window.action
        return f"{action.service or action.on}/{action.name}"

    def record(self) -> FaultRecord:
        """For the judge."""
        action = self.window.action
        on = self.window.begins if self.on is None else self.on
        off = self.window.ends if self.off is None else self.off
        return FaultRecord(
            name=self.name,
            dependency=action.service or action.on,
            on=on,
            off=max(on, off),
            fired=self.fired,
            matched=self.matched,
            late=max(0.0, on - self.window.begins),
            stayed=self.stayed,
        )


class Conductor:
    """The faults of one run.

    Args:
        reactor: the reactor.
        experiment, timeline: what to do, and when.
        run: the run's id; what its lease is called by.
        tell: takes events.
        trouble: called once with the reason when the experiment cannot go on.
        clients: by node; made from the experiment's URLs if none are given.
        containers: of container faults; made if none is given.
    """

    def __init__(
        self,
        reactor: Any,
        experiment: Experiment,
        timeline: Timeline,
        *,
        run: str,
        tell: Tell,
        trouble: Callable[[str], None],
        clients: Mapping[str, AsyncClient] | None = None,
        containers: Containers | None = None,
    ) -> None:
        self.reactor = reactor
        self.experiment = experiment
        self.timeline = timeline
        self.run = run
        self.lease = f"{OWNER}{run}"
        self.standings = [Standing(window=window) for window in timeline.windows]
        self.clients = dict(clients or {})
        self.watches: dict[str, Watch] = {}
        self.start: float | None = None
        self.tell = tell
        self._trouble = trouble
        self._containers = containers
        self._timers: list[Any] = []
        self._running: set[Deferred[Any]] = set()
        self._ended = False
        self._where: dict[str, str] = {}
        self._told = False

    # ---- before the load

    async def prepare(self) -> None:
        """Install everything, disarmed; nothing is left behind if it fails."""
        try:
            await self._reach()
            await self._locate()
            await self._install()
            await self._open_containers()
        except BaseException:
            await self.end()
            raise

    async def _reach(self) -> None:
        for name, url in self.experiment.nodes.items():
            client = self.clients.setdefault(name, AsyncClient(url))
            try:
                panic = await client.panic()
                proxies = await client.proxies()
                leases = await client.leases()
            except (Unreachable, Refused) as error:
                raise ExperimentError(f"the node '{name}' ({url}): {error}") from error
            if panic["on"]:
                raise ExperimentError(
                    f"the panic lever of the node '{name}' is pulled: rascal release"
                )
            for proxy in proxies:
                if proxy in self._where:
                    raise ExperimentError(
                        f"the nodes '{self._where[proxy]}' and '{name}' both have a proxy "
                        f"'{proxy}': names are unique over the nodes of an experiment"
                    )
                self._where[proxy] = name
            self._refuse_others(leases)

    def _refuse_others(self, leases: Mapping[str, Any]) -> None:
        wanted = {one.window.action.on for one in self.standings}
        for lease, data in leases.items():
            held = {place.partition("/")[0] for place in data["holds"]} & wanted
            if lease.startswith(OWNER) and lease != self.lease and held:
                raise ExperimentError(
                    f"the experiment {lease.removeprefix(OWNER)} is busy with the proxy "
                    f"'{min(held)}': wait for it, or end it (rascal experiment recover)"
                )

    async def _locate(self) -> None:
        findings = []
        for one in self.standings:
            action = one.window.action
            if action.form == "container":
                continue
            if action.on not in self._where:
                known = ", ".join(sorted(self._where)) or "none"
                findings.append(
                    ConfigError(
                        f"there is no proxy '{action.on}'; proxies: {known}."
                        f"{did_you_mean(action.on, self._where)}",
                        path=self.experiment.path or None,
                        line=action.line or None,
                    )
                )
                continue
            one.node = self._where[action.on]
        if findings:
            raise ConfigErrors(findings)
        for node in sorted({one.node for one in self.standings if one.node}):
            clock = await NodeClock.measured(self.clients[node], self.reactor)
            watch = Watch(self.clients[node], node, clock, self._heard, self._lost)
            self.watches[node] = watch
            self.keep(watch.run(self.reactor))

    async def _install(self) -> None:
        findings = []
        for one in self.standings:
            action = one.window.action
            if action.form == "container":
                continue
            client = self.clients[one.node]
            lease = {"id": self.lease, "for": f"{LEASE:g}s"}
            try:
                if action.form == "script":
                    await client.add_script(
                        action.on, action.text, action.match or None, action.name,
                        lease=lease, enabled=False,
                    )  # fmt: skip
                else:
                    form: Any = COLLECTIONS[action.form]
                    recipe = form == "recipes"
                    terms: dict[str, Any] = {"enable_in": NOT_YET} if recipe else {"enabled": False}
                    await client.add(
                        action.on, action.text, collection=form, name=action.name, lease=lease,
                        **terms,
                    )  # fmt: skip
            except Refused as error:
                findings += [
                    ConfigError(
                        f"{action.on}: {finding.get('title') or error.title}",
                        path=self.experiment.path or None,
                        line=action.line or None,
                    )
                    for finding in error.errors
                ]
                continue
            one.installed = True
        if findings:
            raise ConfigErrors(findings)
        if any(one.installed for one in self.standings):
            self._later(LEASE / 3, self._renew)

    async def _open_containers(self) -> None:
        wanted = [one for one in self.standings if one.window.action.form == "container"]
        if not wanted:
            return
        if self._containers is None:
            self._containers = Containers(self.reactor, self.experiment.compose, owner=self.lease)
        await self._containers.__aenter__()
        services = await self._containers.services()
        for one in wanted:
            service = one.window.action.service
            if service not in services:
                known = ", ".join(services) or "none"
                raise ExperimentError(
                    f"there is no service '{service}'; services: {known}."
                    f"{did_you_mean(service, services)}"
                )

    # ---- while the load runs

    def begin(self, start: float) -> None:
        """The load has begun; `start` is the reactor's time of second 0."""
        self.start = start
        for watch in self.watches.values():
            watch.clock.begin(start)
        for one in self.standings:
            self.schedule(one)

    def schedule(self, one: Standing) -> None:
        """Let it happen at its moments; a second call moves it there."""
        self.unschedule(one)
        window = one.window
        if window.action.form == "container":
            moments = ((window.begins, self._strike), (window.ends, self._mend))
        else:
            moments = ((window.begins - AHEAD, self._arm), (window.ends, self._disarm))
        one.timers = [self._at(second, step, one) for second, step in moments]

    def unschedule(self, one: Standing) -> None:
        """It will not happen."""
        for timer in one.timers:
            if timer is not None and timer.active():
                timer.cancel()
        one.timers = []

    @property
    def now(self) -> float:
        """Seconds of the run."""
        return 0.0 if self.start is None else float(self.reactor.seconds()) - self.start

    async def _arm(self, one: Standing) -> None:
        one.told = True
        action, window = one.window.action, one.window
        lasts = window.ends - window.begins
        changes: dict[str, Any] = {"enable_in": _duration(max(0.0, window.begins - self.now))}
        if action.form == "fault":
            changes["for"] = _duration(lasts)
        await self._change(one, changes)

    async def _disarm(self, one: Standing) -> None:
        if one.off is None or one.window.action.form != "fault":
            await self._change(one, {"enabled": False})

    async def _change(self, one: Standing, changes: Mapping[str, Any]) -> None:
        action = one.window.action
        collection: Any = COLLECTIONS[action.form]
        try:
            await self.clients[one.node].change(
                action.on, action.name, changes, collection=collection
            )
        except (Unreachable, Refused) as error:
            one.trouble = str(error)
            self._fail(f"{one.name} could not be switched: {error}")

    async def _strike(self, one: Standing) -> None:
        one.told = True
        action = one.window.action
        phrase = parse("fault", action.text, kinds=_container_kinds())
        options = {name: _plain(value) for name, value in phrase.options}
        assert self._containers is not None
        try:
            one.struck = await self._containers.strike(action.service, phrase.kind, options)
        except ContainerError as error:
            self._fail(f"{one.name}: {error}")
            return
        one.fired = one.matched = 1
        self._is_on(one, self.now)

    async def _mend(self, one: Standing) -> None:
        if one.struck is None or one.struck.undone:
            return
        try:
            await one.struck.undo()
        except ContainerError as error:
            one.stayed = True
            self._fail(f"{one.name} could not be undone: {error}")
            return
        one.off = self.now
        self.tell("fault_off", f"{one.name} is over", {"fault": one.name})

    # ---- what the nodes say

    def _heard(self, node: str, proxy: str, name: str, change: str, at: float | None) -> None:
        """A fault of ours has changed; `at` is in seconds of the run."""
        for one in self.standings:
            action = one.window.action
            known = name == action.name or name.startswith(f"{action.name}.")
            if one.node != node or action.on != proxy or not known:
                continue
            moment = self.now if at is None else at
            if change in ("enabled", "armed", "restarted") and one.on is None and self.start:
                self._is_on(one, moment)
            elif change in OVER and one.on is not None and one.off is None:
                one.off = moment
                self.tell("fault_off", f"{one.name} is over ({change})", {"fault": one.name})

    def _is_on(self, one: Standing, moment: float) -> None:
        one.on = moment
        data = {"fault": one.name, "late": round(moment - one.window.begins, 4)}
        self.tell("fault_on", f"{one.name}: {one.window.action.text}", data)

    def _lost(self, node: str, why: str) -> None:
        if not self._ended:
            self._fail(f"the node '{node}': {why}")

    async def _renew(self) -> None:
        for node in sorted({one.node for one in self.standings if one.installed}):
            try:
                await self.clients[node].renew_lease(self.lease)
            except (Unreachable, Refused) as error:
                self._fail(f"the lease on the node '{node}' could not be renewed: {error}")
                return
        self._later(LEASE / 3, self._renew)

    def _fail(self, why: str) -> None:
        self.tell("error", why, {})
        if not self._told:
            self._told = True
            self._trouble(why)

    def books(self, one: Standing) -> tuple[int, int]:
        """What an action matched and fired so far, as its node told last."""
        if one.window.action.form == "container" or not one.installed:
            return one.matched, one.fired
        action, watch = one.window.action, self.watches.get(one.node)
        told = watch.books.items() if watch is not None else ()
        found = [
            counted
            for (proxy, fault), counted in told
            if proxy == action.on and (fault == action.name or fault.startswith(f"{action.name}."))
        ]
        return sum(one for one, _ in found), sum(one for _, one in found)

    # ---- the end

    async def end(self) -> tuple[FaultRecord, ...]:
        """Undo everything, whatever is going on; what each action did. A second call repeats it."""
        if not self._ended:
            self._ended = True
            for timer in self._timers:
                if timer.active():
                    timer.cancel()
            for running in list(self._running):
                running.cancel()
            for one in self.standings:
                await self._undo(one)
            for node in sorted({one.node for one in self.standings if one.node}):
                with suppress(Unreachable, Refused):
                    await self.clients[node].end_lease(self.lease)
            if self._containers is not None:
                try:
                    await self._containers.close()
                except ContainerError as error:
                    self.tell("error", str(error), {})
            for client in self.clients.values():
                await client.close()
        return tuple(one.record() for one in self.standings)

    async def _undo(self, one: Standing) -> None:
        action = one.window.action
        if action.form == "container":
            await self._mend(one)
            return
        if not one.installed:
            return
        try:
            last = await self.remove(one)
        except (Unreachable, Refused) as error:
            one.stayed = getattr(error, "status", None) != 404
            self.tell("error", f"{one.name} could not be removed: {error}", {})
            return
        one.installed = False
        one.fired, one.matched = _books(last)
        if one.on is not None and one.off is None:
            one.off = self.now
        text = f"{one.name}: matched {one.matched}, fired {one.fired}"
        books = {"fault": one.name, "fired": one.fired, "matched": one.matched}
        self.tell("fault_removed", text, books)

    async def remove(self, one: Standing) -> Any:
        """Take it off its proxy; the last of its books. Raises Unreachable, Refused."""
        action = one.window.action
        collection: Any = COLLECTIONS[action.form]
        client = self.clients[one.node]
        return await client.remove(action.on, action.name, collection=collection)

    # ---- timers

    def _at(self, second: float, function: Callable[..., Any], *args: Any) -> Any:
        assert self.start is not None
        return self._later(max(0.0, self.start + second - self.reactor.seconds()), function, *args)

    def _later(self, seconds: float, function: Callable[..., Any], *args: Any) -> Any:
        if self._ended:
            return None
        self._timers = [timer for timer in self._timers if timer.active()]
        call = self.reactor.callLater(seconds, lambda: self.keep(function(*args)))
        self._timers.append(call)
        return call

    def keep(self, coroutine: Any) -> None:
        """Run it; whatever it raises is trouble."""
        running: Deferred[Any] = Deferred.fromCoroutine(coroutine)
        self._running.add(running)

        def failed(failure: Any) -> None:
            if not failure.check(CancelledError) and not self._ended:
                if not failure.check(RascalError):
                    log.failure("an experiment's step failed", failure)
                self._fail(str(failure.value) or failure.type.__name__)

        def done(result: Any) -> Any:
            self._running.discard(running)
            return result

        running.addBoth(done)
        running.addErrback(failed)


def _books(last: Mapping[str, Any]) -> tuple[int, int]:
    """Fired and matched; of a recipe the sums over its parts."""
    parts = last.get("parts")
    several = list(parts.values()) if parts else [last]
    return sum(one["fired"] for one in several), sum(one["matched"] for one in several)


def _duration(seconds: float) -> str:
    return plain_text("duration", round(seconds, 6))


def _plain(value: Any) -> Any:
    return float(value.value) if isinstance(value, Quantity) else value


def _container_kinds() -> Mapping[str, Any]:
    from rascal.containers import KINDS

    return {name: kind.options for name, kind in KINDS.items()}
