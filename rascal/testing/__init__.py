"""Faults in functional tests: a proxy to point the code under test at, and faults for a block.

    from rascal.testing import proxy

    @pytest.fixture(scope="session")
    def db():
        with proxy("mysql", upstream="127.0.0.1:3306") as db:
            yield db

    def test_a_deadlock_is_retried(db):
        with db.script("pass, error(deadlock), pass", match="statement=UPDATE") as script:
            assert checkout(db.address, order=1) == "paid"
        script.verify()                                # every step was used

    def test_the_page_does_not_wait(db):
        with db.fault("hang match statement=SELECT") as hang:
            assert price_of(db.address, item=7, deadline=0.5).stale

Plain context managers, for pytest, unittest and trial; `async with` does the same in asyncio and in
Twisted. The proxies run in a child process, so that code that blocks works; the first proxy starts
it, and it ends with this process. With RASCAL_URL they are those of a service that runs elsewhere.

This module is also the pytest plugin: a failing test's report shows the last exchanges and what
struck them, and `@pytest.mark.rascal("db", "delay 2s")` puts a fault on the fixture `db`.
Importing it imports neither pytest nor Twisted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rascal.testing._blocks import AsyncFault, Block, Fault
    from rascal.testing._errors import FaultMissed, NodeError, NotYet
    from rascal.testing._proxy import Address, Proxy, proxy

HOMES = {
    "Address": "_proxy",
    "AsyncFault": "_blocks",
    "Block": "_blocks",
    "Fault": "_blocks",
    "FaultMissed": "_errors",
    "NodeError": "_errors",
    "NotYet": "_errors",
    "Proxy": "_proxy",
    "proxy": "_proxy",
}
"""Where the public names are; they are imported when they are asked for, so that a session that
does not use them pays nothing."""


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)


def pytest_configure(config: Any) -> None:
    """Be a plugin of pytest."""
    from rascal.testing import _plugin

    config.pluginmanager.register(_plugin, "rascal-testing")


__all__ = [
    "Address",
    "AsyncFault",
    "Block",
    "Fault",
    "FaultMissed",
    "NodeError",
    "NotYet",
    "Proxy",
    "proxy",
]
