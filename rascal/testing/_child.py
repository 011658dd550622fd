"""The process in which the proxies of a test session live: `python -m rascal.testing._child`.

    parent ── starts it ──► {"url": "unix:/…", "seed": 42} on its standard output: it is ready
           ── HTTP over the UNIX socket (else 127.0.0.1) ──► the control API, all of it
           ── closes its standard input, or dies ──► it leaves

It never outlives its parent. The kernel closes standard input when the parent dies, however it
dies; should somebody else have kept the other end of it (a process forked off the parent), it
sees that it has another parent now.

Every exchange is seen here, not only a sample, so that a failing test can show them.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import sys
from collections.abc import Callable
from typing import Any

PARENT_EVERY = 0.5
"""Seconds between two looks at whose child this is."""

WATCHED = 10_000_000.0
"""Seconds for which exchanges are seen: longer than any session."""

KEPT = 200
"""Exchanges kept for each proxy."""


def main(argv: list[str]) -> None:
    """Run until standard input closes."""
    parser = argparse.ArgumentParser(prog="rascal.testing._child")
    parser.add_argument("--socket", help="path of the UNIX socket; without it a port of 127.0.0.1")
    parser.add_argument("--folder", help="what to delete in the end; the parent may have no time")
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args(argv)
    parent = os.getppid()

    from rascal.reactor import install_unless_loaded

    install_unless_loaded()
    from twisted.internet import reactor

    _log_to_stderr()
    node, url = _serve(reactor, given.socket, given.seed)
    _leave_with_parent(reactor, parent, given.folder)
    print(json.dumps({"url": url, "seed": node.seed}), flush=True)
    gc.collect()
    gc.freeze()
    running: Any = reactor
    running.run(installSignalHandlers=True)
    _clean(given.folder)


def _serve(reactor: Any, path: str | None, seed: int | None) -> tuple[Any, str]:
    """A node without proxies, and the URL of its control API."""
    from rascal.config import Configuration
    from rascal.control import make_site
    from rascal.language import Address
    from rascal.proxy.node import Node

    address = Address("unix", path=path) if path else Address("tcp", "127.0.0.1", 0)
    node = Node(Configuration(control=address, seed=seed, recent=KEPT), reactor)
    node.listen(_see_everything)
    node.open()
    site = make_site(node)
    if path:
        port = reactor.listenUNIX(path, site, mode=0o600)
        url = f"unix:{path}"
    else:
        port = reactor.listenTCP(0, site, interface="127.0.0.1")
        url = f"http://127.0.0.1:{port.getHost().port}"
    node.start()
    reactor.addSystemEventTrigger("before", "shutdown", port.stopListening)
    reactor.addSystemEventTrigger("before", "shutdown", node.stop)
    return node, url


def _see_everything(proxy: Any, what: str, about: Any) -> None:
    if what == "proxy-added":
        proxy.gate.watch(WATCHED)


def _clean(folder: str | None) -> None:
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


def _leave_with_parent(reactor: Any, parent: int, folder: str | None) -> None:
    from twisted.internet.stdio import StandardIO
    from twisted.internet.task import LoopingCall

    def look() -> None:
        if os.getppid() != parent:
            _clean(folder)
            os._exit(1)

    def leave() -> None:
        if reactor.running:  # not if a signal has stopped it already
            reactor.stop()

    StandardIO(_Stdin(leave), reactor=reactor)
    LoopingCall(look).start(PARENT_EVERY, now=False)


def _log_to_stderr() -> None:
    from twisted.logger import (
        FilteringLogObserver,
        LogLevel,
        LogLevelFilterPredicate,
        globalLogBeginner,
        textFileLogObserver,
    )

    threshold = LogLevelFilterPredicate(defaultLogLevel=LogLevel.warn)
    observer = FilteringLogObserver(textFileLogObserver(sys.stderr), [threshold])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False, discardBuffer=True)


class _Stdin:
    """Calls when standard input is closed; what is written to it means nothing."""

    def __init__(self, closed: Callable[[], None]) -> None:
        self._closed = closed

    def makeConnection(self, transport: Any) -> None:  # noqa: N802  (Twisted's name)
        """It is open."""

    def dataReceived(self, data: bytes) -> None:
        """Nothing."""

    def connectionLost(self, reason: Any) -> None:
        """The parent has gone, or wants us to go."""
        self._closed()


if __name__ == "__main__":
    main(sys.argv[1:])
