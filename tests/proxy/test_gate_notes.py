"""What a gate notes about connections is bounded, whatever peers send."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from rascal.options import Options
from rascal.proxy.budget import Budget
from rascal.proxy.gate import ANOTHER, NOTES, Gate
from rascal.wire.tcp import Tcp


def test_reasons_that_peers_vary_without_end_are_counted_together() -> None:
    gate = Gate("p", Tcp(), Options(), Clock(), Budget())
    for number in range(NOTES + 50):
        gate.note(f"not http: {number}")
    gate.note("not http: 0")
    notes: Any = gate.counts.notes
    assert len(notes) == NOTES + 1
    assert notes[ANOTHER] == 50
    assert notes["not http: 0"] == 2
    assert sum(notes.values()) == NOTES + 51
