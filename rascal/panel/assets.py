"""The panel's static files and templates: read once, known by a digest of them all."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from rascal import __version__
from rascal.panel.compressed import shortened

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
}
_IMPORT = re.compile(r"""^(?:import|export)[^";]*?"(\.[^"\n]+)";""", re.MULTILINE)
FOR_EVER, ANEW = "public, max-age=31536000, immutable", "no-cache"


@cache
def known() -> dict[str, bytes]:
    """Every static file, by its name under static/."""
    found: dict[str, bytes] = {}
    _collect(files("rascal.panel") / "static", "", found)
    return found


def _collect(folder: Any, prefix: str, found: dict[str, bytes]) -> None:
    for one in folder.iterdir():
        if one.is_dir():
            _collect(one, f"{prefix}{one.name}/", found)
        elif not one.name.startswith("."):
            found[prefix + one.name] = one.read_bytes()


@cache
def short(name: str) -> bytes:
    """A file as gzip."""
    return shortened(known()[name], 9)


@cache
def stamp() -> str:
    """A short digest of all static files: part of their addresses, so caches may keep them."""
    digest = hashlib.sha256()
    for name, data in sorted(known().items()):
        digest.update(name.encode() + data)
    return digest.hexdigest()[:12]


@cache
def imports(name: str) -> tuple[str, ...]:
    """The modules that a module needs, its own included: pages ask for all of them at once, where
    a browser would find them one behind the other."""
    found: dict[str, None] = {}

    def follow(one: str) -> None:
        if one in found or one not in known():
            return
        found[one] = None
        for path in _IMPORT.findall(known()[one].decode()):
            follow(posixpath.normpath(posixpath.join(posixpath.dirname(one), path)))

    follow(name)
    return tuple(found)


def asked(path: str) -> tuple[str, str, str]:
    """Name, type and how long it may be kept, of what stands behind /static/; no name: none."""
    prefix = f"{stamp()}/"
    name = path.removeprefix(prefix)
    if name not in known():
        return "", "", ""
    kind = TYPES.get("." + name.rpartition(".")[2], "application/octet-stream")
    return name, kind, FOR_EVER if path.startswith(prefix) else ANEW


def environment(sections: Sequence[tuple[str, str]]) -> Environment:
    """The templates; `sections` are what the bar leads to."""
    made = Environment(
        loader=PackageLoader("rascal.panel"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"sections": sections, "version": __version__, "imports": imports}
    return made
