"""The suites of redis-py, pymemcache and PyMySQL give the same results through a proxy as direct.

Both ways run at once, each against a server of its own. What differs then is run once more each
way, alone, for some of their tests hang on time; what differs again is a finding.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from harness import running
from memcached_server import MEMCACHED, memcached
from mysql_servers import mariadb, mariadb_missing, mysql, mysql_missing
from redis_servers import REDIS, redis_server
from suites import PYMEMCACHE, PYMYSQL, Outcomes, Suite
from suites import REDIS as REDIS_PY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2700)]
Start = Callable[[Path], contextlib.AbstractContextManager[int]]

MAY_DIFFER: dict[str, str] = {}
"""Tests whose outcome may differ through a proxy, and why: what a proxy cannot but change."""


@contextlib.contextmanager
def a_redis(folder: Path) -> Iterator[int]:
    with redis_server(folder, "--enable-debug-command", "yes") as port:
        yield port


@contextlib.contextmanager
def a_memcached(folder: Path) -> Iterator[int]:
    with memcached() as server:
        yield server.port


def a_database(start: Any, *options: str) -> Start:
    @contextlib.contextmanager
    def begin(folder: Path) -> Iterator[int]:
        import pymysql

        folder.mkdir(parents=True)
        with start(folder, "--local-infile=1", *options) as server:
            with pymysql.connect(unix_socket=server.socket, user="root") as root:
                for name in ("test1", "test2"):
                    root.cursor().execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
            yield server.port

    return begin


@contextlib.contextmanager
def proxied(folder: Path, protocol: str, start: Start, least: int) -> Iterator[int]:
    """A server behind a proxy, which must have understood all that went through."""
    with start(folder / "server") as port:
        ini = f"[proxy:p]\nprotocol = {protocol}\nlisten = 127.0.0.1:0\n"
        with running(folder / "proxy", f"{ini}upstream = 127.0.0.1:{port}\n") as node:
            yield node.port("p")
            counts = node.control.counters()["p"]
            assert counts["connections"] >= least
            assert (counts["desyncs"], counts["raw"]) == (0, 0), counts


def both(
    suite: Suite, protocol: str, start: Start, folder: Path, only: set[str] | None = None
) -> tuple[Outcomes, Outcomes]:
    """Direct and through a proxy, at once; alone if only some are to run."""
    suite.python()
    with (
        start(folder / "direct") as port,
        proxied(folder, protocol, start, 0 if only else 50) as through,
        ThreadPoolExecutor(1 if only else 2) as pool,
    ):
        direct = pool.submit(suite.run, folder / "direct-suite", port, only or ())
        proxy = pool.submit(suite.run, folder / "proxied-suite", through, only or ())
        return direct.result(), proxy.result()


def differing(direct: Outcomes, through: Outcomes) -> dict[str, tuple[Any, Any]]:
    names = sorted({*direct, *through})
    pairs = {name: (direct.get(name), through.get(name)) for name in names}
    return {
        name: pair for name, pair in pairs.items() if pair[0] != pair[1] and name not in MAY_DIFFER
    }


def compare(
    suite: Suite, protocol: str, start: Start, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    direct, through = both(suite, protocol, start, folder / "first")
    found = differing(direct, through)
    if found:
        again = both(suite, protocol, start, folder / "again", only=set(found))
        found = differing(*again)
    passed = sum(outcome == "passed" for outcome in through.values())
    with capsys.disabled():
        print(f"\n{suite.library}: {passed} of {len(through)} pass, direct and through the proxy")
    assert passed >= suite.least
    assert not found, "\n".join(f"{name}: {pair}" for name, pair in found.items())


@pytest.mark.skipif(not REDIS, reason="redis-server is not installed")
def test_redis_py(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare(REDIS_PY, "redis", a_redis, tmp_path, capsys)


@pytest.mark.skipif(not MEMCACHED, reason="memcached is not installed")
def test_pymemcache(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare(PYMEMCACHE, "memcached", a_memcached, tmp_path, capsys)


@pytest.mark.skipif(bool(mariadb_missing()), reason=mariadb_missing())
def test_pymysql_with_mariadb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare(PYMYSQL, "mysql", a_database(mariadb), tmp_path, capsys)


@pytest.mark.skipif(bool(mysql_missing()), reason=mysql_missing())
def test_pymysql_with_mysql(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare(PYMYSQL, "mysql", a_database(mysql), tmp_path, capsys)
