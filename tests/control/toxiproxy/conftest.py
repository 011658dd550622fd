"""A node that listens nowhere and its compatible API."""

from __future__ import annotations

from typing import Any

import pytest
from toxi_asking import INI, ToxiAsker


@pytest.fixture
def settings() -> str:
    """Further options of [rascal]."""
    return ""


@pytest.fixture
def ini(settings: str) -> str:
    return INI.format(settings=settings)


@pytest.fixture
def toxi(node: Any) -> ToxiAsker:
    from rascal.control._site import make_site

    return ToxiAsker(make_site(node, reactor=node.reactor))
