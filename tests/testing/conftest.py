"""A site and a proxy in front of it, once for all tests of this folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rascal.testing import Proxy, proxy

sys.path.insert(0, str(Path(__file__).parent))

from site_thread import Site, running


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    with running() as site:
        yield site


@pytest.fixture(scope="session")
def web(site: Site) -> Iterator[Proxy]:
    with proxy("http", upstream=site.upstream, name="web") as web:
        yield web
