"""A run in a store that fails, is slow, or was filled: the run goes on, and says it once."""

from __future__ import annotations

import pytest
from coordinating import FakeStore
from twisted.internet.task import Clock

from rascal.load import keeper as module
from rascal.load.keeper import AGAIN, Keeper
from rascal.load.types import Event, Report


class Kept:
    """A keeper, its store and what it said."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = FakeStore()
        self.said: list[tuple[str, str]] = []
        self.keeper = Keeper(self.store, seconds=self.clock.seconds, trouble=self.trouble)
        self.keeper.create({}, {}, {})
        self.sequence = 0

    def trouble(self, kind: str, text: str) -> None:
        """As the coordinator does: it is an event of the run."""
        self.said.append((kind, text))
        self.keeper.event(Event(second=0.0, kind=kind, text=text))

    def report(self) -> None:
        self.keeper.add(Report(run="17", agent="a", sequence=self.sequence, second=0))
        self.sequence += 1

    def sequences(self) -> list[int]:
        return [report.sequence for report in self.store.reports]


def test_what_could_not_be_written_is_written_later_in_order() -> None:
    kept = Kept()
    kept.report()
    kept.store.fails = OSError("the disk is full")
    kept.report()
    kept.keeper.event(Event(second=1.0, kind="note", text="hello"))
    kept.clock.advance(AGAIN)
    kept.report()
    kept.store.fails = None
    kept.report()
    assert kept.sequences() == [0], "it is tried again only now and then"
    kept.clock.advance(AGAIN)
    kept.report()
    assert kept.sequences() == [0, 1, 2, 3, 4]
    assert [kind for kind, _ in kept.said] == ["error", "note"]
    assert [event.text for event in kept.store.events] == [
        kept.said[0][1],
        "hello",
        kept.said[1][1],
    ]
    assert kept.keeper.finish("completed", {}) == ""


def test_the_end_tries_once_more() -> None:
    kept = Kept()
    kept.store.fails = OSError("the disk is full")
    kept.report()
    kept.store.fails = None
    assert kept.keeper.finish("completed", {"status": 0}) == ""
    assert kept.sequences() == [0]
    assert kept.store.finished == ("completed", {"status": 0})


def test_a_store_that_fails_to_the_end_is_named() -> None:
    kept = Kept()
    kept.store.fails = OSError("the disk is full")
    kept.report()
    assert kept.keeper.finish("completed", {}) == "the disk is full"
    assert kept.store.finished is None


def test_a_store_that_fails_at_the_very_end() -> None:
    kept = Kept()
    kept.report()
    kept.store.fails = OSError("the disk is full")
    assert kept.keeper.finish("completed", {}) == "the disk is full"


def test_memory_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 5)
    kept = Kept()
    kept.store.fails = OSError("the disk is full")
    for _ in range(9):
        kept.report()
    assert kept.keeper.given_up == 5  # the note of the trouble takes a place as well
    kept.store.fails = None
    assert "5 reports were given up" in kept.keeper.finish("completed", {})
    assert kept.sequences() == [4, 5, 6, 7, 8]


def test_a_slow_store_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    add = kept.store.add

    def slow(run: str, report: Report) -> bool:
        kept.clock.advance(2.0)
        return add(run, report)

    monkeypatch.setattr(kept.store, "add", slow)
    for _ in range(3):
        kept.report()
    assert kept.said == [("note", "the run store is slow: a write took 2.0 s")]
    assert kept.sequences() == [0, 1, 2]
    assert [event.kind for event in kept.store.events] == ["note"]


def test_requests_of_a_store_that_fails_are_none() -> None:
    kept = Kept()
    kept.store.asked.append({"kind": "stop"})
    assert kept.keeper.requests() == [{"kind": "stop"}]
    kept.store.fails = OSError("locked")
    assert kept.keeper.requests() == []
    assert kept.said[0][0] == "error"


def test_no_store() -> None:
    keeper = Keeper(None, seconds=lambda: 0.0, trouble=lambda kind, text: None)
    first = keeper.create({}, {}, {})
    assert first != keeper.create({}, {}, {})
    assert keeper.run == ""
    keeper.begin(0.0)
    keeper.add(Report(run="", agent="a", sequence=0, second=0))
    assert keeper.requests() == []
    assert keeper.finish("completed", {}) == ""
