"""What can be wrong with containers."""

from __future__ import annotations

from rascal.errors import RascalError


class ContainerError(RascalError):
    """Docker cannot be reached, or a container cannot be struck or mended."""
