"""What makes a test fail, or not even start."""

from __future__ import annotations

from rascal.control.client import Unproven
from rascal.errors import RascalError


class FaultMissed(Unproven, AssertionError):
    """A fault never struck, or steps of a script were not used: the test has proved nothing."""


class NotYet(AssertionError, TimeoutError):
    """What was waited for has not happened in time."""


class NodeError(RascalError):
    """The process of the proxies does not start, or has ended."""
