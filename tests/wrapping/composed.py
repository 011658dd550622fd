"""Projects for the tests of wrapping: read from a text, planned, written, read again."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rascal.config import installed
from rascal.wrapping.composing import Wish, compose_text
from rascal.wrapping.planning import plan
from rascal.wrapping.plans import Wrap
from rascal.wrapping.reading import Source, read_project
from rascal.wrapping.shapes import Project, shape
from rascal.wrapping.yamlfile import plain, read

NAME = "docker-compose.yml"


def written(folder: Path, text: str, name: str = NAME) -> str:
    """The path of a file with that text."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return str(path)


def source_of(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Source:
    """What is read of one file."""
    return read_project([written(folder, text)], environ or {})


def project_of(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Project:
    """The services of one file."""
    return shape(source_of(folder, text, environ))


def plan_of(folder: Path, text: str, **wishes: Any) -> Wrap:
    """The plan for one file."""
    return plan(project_of(folder, text), installed().protocols, **wishes)


def top_of(found: Wrap, **wishes: Any) -> Any:
    """The new Compose file, as plain data."""
    return plain(read(compose_text(found, Wish(**wishes), ""), "new.yml"))


def wrapped(folder: Path, text: str, **wishes: Any) -> Any:
    """The new Compose file for one file, as plain data."""
    return top_of(plan_of(folder, text), **wishes)
