"""Runs seeds of the simulation.

    python -m tests.simulation.run FIRST HOW_MANY [--protocol NAME] [--mutant NAME] [--trace]

Prints the seeds that fail, what broke, and the last events before it; with --trace all events.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import signal
import sys
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import rascal.proxy.gate as gate_module
from rascal.faults.types import Pace
from rascal.options import Options
from rascal.proxy.budget import Budget
from rascal.proxy.connection import Connection
from rascal.proxy.gate import Gate
from tests.simulation import acts, judge
from tests.simulation.protocols import PROTOCOLS, Spoken
from tests.simulation.tape import Recorder, Struck
from tests.simulation.world import Site, World

SEED_SECONDS = 20
"""No seed takes half a second: one that takes this long never ends."""
READ = 2000
"""The most that one read brings."""


@dataclass
class Stats:
    """What a run was."""

    connections: int = 0
    exchanges: int = 0
    fired: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    digest: str = ""


class Observer:
    """Counts finished exchanges."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()

    def finished(self, exchange: Any) -> None:
        self.outcomes[exchange.outcome] += 1


class Run:
    """One seed."""

    def __init__(self, seed: int, protocol: str | None, log: Callable[[str], None] | None) -> None:
        r = self.rng = random.Random(seed)
        self.world = World(r, log)
        self.seed = seed
        names = list(PROTOCOLS)
        drawn = r.choice(names)
        self.spoken: Spoken = PROTOCOLS[protocol or drawn]
        self.tape = Recorder(self.world.reactor.now)
        self.observer = Observer()
        self.protocol = self.spoken.make()
        self._listen_to_terminate()
        self.hold_bytes = r.choice((4096, 4096, 65536))
        self.budget = Budget()
        self.gate: Gate
        self.faults: list[Any] = []
        self.founders: list[Any] = []
        self.gone: list[Any] = []
        self.changed: list[Any] = []
        self.sentences = r.random() < 0.6
        self.troubles = r.choice((0.0, 0.0, 0.01, 0.03, 0.06))
        self.settled = r.random() < 0.15
        """The faults of the beginning stay, and no others come."""
        self.focus = r.choice(acts.FOCUS) if not self.sentences and r.random() < 0.5 else None
        self.bulky = r.random() < 0.2
        self.steps = r.choice((150, 400, 900))
        self.most = r.choice((1, 2, 4, 6))

    def _listen_to_terminate(self) -> None:
        protocol, terminate = self.protocol, self.protocol.terminate

        def heard(session: Any, *args: Any) -> bytes | None:
            words = terminate(session, *args)
            if words is not None:
                self.tape.terminated.setdefault(id(session), []).append(bytes(words))
            return words

        protocol.terminate = heard  # type: ignore[method-assign]
        answer = protocol.answer

        def said(session: Any, head: Any, call: Any) -> Any:
            made = answer(session, head, call)
            self.tape.answers[id(session)] = bytes(made.reply)
            return made

        protocol.answer = said  # type: ignore[method-assign]

    def log(self, what: str) -> None:
        if self.world.log is not None:
            self.world.log(what)

    # -- faults ------------------------------------------------------------------------------------
    def specification(self) -> Any:
        name = f"f{len(self.faults) + len(self.gone)}"
        if self.sentences and self.rng.random() < 0.8:
            return self.spoken.sentence(self.rng, name, self.protocol)
        return acts.specification(self.rng, name, self.protocol, self.spoken.plain, self.focus)

    def add(self) -> Any:
        spec = self.specification()
        self.log(f"t={self.world.reactor.time:g} add {spec.name}: {spec.text}")
        fault = self.gate.add(spec)
        self.faults.append(fault)
        return fault

    def remove(self, fault: Any) -> None:
        self.log(f"t={self.world.reactor.time:g} remove {fault.name}")
        self.gate.remove(fault.name)
        self.faults.remove(fault)
        self.gone.append(fault)
        self.unfound(fault)

    def unfound(self, fault: Any) -> None:
        if fault in self.founders:
            self.founders.remove(fault)

    def meddle(self) -> None:
        """Somebody changes the faults."""
        r = self.rng
        k = r.random()
        if k < 0.4 or not self.faults:
            if len(self.faults) < 8:
                self.add()
            return
        fault = r.choice(self.faults)
        if k < 0.65:
            self.remove(fault)
            return
        self.unfound(fault)
        if k < 0.75:
            self.log(f"disarm {fault.name}")
            self.gate.disarm(fault)
        elif k < 0.87:
            self.log(f"arm {fault.name}")
            self.gate.arm(fault)
        elif k < 0.93:
            self.log(f"restart {fault.name}")
            self.gate.restart(fault)
        elif k < 0.95:
            self.log("watch")
            self.gate.watch(r.choice((0.1, 5.0)))
        else:
            import attrs

            spec = attrs.evolve(self.specification(), name=fault.name)
            self.log(f"change {fault.name}: {spec.text}")
            self.changed.append(fault)
            self.gate.replace(fault, spec)

    # -- connections -------------------------------------------------------------------------------
    def connect(self) -> None:
        world = self.world
        number = len(world.sites) + 1
        site = Site(world, number, self.spoken.model(self.rng))
        site.model.bulky = self.bulky
        world.sites.append(site)
        site.connection = Connection(self.gate, site.client_end, site.dial)
        site.note(f"connects, window {site.client.window}")
        site.connection.start()

    # -- the run -----------------------------------------------------------------------------------
    def go(self) -> Stats:
        held, gate_module.HOLD_BYTES = gate_module.HOLD_BYTES, self.hold_bytes
        try:
            with self.tape:
                return self._go()
        finally:
            gate_module.HOLD_BYTES = held

    def _go(self) -> Stats:
        r, world = self.rng, self.world
        self.gate = Gate(
            "p",
            self.protocol,
            self.protocol.options.plain({}) if self.protocol.options else Options(),
            world.reactor,
            self.budget,
            seed=self.seed,
            observer=self.observer,
        )
        self.gate.hold_bytes = self.hold_bytes
        self.tape.on_fire = self.fires
        self.log(f"seed {self.seed}, {self.spoken.name}, {world.climate}, hold {self.hold_bytes}")
        if self.settled:
            self.troubles = 0.0
        if self.troubles or self.settled:
            for _ in range(r.randrange(4)):
                self.founders.append(self.add())
        checked = 0
        for step in range(self.steps):
            k = r.random()
            if not world.sites or (k < 0.01 and len(world.sites) < self.most):
                self.connect()
            elif 0.01 <= k < 0.01 + self.troubles:
                self.meddle()
            elif k < 0.10:
                world.reactor.advance(world.reactor.time + r.choice((0.001, 0.01, 0.1, 1.0)))
            else:
                site = r.choice(world.sites)
                site.step()
                judge.check_bounds(site, self.gate.hold_bytes, READ)
            checked = self.check_step(checked)
            if step % 25 == 0:
                judge.check_timers(world)
                self.check_sites(False)
        self.end()
        return self.stats()

    def fires(self, struck: Struck) -> None:
        self.log(f"t={self.world.reactor.time:g} {struck.name} strikes {struck.acts}")
        if struck.act(Pace) is not None:
            for site in self.world.sites:
                if site.connection is struck.on:
                    site.strict = False

    def end(self) -> None:
        """Faults go (or stay), everything comes to rest, clients go, nothing is left."""
        world, r = self.world, self.rng
        self.check_asked()
        keep = r.random() < 0.25
        if not keep:
            for fault in list(self.faults):
                self.remove(fault)
            self.settle(0.01, 400)
            self.check_step(0)
            self.check_sites(True)
            for site in world.sites:
                judge.check_rest(site, self.tape)
        else:
            self.settle(0.5, 20)
            self.check_sites(False)
        self.log("the clients go")
        for site in world.sites:
            site.unsent.clear()
            site.client_ends()
        self.settle(1.0, 120)
        for site in world.sites:
            if not (site.client.gone or site.client.over):
                site.client.leave()
        self.settle(1.0, 60)
        self.check_sites(False)
        for connection in self.gate.connections.values():
            raise judge.Broken(9, f"its client has gone: connection {connection.number}")
        for fault in list(self.faults):
            self.remove(fault)
        self.settle(1.0, 10)
        self.check_step(0)
        judge.check_nothing_left(
            world, self.gate, self.budget, [*self.gone, *self.faults], self.changed
        )

    def settle(self, step: float, rounds: int) -> None:
        world = self.world
        still = 0
        for _ in range(rounds):
            world.reactor.advance(world.reactor.time + step)
            moved = False
            for site in world.sites:
                for _ in range(200):
                    if not site.finish():
                        break
                    moved = True
            still = 0 if moved else still + 1
            due = world.reactor.next_due()
            if still > 2 and (due is None or step < 0.1):
                return

    # -- checks ------------------------------------------------------------------------------------
    def check_step(self, checked: int) -> int:
        """What holds at every step."""
        world = self.world
        if world.reactor.failures:
            raise judge.Broken(10, world.reactor.failures[0])
        strikes = self.tape.strikes
        for struck in strikes[checked:]:
            judge.check_choice(struck)
        for fault in self.faults:
            judge.check_counters(fault, self.changed)
        for fault in self.gone[-1:]:
            judge.check_counters(fault, self.changed)
        return len(strikes)

    def check_sites(self, final: bool) -> None:
        for site in self.world.sites:
            try:
                judge.check(site, self.tape, self.world.reactor.time, final)
            except AssertionError as error:
                error.add_note(f"connection #{site.number}, {site.troubles or 'no troubles'}")
                raise

    def check_asked(self) -> None:
        if self.settled:
            judge.check_asked(self.founders, self.world.sites, self.tape)

    def stats(self) -> Stats:
        digest = hashlib.blake2b(digest_size=12)
        stats = Stats(connections=len(self.world.sites))
        for site in self.world.sites:
            digest.update(bytes(site.client.taken))
            stats.exchanges += len(site.model.requests)
            if site.server is not None:
                digest.update(bytes(site.server.taken))
            stats.ends[site.connection.ended_by or "open"] += 1
        for struck in self.tape.strikes:
            digest.update(f"{struck.name} {struck.number} {struck.fired} {struck.why}".encode())
            if struck.fired is not None:
                for act in struck.acts:
                    stats.fired[type(act).__name__] += 1
        stats.digest = digest.hexdigest()
        return stats


def simulate(
    seed: int, protocol: str | None = None, log: Callable[[str], None] | None = None
) -> Stats:
    """One seed. Raises what broke; TimeoutError if it goes round in circles."""

    def stuck(number: int, frame: Any) -> None:
        raise TimeoutError(f"not done within {SEED_SECONDS} s")

    before = signal.signal(signal.SIGALRM, stuck)
    signal.alarm(SEED_SECONDS)
    try:
        return Run(seed, protocol, log).go()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def nothing() -> Iterator[None]:
    yield


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests.simulation.run")
    parser.add_argument("first", type=int)
    parser.add_argument("many", type=int, nargs="?", default=1)
    parser.add_argument("--protocol", choices=list(PROTOCOLS))
    parser.add_argument("--mutant")
    parser.add_argument("--brief", action="store_true", help="one line for each failing seed")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--stop", type=int, default=5, help="failures after which to stop")
    given = parser.parse_args()
    from tests.simulation.mutants import MUTANTS

    context = MUTANTS[given.mutant].on() if given.mutant else nothing()
    began = time.monotonic()
    failed = connections = exchanges = 0
    fired: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    with context:
        for seed in range(given.first, given.first + given.many):
            events: deque[str] = deque(maxlen=None if given.trace else 60)
            try:
                stats = simulate(seed, given.protocol, events.append if given.trace else None)
            except Exception as error:
                failed += 1
                if given.brief:
                    print(f"{seed}: {type(error).__name__}: {str(error)[:200]}")
                else:
                    report(seed, given.protocol, error, given.trace, events)
                if failed >= given.stop:
                    break
                continue
            connections += stats.connections
            exchanges += stats.exchanges
            fired += stats.fired
            ends += stats.ends
            if given.trace:
                print("\n".join(events))
    took = time.monotonic() - began
    print(
        f"{failed} failed; {connections} connections, {exchanges} requests in {took:.1f} s "
        f"({connections / took:.0f}/s)\nstruck: {dict(fired)}\nends: {dict(ends.most_common(12))}"
    )
    return 1 if failed else 0


def report(
    seed: int, protocol: str | None, error: Exception, whole: bool, events: deque[str]
) -> None:
    """A failing seed, once more with its events."""
    if not whole:
        try:
            simulate(seed, protocol, events.append)
        except Exception as again:
            error = again
    print("\n".join(events))
    lines = traceback.format_exception(error)
    print(f"seed {seed} failed: {type(error).__name__}: {error}")
    if not isinstance(error, judge.Broken):
        print("".join(lines[-12:]))
    for one in getattr(error, "__notes__", ()):
        print("   ", one)
    print("-" * 80)


if __name__ == "__main__":
    sys.exit(main())
