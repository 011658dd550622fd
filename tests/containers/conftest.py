"""A Compose project without Compose: containers of an image that holds `sleep` and nothing else."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from rascal.containers import ContainerError
from rascal.containers.engine import PROJECT, SERVICE, connect

IMAGE = "rascal-test-sleep"


def _rootfs() -> bytes:
    """A tar of `sleep` with the libraries that it is linked with."""
    sleep = shutil.which("sleep") or "/bin/sleep"
    linked = subprocess.run(["ldd", sleep], capture_output=True, text=True, check=True).stdout
    files = {sleep, *re.findall(r"(/\S+)", linked)}
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w", dereference=True) as tar:
        for path in sorted(files):
            tar.add(path, "/bin/sleep" if path == sleep else path)
    return found.getvalue()


@pytest.fixture(scope="session")
def docker() -> Iterator[Any]:
    """A client of a real engine, or the test is skipped."""
    try:
        client = connect()
    except ContainerError as error:
        pytest.skip(str(error))
    client.api.import_image_from_data(_rootfs(), repository=IMAGE, tag="1")
    yield client
    client.close()


@pytest.fixture
def project(docker: Any) -> Iterator[str]:
    """The name of a project with the services web (two containers) and db; on a network."""
    name = f"rascal{uuid4().hex[:8]}"
    network = docker.networks.create(f"{name}_default", labels={PROJECT: name})
    made = []
    try:
        for service, number in (("web", 1), ("web", 2), ("db", 1)):
            made.append(
                docker.containers.create(
                    f"{IMAGE}:1",
                    ["/bin/sleep", "600"],
                    name=f"{name}-{service}-{number}",
                    labels={PROJECT: name, SERVICE: service},
                    init=True,
                    mem_limit="64m" if service == "db" else None,
                )
            )
            aliases = [service, f"{service}.internal"]
            docker.networks.get(f"{name}_default").connect(made[-1], aliases=aliases)
            made[-1].start()
        yield name
    finally:
        for container in made:
            container.remove(force=True)
        network.remove()
