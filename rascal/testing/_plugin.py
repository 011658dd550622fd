"""The hooks of the pytest plugin.

collection  the fixture that a mark names is set up, whether or not the test takes it
call        the faults of the marks stand around the test itself, not around its fixtures
report      of a failing test: the last exchanges of every open proxy, and what struck them
the end     the child process is ended
"""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import ExitStack
from typing import Any

import pytest

from rascal.errors import ConfigError, RascalError

MARK = (
    "rascal(fixture, fault, ..., script=None, **clauses): put faults on the proxy that the fixture "
    "gives, while the test runs; seed=7 and may_miss=True as for Proxy.fault"
)
SECTION = "rascal"

BEGAN: pytest.StashKey[float] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", MARK)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A fixture that a mark names is one of the test's."""
    for item in items:
        names = getattr(item, "fixturenames", None)
        if names is None:
            continue
        for mark in item.iter_markers("rascal"):
            if mark.args and isinstance(mark.args[0], str) and mark.args[0] not in names:
                names.append(mark.args[0])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """The report tells what happened from here on."""
    item.stash[BEGAN] = time.time()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Put the faults of the marks around the test."""
    __tracebackhide__ = True
    marks = list(item.iter_markers("rascal"))
    if not marks:
        return (yield)
    from rascal.testing import FaultMissed

    stack = ExitStack()
    wrong = ""
    try:
        standing = [stack.enter_context(_block(item, mark)) for mark in reversed(marks)]
    except RascalError as error:
        stack.__exit__(*sys.exc_info())
        notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
        wrong = f"@pytest.mark.rascal: {error}{notes}"
    if wrong:
        pytest.fail(wrong, pytrace=False)
    try:
        found = yield
    except BaseException:
        stack.__exit__(*sys.exc_info())
        raise
    try:
        stack.close()
        for one in standing:
            if one.collection == "scripts":
                one.verify()
    except FaultMissed as error:
        wrong = str(error)
    if wrong:
        pytest.fail(wrong, pytrace=False)
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Show what the proxies saw."""
    made = yield
    if made.failed:
        text = _report(item.stash.get(BEGAN, 0.0))
        if text:
            made.sections.append((SECTION, text))
    return made


def pytest_unconfigure() -> None:
    """End the child process."""
    used = sys.modules.get("rascal.testing._node")
    if used is not None:
        used.close_nodes()


def _block(item: pytest.Item, mark: pytest.Mark) -> Any:
    """What a mark asks for. Raises ConfigError."""
    if not mark.args or not isinstance(mark.args[0], str):
        raise ConfigError('name the fixture and a fault: rascal("db", "delay 2s")')
    name, *sentences = mark.args
    given = dict(mark.kwargs)
    target: Any = getattr(item, "funcargs", {}).get(name)
    if not hasattr(target, "fault") or not hasattr(target, "script"):
        what = type(target).__name__
        raise ConfigError(f"the fixture '{name}' gives no proxy of rascal.testing but {what}")
    if "script" in given and not sentences:
        return target.script(given.pop("script"), **given)
    if len(sentences) != 1:
        raise ConfigError(f"'{name}' takes one fault, or script=; several are several marks")
    return target.fault(sentences[0], **given)


def _report(since: float) -> str:
    """What the proxies of this process saw; nothing if there are none."""
    used = sys.modules.get("rascal.testing._node")
    if used is None:
        return ""
    from rascal.testing import _report as report

    return report.report(used.known_nodes(), since)
