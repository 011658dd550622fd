"""A Compose project that `rascal wrap` has put proxies into, up on a real engine, and taken down.

Images that are not there are pulled; where there is no registry, stand-ins of Debian's packages are
built under the same tags (tests/wrapping/standins, testbed/offline-images).
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from rascal.containers import ContainerError
from rascal.containers.engine import connect
from rascal.control.client import Client

ROOT = Path(__file__).parents[2]
WRAPPING = ROOT / "tests" / "wrapping"
OFFLINE = ROOT / "testbed" / "offline-images"
IMAGE = "rascal-wrap-test"
OUTPUT = "docker-compose.rascal.yml"
UP = 240
"""Seconds until a project is up; its images are there."""
BUILD = 900


def command() -> list[str]:
    """Compose, of whichever version there is; or the test is skipped."""
    found = os.environ.get("RASCAL_TEST_COMPOSE", "").split()
    for words in [found] if found else [["docker", "compose"], ["docker-compose"]]:
        if shutil.which(words[0]):
            done = subprocess.run([*words, "version"], capture_output=True)
            if done.returncode == 0:
                return words
    pytest.skip("Compose is not here: neither `docker compose` nor docker-compose")


def need_engine() -> Any:
    """A client of the engine, or the test is skipped."""
    try:
        return connect()
    except ContainerError as error:
        pytest.skip(str(error))


def has_image(tag: str) -> bool:
    return not subprocess.run(["docker", "image", "inspect", tag], capture_output=True).returncode


def need_image(tag: str) -> None:
    """The image, from a registry or a stand-in; or the test is skipped."""
    if has_image(tag):
        return
    if not subprocess.run(["docker", "pull", "-q", tag], capture_output=True).returncode:
        return
    standin = WRAPPING / "standins" / tag.partition(":")[0]
    if standin.is_dir():
        need_image("debian:bookworm-slim")
        build(standin, tag)
    elif OFFLINE.exists() and os.geteuid() == 0:
        done = subprocess.run([str(OFFLINE), tag], capture_output=True, text=True, timeout=BUILD)
        if done.returncode:
            pytest.skip(f"{tag} cannot be had: {done.stderr.strip()[-200:]}")
    else:
        pytest.skip(f"{tag} cannot be had: no registry answers, and there is no stand-in for it")


def build(folder: Path, tag: str) -> None:
    done = subprocess.run(
        ["docker", "build", "-q", "-t", tag, str(folder)],
        capture_output=True,
        text=True,
        timeout=BUILD,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def need_rascal() -> str:
    """The image of what is here."""
    need_image("python:3.12-slim")
    build(ROOT, IMAGE)
    return IMAGE


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Place:
    """A project in a folder of its own, under a project name of its own."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.folder = folder
        self.name = f"wrap{uuid4().hex[:8]}"
        self.compose_command = command()
        self.environ = {**os.environ, **environ, "COMPOSE_PROJECT_NAME": self.name}
        self.control = free_port()
        self.url = ""

    def wrap(self, *words: str) -> None:
        """rascal wrap."""
        given = [str(self.folder), "--image", IMAGE, "--control", str(self.control), *words]
        self.rascal("wrap", *given)

    def rascal(self, *words: str) -> str:
        code = "from rascal.cli import main; main()"
        environ = {**self.environ, "RASCAL_TOKEN_FILE": str(self.folder / "rascal" / "token")}
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            capture_output=True,
            text=True,
            timeout=60,
            env=environ,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def compose(self, *words: str, files: tuple[str, ...] = (OUTPUT,), check: bool = True) -> str:
        """Compose, with the new file unless others are named (none: those that it finds)."""
        flags = [flag for file in files for flag in ("-f", file)]
        done = subprocess.run(
            [*self.compose_command, *flags, *words],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=BUILD,
            env=self.environ,
        )
        if check and done.returncode:
            logs = "" if words[0] == "logs" else self.compose("logs", "--tail", "30", files=files)
            raise AssertionError(f"{' '.join(words)}: {done.stderr[-2000:]}\n{logs[-4000:]}")
        return done.stdout

    def client(self) -> Client:
        """Of the node's control API."""
        token = (self.folder / "rascal" / "token").read_text().strip()
        return Client(f"http://127.0.0.1:{self.control}", token=token)

    def get(self, path: str, timeout: float = 8.0) -> requests.Response:
        return requests.get(f"{self.url}{path}", timeout=timeout)

    def post(self, path: str, data: str = "") -> requests.Response:
        return requests.post(f"{self.url}{path}", data=data, timeout=8)

    def inside(self, service: str, *words: str, check: bool = True) -> str:
        """Run something in a container of a service."""
        return self.compose("exec", "-T", service, *words, check=check)

    def addresses(self, service: str, name: str) -> set[str]:
        """What a name is to a service."""
        found = self.inside(service, "getent", "ahostsv4", name, check=False)
        return {line.split()[0] for line in found.splitlines()}

    def networks(self, service: str) -> dict[str, str]:
        """The addresses of a service's container, by network."""
        container = self.compose("ps", "-q", service).split()[0]
        done = subprocess.run(
            ["docker", "inspect", container], capture_output=True, text=True, check=True
        )
        known = json.loads(done.stdout)[0]["NetworkSettings"]["Networks"]
        return {name.removeprefix(f"{self.name}_"): one["IPAddress"] for name, one in known.items()}


@contextmanager
def project(name: str, folder: Path, port: str, **environ: str) -> Iterator[Place]:
    """A project of tests/wrapping/projects, not up yet; whatever is up is taken down.

    Args:
        name: its folder.
        folder: where it is copied to.
        port: the variable of the port that it publishes.
        environ: further variables.
    """
    shutil.copytree(WRAPPING / "projects" / name, folder / name)
    number = str(free_port())
    place = Place(folder / name, {port: number, **environ})
    place.url = f"http://127.0.0.1:{number}"
    with ExitStack() as ending:
        gone = ("down", "-v", "--rmi", "local", "--remove-orphans", "-t", "2")
        ending.callback(place.compose, *gone, files=(), check=False)
        ending.callback(place.compose, *gone, check=False)  # its networks stand in this file alone
        yield place


def until(what: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What the call gives as soon as it is true; errors of the network count as not yet."""
    ends = time.monotonic() + seconds
    seen: Any = None
    while time.monotonic() < ends:
        try:
            seen = what()
            if seen:
                return seen
        except requests.RequestException as error:
            seen = error
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds:g} s: {seen!r}")
