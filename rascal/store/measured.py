"""A stored run as the judge and objectives read it: one flow at a time, straight from its rows.

Rebuilding all of a long run report by report costs more than judging it, and so would keeping all
of its rows in memory. Here a flow's rows are read when they are asked for, and the last flow's are
kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from rascal.load.types import FlowKind, Meters, Row

if TYPE_CHECKING:
    from rascal.store.reading import Reader


class StoredSeries(Mapping[int, Row]):
    """The rows of one flow by second, without histograms from the actual start."""

    def __init__(self, run: StoredRows, kind: FlowKind, name: str) -> None:
        self._run, self._kind, self._name = run, kind, name

    def __getitem__(self, second: int) -> Row:
        return self._rows[second]

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def total(self) -> Row:
        """All its seconds in one row."""
        return self._run.reader.total(self._run.run, self._kind, self._name)

    @property
    def _rows(self) -> Mapping[int, Row]:
        return self._run.loaded(self._kind, self._name)


class StoredRows:
    """What rascal.load.results.Results tells of a run, as far as it is measured after its end.

    Attributes:
        timeout: the client's, seconds.
        deadlines, scenario_deadlines: of flows and scenarios, seconds.
    """

    def __init__(self, reader: Reader, run: str) -> None:
        self.reader, self.run = reader, run
        self.timeout = 30.0
        self.deadlines: dict[str, float] = {}
        self.scenario_deadlines: dict[str, float] = {}
        self._last: tuple[str, str, Mapping[int, Row]] | None = None

    @cached_property
    def flows(self) -> tuple[str, ...]:
        """Names of flows, sorted."""
        return tuple(sorted(self.reader.flows(self.run, "flow")))

    @cached_property
    def scenarios(self) -> tuple[str, ...]:
        """Names of scenarios, sorted."""
        return tuple(sorted(self.reader.flows(self.run, "scenario")))

    @cached_property
    def meters(self) -> Mapping[str, Mapping[int, Meters]]:
        """How each agent was, by second of its clock."""
        return self.reader.meters(self.run)

    def rows(self, kind: FlowKind, name: str) -> StoredSeries:
        """The rows of a flow or scenario by second; empty if there is none of this name."""
        return StoredSeries(self, kind, name)

    series = rows

    def total(
        self,
        kind: FlowKind = "flow",
        names: Iterable[str] = (),
        first: int | None = None,
        last: int | None = None,
    ) -> Row:
        """Several rows in one, as rascal.load.results.Results.total."""
        found = Row()
        for name in tuple(names) or (self.flows if kind == "flow" else self.scenarios):
            if first is None and last is None:
                found.add(self.series(kind, name).total)
                continue
            for second, row in self.rows(kind, name).items():
                if (first is None or second >= first) and (last is None or second <= last):
                    found.add(row)
        return found

    def loaded(self, kind: FlowKind, name: str) -> Mapping[int, Row]:
        """The rows themselves; those of the flow asked for last stay at hand."""
        if self._last is None or self._last[:2] != (kind, name):
            rows = self.reader.series(self.run, kind, name, actual=False)
            self._last = (kind, name, rows)
        return self._last[2]
