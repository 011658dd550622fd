"""Faults of containers: pause, kill, stop, restart, disconnect and limit Compose services.

    async with Containers(reactor, project="shop") as containers:
        struck = await containers.strike("mysql", "pause")
        …
        await struck.undo()

What is struck is written down before it happens, so that it can be undone by another process if
this one dies (`recover`).
"""

from __future__ import annotations

from rascal.containers.engine import Containers, Struck
from rascal.containers.errors import ContainerError
from rascal.containers.journal import Journal, recover
from rascal.containers.kinds import KINDS

__all__ = ["KINDS", "ContainerError", "Containers", "Journal", "Struck", "recover"]
