"""A real node that listens nowhere, and its API asked in memory.

What chooses a reactor is imported late: this file is read before the tests' reactor is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import INI, Answer
from documented import Documented


@pytest.fixture
def ini() -> str:
    """The configuration; a module may have its own."""
    return INI


@pytest.fixture
def file(tmp_path: Path, ini: str) -> Path:
    path = tmp_path / "proxies.ini"
    path.write_text(ini, encoding="utf-8")
    return path


@pytest.fixture
def node(file: Path) -> Iterator[Any]:
    """A node whose proxies do not listen."""
    from twisted.internet.task import Clock

    from rascal.config import difference, load
    from rascal.proxy.node import Node

    clock = Clock()

    def read() -> Any:
        return load(str(file), {})

    made = Node(read(), clock, read=read, compare=difference)
    yield made
    made.hangups.close()


@pytest.fixture
def ask(node: Any) -> Callable[..., Answer]:
    from rascal.control._site import make_site

    return Documented(make_site(node, reactor=node.reactor))
