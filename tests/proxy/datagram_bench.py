"""A client and an upstream that exchange datagrams through a proxy's gate, on a virtual clock.

bench = DatagramBench(PROTOCOL, "lose_request every 2")
bench.client(b"1", b"2", b"3")
assert bench.seen == [b"1", b"3"]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from rascal.faults.build import build_fault, build_roulette, build_script, tables
from rascal.faults.fault import Fault
from rascal.language import parse
from rascal.proxy.budget import Budget
from rascal.proxy.datagrams import DatagramConnection
from rascal.proxy.gate import Gate
from rascal.wire.types import WireProtocol
from tests.simulation.clock import VirtualReactor


class DatagramBench:
    """One client's address; `seen` is what the upstream got, `got` what the client got."""

    def __init__(self, protocol: WireProtocol, *sentences: str, **options: Any) -> None:
        self.protocol = protocol
        self.reactor = VirtualReactor()
        self.gate = Gate(
            "p", protocol, protocol.options.plain(options), self.reactor, Budget(), seed=7
        )
        self.seen: list[bytes] = []
        self.got: list[bytes] = []
        self.faults = [self.add(text) for text in sentences]
        self.connection = self.another()

    def another(self, peer: str = "10.0.0.1:4711") -> DatagramConnection:
        """One more client's address."""
        return DatagramConnection(
            self.gate, peer, self.got.append, self.seen.append, lambda connection: None
        )

    def _parse(self, what: str, text: str) -> Any:
        return parse(what, text, kinds=tables(self.protocol), fields=self.protocol.fields)

    def add(self, text: str) -> Fault:
        """Arm a fault."""
        name = f"f{len(self.gate.faults)}"
        return self.gate.add(build_fault(self._parse("fault", text), self.protocol, name=name))

    def script(self, steps: str, match: str = "") -> Fault:
        conditions = self._parse("match", match) if match else ()
        spec = build_script(self._parse("script", steps), conditions, self.protocol, "script")
        return self.gate.add(spec)

    def roulette(self, text: str) -> Fault:
        spec = build_roulette(self._parse("roulette", text), self.protocol, "roulette")
        return self.gate.add(spec)

    def change(self, fault: Fault, text: str) -> None:
        spec = build_fault(self._parse("fault", text), self.protocol, name=fault.name)
        self.gate.replace(fault, spec)

    def client(self, *datagrams: bytes) -> None:
        for data in datagrams:
            self.connection.arrived(data, True)
        self.turn()

    def server(self, *datagrams: bytes) -> None:
        for data in datagrams:
            self.connection.arrived(data, False)
        self.turn()

    def turn(self) -> None:
        """What is due now."""
        self.reactor.advance(self.reactor.time)

    def wait(self, seconds: float) -> None:
        self.reactor.advance(self.reactor.time + seconds)

    def check(self) -> None:
        """The books add up."""
        for fault in self.gate.faults.values():
            told = fault.fired + fault.reserved + sum(fault.skipped.values())
            assert fault.matched == told, (fault.matched, told)
        assert self.gate.budget.held == sum(held.cost for held in self.connection.held)

    def end(self) -> None:
        """It is forgotten: nothing stays, no timer, nothing reserved, nothing held."""
        self.check()
        self.connection.end("close", "peers")
        self.turn()
        assert not self.connection.strikes
        assert self.gate.budget.held == 0
        assert all(not fault.reserved for fault in self.gate.faults.values())
        for name in list(self.gate.faults):
            self.gate.remove(name)
        self.gate.close()
        assert not self.reactor.pending()
