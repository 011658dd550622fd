"""Files in a folder of the settings: found, named, and never outside of it."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import attrs

from rascal.control._problems import Problem

DEPTH = 4
MOST = 300
"""Files that are listed."""
LOOKED = 5000
"""Files that are looked at, in all."""
HEAD = 256 << 10
"""Bytes of a file that are looked at to see what it is."""
LEFT_OUT = frozenset(
    ("__pycache__", "node_modules", "site-packages", "build", "dist", "venv", "env")
)
PART = re.compile(r"[\w][\w .+@-]{0,127}")
"""One part of a file's name, as it may be written here."""

Stamp = tuple[int, int, int]


@attrs.frozen
class Found:
    """A file of the folder."""

    name: str
    """Within the folder, with slashes."""
    path: Path
    stamp: Stamp
    """Another one: another content."""


class Folder:
    """A folder of the settings.

    Args:
        path: where it is.
        suffixes: of its files.
        belongs: whether the beginning of a file looks like one of them.
    """

    def __init__(
        self,
        path: str,
        suffixes: tuple[str, ...],
        belongs: Callable[[bytes], bool],
    ) -> None:
        self.base = Path(path).expanduser().resolve()
        self.suffixes = suffixes
        self._belongs = belongs
        self._known: dict[tuple[str, Stamp], bool] = {}

    def files(self) -> list[Found]:
        """Those that belong here, by name."""
        found = []
        for path in self._walk():
            with suppress(OSError):
                stamp = stamp_of(path)
                name = path.relative_to(self.base).as_posix()
                if self._is_one(path, name, stamp):
                    found.append(Found(name, path, stamp))
            if len(found) >= MOST:
                break
        return sorted(found, key=lambda one: one.name.lower())

    def _walk(self) -> Iterator[Path]:
        looked = 0
        for folder, folders, names in os.walk(self.base):
            deep = len(Path(folder).relative_to(self.base).parts)
            folders[:] = sorted(
                one
                for one in folders
                if deep < DEPTH
                and not one.startswith(".")
                and one not in LEFT_OUT
                and not os.path.exists(os.path.join(folder, one, "pyvenv.cfg"))
            )
            for name in sorted(names):
                looked += 1
                if looked > LOOKED:
                    return
                if name.endswith(self.suffixes) and not name.startswith("."):
                    yield Path(folder) / name

    def _is_one(self, path: Path, name: str, stamp: Stamp) -> bool:
        if not path.resolve().is_relative_to(self.base) or not path.is_file():
            return False
        known = self._known.get((name, stamp))
        if known is None:
            with path.open("rb") as file:
                known = self._belongs(file.read(HEAD))
            if len(self._known) > LOOKED:
                self._known.clear()
            self._known[name, stamp] = known
        return known

    def find(self, name: str) -> Found:
        """A file that is there. Raises Problem (404)."""
        path = self.place(name)
        try:
            if path.is_file():
                found = path.relative_to(self.base).as_posix(), path, stamp_of(path)
                if self._is_one(path, *found[::2]):
                    return Found(*found)
        except OSError:
            pass
        raise Problem(404, "unknown-name", f"there is no file '{name[:200]}' in {self.base}")

    def place(self, name: str) -> Path:
        """Where a file of this name would be. Raises Problem: outside, or no such name."""
        parts = name.split("/")
        bad = not name.endswith(self.suffixes) or len(parts) > DEPTH + 1
        if bad or not all(PART.fullmatch(one) for one in parts):
            raise Problem(
                404, "unknown-name",
                f"'{name[:200]}' cannot be the name of a file here: letters, digits, '-', '_', '.' "
                f"and {' or '.join(self.suffixes)} at its end",
                pointer="/name",
            )  # fmt: skip
        path = (self.base / name).resolve()
        if not path.is_relative_to(self.base):
            raise Problem(404, "unknown-name", f"'{name[:200]}' lies outside of {self.base}")
        return path

    # ---- writing

    def write(self, name: str, text: str, digest: str | None) -> str:
        """Write a file whole; gives its new digest.

        Args:
            name: within the folder.
            text: all of it.
            digest: of what was read before; None for a file that is new.

        Raises Problem: 409, it is there already, or has changed meanwhile.
        """
        path = self.place(name)
        if not path.parent.is_dir():
            where = path.parent.relative_to(self.base)
            raise Problem(409, "not-possible", f"there is no folder '{where}' in {self.base}")
        try:
            data = text.encode()
        except UnicodeEncodeError:
            raise Problem(422, "not-allowed", "this text is no Unicode") from None
        try:
            if digest is None:
                with open(path, "xb") as file:
                    file.write(data)
                return digest_of(data)
            if not path.exists():
                raise Problem(
                    409, "changed", f"{name} was deleted meanwhile: save it as a new file"
                )
            if digest_of(path.read_bytes()) != digest:
                raise Problem(
                    409, "changed", f"{name} was changed by somebody else since you opened it"
                )
            _replace(path, data)
        except FileExistsError:
            raise Problem(
                409, "name-taken", f"there is a file '{name}' already: choose another name",
                pointer="/name",
            ) from None  # fmt: skip
        except OSError as error:
            raise Problem(
                409, "not-written", f"{name} cannot be written: {error.strerror}"
            ) from error
        return digest_of(data)


def _replace(path: Path, data: bytes) -> None:
    """All or nothing, with the rights that the file had."""
    mode = path.stat().st_mode & 0o777
    handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def stamp_of(path: Path) -> Stamp:
    """When it was changed, its size and number."""
    about = path.stat()
    return about.st_mtime_ns, about.st_size, about.st_ino


def digest_of(data: bytes) -> str:
    """What a reader shows to say which content it means."""
    return hashlib.sha256(data).hexdigest()[:24]
