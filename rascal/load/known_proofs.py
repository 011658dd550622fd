"""Proofs that targets have shown, kept for a day in the user's cache folder.

    $XDG_CACHE_HOME/rascal/targets.json    {"proofs": {"TOKEN'S DIGEST host address": {how, at}}}

A proof counts for one token, one host and one address. The file belongs to the user alone; one
that others may write counts as none.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

LIFE = 24 * 3600.0
"""Seconds for which a proof holds."""
MOST = 1000
VERSION = 1


@attrs.frozen(kw_only=True)
class Proof:
    """A target has shown that it belongs to us."""

    host: str
    address: str
    how: str
    """file or dns."""
    at: float

    @property
    def until(self) -> float:
        """When it has to be shown again."""
        return self.at + LIFE


class KnownProofs:
    """The proofs for one token.

    Args:
        path: the file; "" for that of the user.
        token: shared with the targets' owners; only its digest is kept.
        now: the time of the day.
    """

    def __init__(
        self, token: str | bytes, path: str = "", now: Callable[[], float] = time.time
    ) -> None:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        self.path = Path(path or os.path.join(base, "rascal", "targets.json"))
        self._now = now
        raw = token.encode() if isinstance(token, str) else token
        self._who = hashlib.sha256(b"rascal-proofs:" + raw).hexdigest()[:16]

    def all(self) -> list[Proof]:
        """Those that hold, the newest first."""
        found = [one for key, one in self._read().items() if key.startswith(f"{self._who} ")]
        return sorted(found, key=lambda one: -one.at)

    def holds(self, host: str, address: str) -> bool:
        """Whether the host has shown its proof there, not longer ago than a day."""
        return self._key(host, address) in self._read()

    def add(self, host: str, address: str, how: str) -> None:
        """It has shown it just now."""
        proof = Proof(host=host, address=address, how=how, at=round(self._now(), 3))
        self._change({self._key(host, address): proof})

    def drop(self, host: str, address: str) -> None:
        """It does not show it any more."""
        if self.holds(host, address):
            self._change({self._key(host, address): None})

    def _key(self, host: str, address: str) -> str:
        return f"{self._who} {host} {address}"

    def _change(self, changes: dict[str, Proof | None]) -> None:
        kept: dict[str, Proof | None] = {**self._read(), **changes}
        newest = sorted((one.at, key) for key, one in kept.items() if one is not None)[-MOST:]
        proofs = {key: attrs.asdict(kept[key]) for _, key in newest}  # type: ignore[arg-type]
        text = json.dumps({"version": VERSION, "proofs": proofs})
        with suppress(OSError):  # without a cache the target is asked again, no more
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(prefix=".targets-", dir=self.path.parent)
            try:
                with open(handle, "w", encoding="utf-8") as file:
                    file.write(text)
                os.replace(name, self.path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(name)
                raise

    def _read(self) -> dict[str, Proof]:
        found: dict[str, Proof] = {}
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            with self.path.open("rb") as file:
                about = os.fstat(file.fileno())
                if about.st_uid != os.geteuid() or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                    return {}
                data: Any = json.loads(file.read(1 << 20))
            if data["version"] != VERSION:
                return {}
            now = self._now()
            for key, one in data["proofs"].items():
                proof = Proof(**one)
                # One of the future was made by another clock.
                if now - LIFE < proof.at <= now + 60.0:
                    found[str(key)] = proof
        return found
