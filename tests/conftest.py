"""The reactor of the tests, the guard against what they leave behind, and marks by folder."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

MARKED = ("integration", "simulation", "systems", "browser")
"""Folders whose tests carry their name as a mark."""

# No deadline: a busy machine is no finding. In CI the examples are the same each time.
settings.register_profile(
    "rascal",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("rascal")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Install Rascal's reactor before pytest-twisted looks for one, unless another is asked for."""
    if config.getoption("reactor") == "default":
        from rascal.reactor import install_unless_loaded

        install_unless_loaded()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their folder."""
    for item in items:
        folder = item.path.relative_to(HERE).parts[0] if item.path.is_relative_to(HERE) else ""
        if folder in MARKED:
            item.add_marker(folder)


@pytest.fixture(autouse=True)
def logged_failures(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Fail a test that leaves something in the reactor or logs a failure that it did not flush.

    A test that provokes a failure takes this fixture and calls `flush(SomeError)`.
    """
    from guard import PATIENCE, Contents, watching
    from pytest_twisted import blockon
    from twisted.internet import reactor
    from twisted.internet.task import deferLater

    before = Contents(reactor)
    with watching() as failures:
        yield failures
        left = Contents(reactor).beyond(before)
        deadline = reactor.seconds() + PATIENCE  # type: ignore[attr-defined]
        while left and reactor.seconds() < deadline:  # type: ignore[attr-defined]
            blockon(deferLater(reactor, 0.005))  # type: ignore[arg-type]
            left = Contents(reactor).beyond(before)
        if hasattr(getattr(request.node, "obj", None), "_pytest_twisted_mark"):
            gc.collect()  # a Deferred whose failure nobody took logs it when it goes
    problems = [f"left in the reactor: {one}" for one in left]
    problems += [f"logged: {text}" for text in failures.texts()]
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.fixture(autouse=True, scope="module")
def _nothing_lost() -> Iterator[None]:
    """Fail the module in which a Deferred lost its failure, where no test could be named."""
    from guard import watching

    with watching() as failures:
        yield
        before = len(failures.found)
        gc.collect()
        lost = failures.texts()[before:]
    if lost:
        pytest.fail("lost in this module:\n" + "\n".join(lost), pytrace=False)
