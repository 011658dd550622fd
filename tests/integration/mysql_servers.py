"""Real MySQL and MariaDB servers for tests: each in a folder of its own, on a free port.

    with mariadb(tmp_path) as server:
        server.port, server.socket, server.version

MySQL is that of script/get-mysql; where it has not been fetched, `mysql_missing()` says so.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

PATIENCE = 90.0
PASSWORD = "secret"


@dataclass(frozen=True)
class Server:
    """One that runs. root and plain have no password; `user` has PASSWORD."""

    kind: str
    port: int
    socket: str
    folder: pathlib.Path
    process: subprocess.Popen[bytes]
    user: str = "shop"
    password: str = PASSWORD

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")


def mysql_folder() -> pathlib.Path:
    """Where script/get-mysql puts the server."""
    given = os.environ.get("RASCAL_MYSQL")
    if given:
        return pathlib.Path(given)
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(cache) / "rascal" / "mysql"


def mysql_missing() -> str:
    """Why there is no MySQL; empty: there is."""
    if (mysql_folder() / "bin" / "mysqld").exists():
        return ""
    return f"no MySQL in {mysql_folder()}; script/get-mysql fetches it"


def mariadb_missing() -> str:
    """Why there is no MariaDB; empty: there is."""
    if shutil.which("mariadbd") and shutil.which("mariadb-install-db"):
        return ""
    return "mariadbd is not installed"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _as_root() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []


@contextlib.contextmanager
def mariadb(folder: pathlib.Path, *options: str) -> Iterator[Server]:
    """A MariaDB in `folder`, with further options of mariadbd."""
    data = folder / "mariadb"
    data.mkdir(parents=True)
    subprocess.run(
        [
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={data}/data",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
            *_as_root(),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    words = [shutil.which("mariadbd") or "mariadbd", "--no-defaults", "--innodb-log-file-size=8M"]
    with _running("mariadb", words, data, "--plugin-maturity=beta", *options) as server:
        yield server


@contextlib.contextmanager
def mysql(folder: pathlib.Path, *options: str) -> Iterator[Server]:
    """A MySQL in `folder`, with further options of mysqld."""
    data = folder / "mysql"
    data.mkdir(parents=True)
    program = str(mysql_folder() / "bin" / "mysqld")
    made = subprocess.run(
        [
            program,
            "--no-defaults",
            "--initialize-insecure",
            f"--datadir={data}/data",
            "--innodb-redo-log-capacity=8M",
            *_as_root(),
        ],
        capture_output=True,
    )
    assert made.returncode == 0, made.stderr.decode(errors="replace")
    words = [program, "--no-defaults", "--mysqlx=OFF", "--innodb-redo-log-capacity=8M"]
    with _running(
        "mysql",
        words,
        data,
        "--performance-schema=OFF",
        "--local-infile=ON",
        "--skip-log-bin",
        *options,
    ) as server:
        yield server


@contextlib.contextmanager
def _running(kind: str, words: list[str], data: pathlib.Path, *options: str) -> Iterator[Server]:
    port = _free_port()
    path = f"/tmp/rascal-{os.getpid()}-{port}.sock"  # a socket's path is short
    log = (data / "log").open("wb")
    process = subprocess.Popen(
        [
            *words,
            f"--datadir={data}/data",
            f"--port={port}",
            f"--socket={path}",
            "--bind-address=127.0.0.1",
            f"--pid-file={data}/pid",
            "--secure-file-priv=",
            "--innodb-buffer-pool-size=16M",
            "--skip-name-resolve",
            *_as_root(),
            *options,
        ],
        stdout=log,
        stderr=log,
    )
    server = Server(kind, port, path, data, process)
    try:
        _wait(server)
        yield server
    finally:
        process.kill()
        process.wait()
        log.close()
        for left in (path, path + ".lock"):
            with contextlib.suppress(OSError):
                os.unlink(left)


def _greets(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PATIENCE)
        with contextlib.suppress(OSError):
            probe.connect(path)
            return bool(probe.recv(1))
    return False


def _wait(server: Server) -> None:
    """Until it lets root in; then make the user."""
    import pymysql

    end = time.monotonic() + PATIENCE
    while True:
        assert server.process.poll() is None, server.log
        assert time.monotonic() < end, "the server is not ready\n" + server.log
        if _greets(server.socket):
            break
        time.sleep(0.05)
    root = pymysql.connect(unix_socket=server.socket, user="root")
    with root, root.cursor() as cursor:
        for host in ("127.0.0.1", "localhost"):
            cursor.execute(f"CREATE USER {server.user}@'{host}' IDENTIFIED BY '{server.password}'")
            cursor.execute(f"GRANT ALL ON *.* TO {server.user}@'{host}' WITH GRANT OPTION")
            cursor.execute(f"CREATE USER plain@'{host}' IDENTIFIED BY ''")
            cursor.execute(f"GRANT ALL ON *.* TO plain@'{host}' WITH GRANT OPTION")
        cursor.execute("CREATE DATABASE shop")
