"""Where the outputs read a run from. The run store's Reader is one; so is `rascal.store.held`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rascal.load.types import Event, Meters, Row, Sample


class Told(Protocol):
    """What is known of a run besides its numbers; rascal.store.Run says what each is."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def plan(self) -> Mapping[str, Any]: ...
    @property
    def versions(self) -> Mapping[str, Any]: ...
    @property
    def seed(self) -> Any: ...
    @property
    def about(self) -> Mapping[str, Any]: ...
    @property
    def host(self) -> str: ...
    @property
    def created(self) -> float: ...
    @property
    def started(self) -> float | None: ...
    @property
    def ended(self) -> float | None: ...
    @property
    def outcome(self) -> str: ...
    @property
    def status(self) -> int | None: ...
    @property
    def summary(self) -> Mapping[str, Any]: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def state(self) -> str: ...


class Source(Protocol):
    """Reads runs; each method takes the run's number."""

    def run(self, which: str) -> Told:
        """What is known of it."""

    def digests(self, run: str) -> Mapping[str, str]:
        """SHA-256 of each of its files."""

    def flows(self, run: str, kind: str = "flow") -> Sequence[str]:
        """Names of its flows, or scenarios."""

    def series(self, run: str, kind: str, flow: str) -> Mapping[int, Row]:
        """Rows by second of intended start."""

    def total(self, run: str, kind: str, flow: str) -> Row:
        """All of them together."""

    def meters(self, run: str) -> Mapping[str, Mapping[int, Meters]]:
        """How each agent was, by second."""

    def events(self, run: str) -> Sequence[Event]:
        """Its timeline, in the order of time."""

    def samples(self, run: str) -> Sequence[Sample]:
        """Failing exchanges, in the order of time."""
