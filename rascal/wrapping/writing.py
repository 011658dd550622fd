"""Files to be written: all or none, and nothing that is there already unless it may be."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import attrs

from rascal.config.tokens import make_token
from rascal.errors import ConfigError, ConfigErrors


@attrs.frozen(kw_only=True)
class File:
    """One file that is to be."""

    path: Path
    text: str = attrs.field(repr=False)
    about: str = ""
    """What it is, for the person who reads along; "" for files that are not worth a line."""
    secret: bool = False
    """Whether nobody else may read it."""


def there(files: Sequence[File]) -> list[File]:
    """Those that exist already."""
    return [one for one in files if one.path.exists() or one.path.is_symlink()]


def write(files: Sequence[File], *, force: bool = False) -> None:
    """Write them. Raises ConfigErrors before anything is written, if one is there already."""
    if not force and (known := there(files)):
        raise ConfigErrors(
            [ConfigError(f"{one.path} is there already: --force to overwrite it") for one in known]
        )
    made: list[Path] = []
    try:
        for one in files:
            one.path.parent.mkdir(parents=True, exist_ok=True)
            _write(one)
            made.append(one.path)
    except OSError as error:
        if not force:
            for path in made:
                with suppress(OSError):
                    path.unlink()
        raise ConfigErrors(
            [ConfigError(f"{error.filename}: cannot be written: {error.strerror}")]
        ) from error


def _write(file: File) -> None:
    """At once as a whole; what others are to read can be read in a container, too."""
    mode = 0o600 if file.secret else 0o644
    beside = file.path.with_name(f".{file.path.name}.{os.getpid()}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            os.fchmod(out.fileno(), mode)  # whatever the umask says
            out.write(file.text)
        os.replace(beside, file.path)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise


def token_in(path: Path) -> str:
    """The token that stands there, or a new one."""
    with suppress(OSError, UnicodeDecodeError):
        found = path.read_text("ascii").strip()
        if len(found) >= 16 and found.isprintable() and " " not in found:
            return found
    return make_token()
