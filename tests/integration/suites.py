"""The suites of client libraries, as their authors publish them, run against any server.

Each is fetched by pip into a cache folder ($XDG_CACHE_HOME/rascal/suites) and runs in an
environment of its own there, with the version of the library that is installed here. A suite
whose parts cannot be had is skipped with the reason.

PyMySQL has not published its tests since 0.7: those of 0.7.11 run with today's library, and what
has changed since fails direct as well as through a proxy.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rascal" / "suites"
Outcomes = dict[str, str]
"""By the name of the test: passed, failure, error, skipped."""


@dataclass(frozen=True)
class Suite:
    """One suite.

    Attributes:
        library: whose it is.
        needs: what pip installs beside it.
        lay_out: puts the tests into a folder.
        arguments: of pytest, for a server on this port; called with folder and port.
        least: so many tests pass, or something has gone wrong on the way.
    """

    library: str
    needs: tuple[str, ...]
    lay_out: Callable[[Path, Path], None]
    arguments: Callable[[Path, int], list[str]]
    least: int

    @property
    def cache(self) -> Path:
        return CACHE / f"{self.library}-{version(self.library)}"

    def python(self) -> Path:
        """The interpreter of its environment, which is made if it is not there."""
        folder = self.cache / "environment"
        done = folder / "complete"
        found = folder / "bin" / "python"
        if not done.exists():
            folder.mkdir(parents=True, exist_ok=True)
            _run([sys.executable, "-m", "venv", "--clear", str(folder)], "no environment")
            wanted = [f"{self.library}=={version(self.library)}", "pytest", "pytest-timeout"]
            _run(
                [str(found), "-m", "pip", "install", "-q", *wanted, *self.needs],
                "the registry of packages cannot be had",
            )
            done.touch()
        return found

    def run(self, folder: Path, port: int, only: Iterable[str] = ()) -> Outcomes:
        """Run it against the server on this port; what became of each test."""
        python = self.python()
        folder.mkdir(parents=True)
        self.lay_out(self.cache, folder)
        words = [str(python), "-m", "pytest", "-q", "-W", "ignore", "-p", "no:cacheprovider"]
        words += ["-o", "addopts=", "-o", "junit_family=xunit1", "--junitxml=outcomes.xml"]
        words += ["--rootdir=.", *self.arguments(folder, port)]
        chosen = list(only)
        if chosen:
            (folder / "only_these.py").write_text(_ONLY.format(names=chosen), "utf-8")
            words += ["-p", "only_these"]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
        with (folder / "output").open("wb") as output:
            subprocess.run(
                words,
                cwd=folder,
                env=environment | {"PYTHONPATH": str(folder)},
                stdout=output,
                stderr=output,
                timeout=1200,
            )
        file = folder / "outcomes.xml"
        assert file.exists(), (folder / "output").read_text(errors="replace")[-5000:]
        return dict(_outcomes(file))


_ONLY = """
def pytest_collection_modifyitems(config, items):
    names = {names!r}
    gone = [one for one in items if one.nodeid not in names]
    config.hook.pytest_deselected(items=gone)
    items[:] = [one for one in items if one.nodeid in names]
"""


def _outcomes(file: Path) -> Iterable[tuple[str, str]]:
    for case in ElementTree.parse(file).getroot().iter("testcase"):
        path, module = case.get("file") or "", (case.get("file") or "").removesuffix(".py")
        # the name of a class stands behind that of the module
        inner = (case.get("classname") or "").removeprefix(module.replace("/", ".")).strip(".")
        parts = (path, inner.replace(".", "::"), case.get("name") or "")
        name = "::".join(part for part in parts if part)
        found = [one.tag for one in case if one.tag in ("failure", "error", "skipped")]
        yield name, found[0] if found else "passed"


def _run(words: list[str], otherwise: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=900)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line]
        pytest.skip(f"{otherwise}: {(lines or ['no reason'])[-1]}")


def _fetched(cache: Path, requirement: str, *options: str) -> Path:
    """The archive of a distribution. Skips if it cannot be had."""
    folder = cache / "archives"
    name, _, number = requirement.partition("==")

    def here() -> list[Path]:
        return [
            one
            for one in folder.glob("*")
            if one.name.lower().startswith(
                (f"{name.lower()}-{number}.tar", f"{name.lower()}-{number}-")
            )
        ]

    if not here():
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
        _run([*pip, *options, requirement], f"{requirement} cannot be had")
    return here()[0]


def _sdist(cache: Path, library: str) -> Path:
    return _fetched(cache, f"{library}=={version(library)}", "--no-binary", ":all:")


def _unpack(archive: Path, folder: Path, *, strip: str, under: tuple[str, ...]) -> None:
    """Those members of a tar that lie under these paths, without the folder that it has on top."""
    with tarfile.open(archive) as tar:
        for member in tar:
            path = member.name.partition("/")[2]
            if member.isfile() and path.startswith(under):
                target = folder / path.removeprefix(strip)
                target.parent.mkdir(parents=True, exist_ok=True)
                found = tar.extractfile(member)
                assert found is not None
                target.write_bytes(found.read())


# ---- redis-py ------------------------------------------------------------------------------------

_BOTH = (
    *("commands", "pipeline", "pubsub", "encoding", "lock", "monitor", "scripting", "hash"),
    *("connection_pool", "connection", "keyspace_notifications"),
)
_ALONE = ("function", "cache", "multiprocessing", "retry", "client", "command_parser")
_ELSEWHERE = (
    *("onlycluster", "redismod", "ssl", "replica"),
    *("cp_integration", "multidb_integration"),
)
"""Marks of tests that want another set-up than one plain server."""


def _redis(cache: Path, folder: Path) -> None:
    _unpack(_sdist(cache, "redis"), folder, strip="", under=("tests/", "pyproject.toml"))


def _redis_arguments(folder: Path, port: int) -> list[str]:
    files = [f"tests/test_{name}.py" for name in (*_BOTH, *_ALONE)]
    files += [f"tests/test_asyncio/test_{name}.py" for name in _BOTH]
    marks = " and ".join(f"not {mark}" for mark in _ELSEWHERE)
    url = f"--redis-url=redis://127.0.0.1:{port}/9"
    return [
        *(one for one in files if (folder / one).exists()),
        "-o",
        "log_cli=false",
        url,
        "-m",
        marks,
    ]


REDIS = Suite(
    "redis",
    ("pytest-asyncio", "numpy", "pybreaker", "xxhash", "cryptography"),
    _redis,
    _redis_arguments,
    1500,
)

# ---- pymemcache ----------------------------------------------------------------------------------


def _pymemcache(cache: Path, folder: Path) -> None:
    archive = _sdist(cache, "pymemcache")
    _unpack(archive, folder, strip="pymemcache/", under=("pymemcache/test/",))


def _pymemcache_arguments(folder: Path, port: int) -> list[str]:
    return ["test", "--server=127.0.0.1", f"--port={port}", "-m", "integration"]


PYMEMCACHE = Suite("pymemcache", ("Faker", "zstd"), _pymemcache, _pymemcache_arguments, 90)

# ---- PyMySQL -------------------------------------------------------------------------------------

_LAST = "PyMySQL==0.7.11"
_ROWS = 22749
"""Rows of the file that its tests of LOCAL INFILE load; the files themselves are not published."""


def _pymysql(cache: Path, folder: Path) -> None:
    wheel = _fetched(cache, _LAST)
    (library,) = (cache / "environment" / "lib").glob("python*/site-packages/pymysql")
    target = folder / "pymysql"
    target.mkdir()
    for one in library.rglob("*.py"):
        copy = target / one.relative_to(library)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(one.read_bytes())
    with zipfile.ZipFile(wheel) as archive:
        old = [name for name in archive.namelist() if name.startswith("pymysql/tests/")]
        archive.extractall(folder, [*old, "pymysql/_compat.py", "pymysql/util.py"])
    (folder / "unittest2.py").write_text("from unittest import *\n", "utf-8")
    data = target / "tests" / "data"
    data.mkdir()
    (data / "load_local_data.txt").write_text("".join(f"{n},{n}\n" for n in range(_ROWS)), "utf-8")
    (data / "load_local_warn_data.txt").write_text("1,\n2,x\n3,3,3\n", "utf-8")


def _pymysql_arguments(folder: Path, port: int) -> list[str]:
    where = {"host": "127.0.0.1", "port": port, "user": "plain", "passwd": "", "local_infile": True}
    multi = {"client_flag": 1 << 16}  # MULTI_STATEMENTS, which was always on in 0.7
    databases = [where | multi | {"db": name} for name in ("test1", "test2")]
    file = folder / "pymysql" / "tests" / "databases.json"
    file.write_text(json.dumps(databases), "utf-8")
    return ["pymysql/tests", "--ignore=pymysql/tests/__init__.py"]


PYMYSQL = Suite("PyMySQL", ("cryptography",), _pymysql, _pymysql_arguments, 130)
