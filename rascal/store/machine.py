"""Where a process lives, so that another can tell later whether it still does.

A process number says something only on the same machine since the same start, and among the same
processes (containers). Where that is not so, only the last sign of life is left to go by.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

SILENCE = 60.0
"""Seconds without a sign of life after which a run on another machine counts as lost."""


def host() -> str:
    """The name of this machine."""
    return socket.gethostname()


def machine() -> str:
    """This machine, since its start, and this container of it."""
    parts = [host()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    except OSError:
        pass
    return " ".join(parts)


def born(pid: int) -> str:
    """When that process began, in the machine's own count; process numbers are used again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def process(pid: int) -> str:
    """Machine and process, as a run keeps it."""
    return f"{machine()} {born(pid)}".rstrip()


def alive(pid: int | None, kept: str | None, silent: float) -> bool:
    """Whether the process of a run still lives, as well as can be told from here.

    Args:
        pid: its number.
        kept: what `process` said of it when the run began.
        silent: seconds since its last sign of life.
    """
    if pid is None or not kept:
        return silent < SILENCE
    here = machine()
    if kept != here and not kept.startswith(f"{here} "):
        return silent < SILENCE
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return kept == here or kept == f"{here} {born(pid)}"
