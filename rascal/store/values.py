"""What the store hands out: a run, what a new one takes over from it, a request to one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Run:
    """One run, as it is kept. Times of the day are seconds since 1970."""

    id: str
    uid: str
    """The same wherever the run is copied to."""
    kind: str
    """load or experiment."""
    name: str
    plan: Mapping[str, Any]
    versions: Mapping[str, Any]
    seed: Any
    about: Mapping[str, Any]
    """What else the one who started it told."""
    host: str
    pid: int | None
    created: float
    started: float | None
    """When its second 0 was, if it came to that."""
    beat: float
    """When it gave the last sign of life."""
    ended: float | None
    outcome: str
    """completed, stopped, aborted, interrupted, failed, refused; empty while it runs."""
    status: int | None
    """The exit status of the command."""
    summary: Mapping[str, Any]
    labels: tuple[str, ...]
    forked_from: str
    state: str
    """running, ended, or lost: its process is gone and left no word."""


@attrs.frozen(kw_only=True)
class Fork:
    """A plan that may be changed, made of one that may not."""

    plan: dict[str, Any]
    files: dict[str, bytes]
    forked_from: str
