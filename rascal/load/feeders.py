"""Feeders: where users take their data from.

    items = feeder("items.csv", order="shuffle")
    item = user.data(items)                # a dict of the row; the same until the iteration ends

A source is a CSV file with a header, a JSON-lines file, any iterable, or a function that gives
one. Items are counted by their position in the run. Agent number k of m takes the positions k,
k + m, k + 2m …: no two agents ever take the same, whoever is lost on the way. How a position
becomes an item is the order:

| order | item | when all are used |
| --- | --- | --- |
| sequential (default) | the next, once in a run | the load has done its work: it ends |
| unique | the next, once in a run | an error: there should have been more |
| circular | the next | from the beginning |
| shuffle | the next of a seeded shuffle | shuffled anew |
| random | any, drawn by the user | never |
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Any

from rascal.errors import ConfigError, LoadError, did_you_mean
from rascal.load.collecting import Place, caller, collector

ORDERS = ("sequential", "random", "shuffle", "circular", "unique")
ONCE = ("sequential", "unique")
KEPT = ("iteration", "user")
MAX_ITEMS = 1_000_000


class UsedUp(LoadError):
    """A feeder whose items are used once has no more."""

    def __init__(self, feeder: Feeder, used: int) -> None:
        super().__init__(f"{feeder.name} is used up: this agent has taken all of its {used} items")
        self.feeder = feeder


class Feeder:
    """A source of items and the order they are taken in. What was taken is kept by a `Shard`."""

    __slots__ = ("items", "make", "name", "order", "per", "place")

    def __init__(self, name: str, order: str, per: str, place: Place) -> None:
        self.name = name
        self.order = order
        self.per = per
        self.place = place
        self.items: list[Any] = []
        self.make: Callable[[], Iterator[Any]] | None = None
        """For sources that are read while the load runs."""

    def __repr__(self) -> str:
        return f"feeder({self.name!r}, order={self.order!r})"


def feeder(source: Any, order: str = "sequential", *, per: str = "iteration") -> Feeder:
    """Declare a source of data.

    Args:
        source: the name of a CSV or JSON-lines file beside the scenario file, an iterable, or a
            function that gives one (for sources without an end, with an order of items used once).
        order: sequential, random, shuffle, circular or unique.
        per: a user keeps an item for an "iteration", or as long as it lives ("user").
    """
    place = caller()
    name = source if isinstance(source, str) else getattr(source, "__name__", "the feeder")
    if order not in ORDERS:
        place.problem(
            f"order '{order}' is not known; orders: {', '.join(ORDERS)}."
            f"{did_you_mean(str(order), ORDERS)}",
            allowed=ORDERS,
        )
        order = "sequential"
    if per not in KEPT:
        place.problem(f"per is 'iteration' or 'user', found {per!r}", allowed=KEPT)
        per = "iteration"
    made = Feeder(str(name), order, per, place)
    try:
        _fill(made, source)
    except ConfigError as error:
        _note(place, error)
    found = collector()
    if found is not None:
        found.feeders.append(made)
    return made


def data_file(name: str) -> bytes:
    """The content of a file beside the scenario file; it travels to the agents with it."""
    place = caller()
    try:
        return _read(name, place)
    except ConfigError as error:
        _note(place, error)
        return b""


def _note(place: Place, error: ConfigError) -> None:
    if error.path is None:
        place.problem(error.message, value=error.value, allowed=error.allowed)
        return
    found = collector()
    if found is None:
        raise error
    found.findings.append(error)


def _read(name: str, place: Place) -> bytes:
    found = collector()
    if found is None:
        path = os.path.join(os.path.dirname(place.path), name)
        try:
            with open(path, "rb") as file:
                return file.read()
        except OSError as error:
            raise ConfigError(f"cannot read '{name}': {error.strerror}", value=name) from None
    content = found.files.read(name)
    if content is None:
        near = did_you_mean(name, found.files.names(name))
        raise ConfigError(
            f"there is no file '{name}' beside the scenario file.{near}",
            value=name,
            code="file-missing",
        )
    found.data[os.path.normpath(name)] = content
    return content


def _fill(made: Feeder, source: Any) -> None:
    if isinstance(source, str | os.PathLike):
        name = str(os.fspath(source))
        content, found = _read(name, made.place), collector()
        made.items = list(_rows(name, found.shown + name if found else name, content))
    elif callable(source):
        made.make = lambda: iter(source())
    elif isinstance(source, Iterator):
        made.make = _once(made, source)
    elif isinstance(source, Iterable):
        made.items = _listed(source)
    else:
        raise ConfigError(f"a feeder takes a file's name or an iterable, found {source!r}")
    if made.make and made.order not in ONCE:
        made.items, made.make = _listed(made.make()), None
    if not made.make and not made.items:
        raise ConfigError(f"{made.name} holds no items")


def _listed(source: Iterable[Any]) -> list[Any]:
    items: list[Any] = []
    for item in source:
        if len(items) == MAX_ITEMS:
            raise ConfigError(
                f"a feeder holds {MAX_ITEMS:,} items at most; a function that gives an iterator, "
                "with order='sequential', may give any number"
            )
        items.append(item)
    return items


def _once(made: Feeder, source: Iterator[Any]) -> Callable[[], Iterator[Any]]:
    taken: list[bool] = []

    def make() -> Iterator[Any]:
        if taken:
            raise LoadError(
                f"{made.place}: {made.name} can be read once only; give the feeder a function "
                "that makes the iterator"
            )
        taken.append(True)
        return source

    return make


def _rows(name: str, shown: str, content: bytes) -> Iterator[Any]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError("the text is not UTF-8", path=shown, line=line) from None
    lines = text.count("\n") + 1
    if lines > MAX_ITEMS + 1:
        raise ConfigError(f"{name} has {lines:,} lines; {MAX_ITEMS:,} at most")
    kind = os.path.splitext(name)[1].lower()
    if kind in (".csv", ".tsv"):
        yield from _csv(shown, text, "\t" if kind == ".tsv" else ",")
    elif kind in (".jsonl", ".ndjson"):
        yield from _json_lines(shown, text)
    elif kind == ".txt":
        yield from (line for line in text.splitlines() if line.strip())
    else:
        allowed = (".csv", ".tsv", ".jsonl", ".ndjson", ".txt")
        raise ConfigError(
            f"'{name}' is no file that a feeder reads; endings: {', '.join(allowed)}",
            allowed=allowed,
            value=name,
        )


def _csv(name: str, text: str, delimiter: str) -> Iterator[dict[str, str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [title.strip() for title in next(reader, [])]
        if not all(header) or len(set(header)) < len(header):
            raise ConfigError(
                "the first line of a CSV file names its columns, each once", path=name, line=1
            )
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise ConfigError(
                    f"{len(row)} values for {len(header)} columns ({', '.join(header)})",
                    path=name,
                    line=reader.line_num,
                )
            yield dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise ConfigError(f"no CSV: {error}", path=name, line=reader.line_num) from None


def _json_lines(name: str, text: str) -> Iterator[Any]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as error:
                raise ConfigError(f"no JSON: {error}", path=name, line=number) from None


class Shard:
    """One agent's part of a feeder in one run, and how far it got."""

    __slots__ = ("_bag", "_lazy", "_pass", "_place", "_salt", "_skip", "_step", "feeder", "taken")

    def __init__(self, feeder: Feeder, seed: int, index: int, members: tuple[int, ...]) -> None:
        if index not in members:
            if feeder.order != "random":
                raise LoadError(
                    f"agent {index} came after the start and has no share of {feeder.name}"
                )
            members = (index,)
        self.feeder = feeder
        self.taken = 0
        self._place = members.index(index)
        self._step = len(members)
        self._salt = f"{seed}/{feeder.name}/{feeder.place.line}"
        self._pass = -1
        self._bag: list[int] = []
        self._lazy = feeder.make() if feeder.make else None
        self._skip = self._place

    def take(self, draw: Callable[[int], float]) -> Any:
        """The next item; `draw` gives the user's own numbers in [0, 1).

        Raises:
            UsedUp: items are used once, and this agent's are.
        """
        if self._lazy is not None:
            return self._next()
        items = self.feeder.items
        order = self.feeder.order
        if order == "random":
            return items[int(draw(0) * len(items))]
        turn, at = divmod(self._place, len(items))
        if turn and order in ONCE:
            raise UsedUp(self.feeder, self.taken)
        self._place += self._step
        self.taken += 1
        return items[self._shuffled(turn)[at] if order == "shuffle" else at]

    def _next(self) -> Any:
        assert self._lazy is not None
        for _ in range(self._skip):
            next(self._lazy, None)
        self._skip = self._step - 1
        for item in self._lazy:
            self.taken += 1
            return item
        self._skip = 0
        raise UsedUp(self.feeder, self.taken)

    def _shuffled(self, turn: int) -> list[int]:
        """The order of one pass: the same in every agent."""
        if turn != self._pass:
            self._bag = list(range(len(self.feeder.items)))
            Random(f"{self._salt}/{turn}").shuffle(self._bag)
            self._pass = turn
        return self._bag
