"""What can go wrong with an experiment."""

from __future__ import annotations

from rascal.errors import RascalError


class ExperimentError(RascalError):
    """An experiment cannot start, or cannot go on."""
