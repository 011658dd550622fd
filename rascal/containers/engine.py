"""The Docker engine: the services of one Compose project, struck and mended.

The docker package blocks, so everything that reaches the engine runs in a thread, with a time-out
of its own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import attrs

from rascal.containers.errors import ContainerError
from rascal.containers.journal import Entry, Journal
from rascal.containers.kinds import KINDS, SETTLES, Kind
from rascal.errors import did_you_mean

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
TIMEOUT = 60
"""Seconds for one call of the engine (a stop waits for its grace on top of it)."""


def connect() -> Any:
    """A client of the engine that the environment names; raises ContainerError."""
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=TIMEOUT)
        client.ping()
    except DockerException as error:
        where = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        raise ContainerError(f"no Docker engine answers at {where}: {_reason(error)}") from error
    return client


def undo_entry(client: Any, entry: Entry) -> None:
    """Undo one strike, and forget it; raises ContainerError."""
    from docker.errors import APIError, DockerException, NotFound

    kind = KINDS.get(entry.kind)
    try:
        if kind is not None:
            kind.undo(client.containers.get(entry.container), entry.data)
    except NotFound:
        pass  # it has been removed: there is nothing to mend
    except (APIError, DockerException) as error:
        raise ContainerError(
            f"{entry.name}: {entry.kind} cannot be undone: {_reason(error)}"
        ) from error
    if entry.path is not None:
        entry.path.unlink(missing_ok=True)


@attrs.define(kw_only=True, eq=False)
class Struck:
    """A service that is struck."""

    containers: Containers
    service: str
    kind: str
    entries: list[Entry]
    began: float
    """Wall clock, seconds; when all its containers were struck."""
    took: float
    """Seconds that it took."""
    undone: bool = False

    async def undo(self) -> None:
        """Mend it; a second call does nothing. Raises ContainerError."""
        if not self.undone:
            await self.containers.mend(self)


class Containers:
    """The services of one Compose project."""

    def __init__(
        self,
        reactor: Any,
        project: str = "",
        *,
        owner: str = "",
        journal: Journal | None = None,
        client: Any = None,
    ) -> None:
        self.project = project
        self._reactor = reactor
        self._owner = owner
        self._journal = journal or Journal()
        self._client = client
        self._lent = client is not None
        self._struck: list[Struck] = []

    async def __aenter__(self) -> Containers:
        if self._client is None:
            self._client = await self._thread(connect)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Mend what is struck, the last first; then let go of the engine. Raises ContainerError."""
        wrong: list[str] = []
        for struck in reversed(self._struck):
            try:
                await struck.undo()
            except ContainerError as error:
                wrong.append(str(error))
        client, self._client = self._client, None
        if client is not None and not self._lent:
            with suppress(Exception):  # there is nothing left to lose
                await self._thread(client.close)
        if wrong:
            raise ContainerError("; ".join(wrong))

    async def services(self) -> dict[str, list[str]]:
        """Container names by service, of the project (or of the only one that runs)."""
        found = await self._thread(self._found)
        return {name: [one.name for one in several] for name, several in sorted(found.items())}

    async def strike(
        self, service: str, kind: str, options: Mapping[str, Any] | None = None
    ) -> Struck:
        """Strike all containers of a service.

        Raises:
            ContainerError: no such service, it does not run, or the engine refuses. Then nothing
                stays struck.
        """
        chosen = KINDS[kind]
        entries, took = await self._thread(self._strike, service, chosen, dict(options or {}))
        struck = Struck(
            containers=self,
            service=service,
            kind=kind,
            entries=entries,
            began=time.time(),
            took=took,
        )
        self._struck.append(struck)
        return struck

    async def mend(self, struck: Struck) -> None:
        """Undo a strike."""
        for entry in list(struck.entries):
            await self._thread(undo_entry, self._client, entry)
            struck.entries.remove(entry)
        struck.undone = True

    # ---- in a thread

    def _thread(self, function: Any, *args: Any) -> Any:
        from twisted.internet.threads import deferToThreadPool

        return deferToThreadPool(
            self._reactor, self._reactor.getThreadPool(), function, *args
        ).addTimeout(TIMEOUT + SETTLES + 600, self._reactor)

    def _found(self) -> dict[str, list[Any]]:
        from docker.errors import DockerException

        wanted = [PROJECT if not self.project else f"{PROJECT}={self.project}"]
        try:
            all_ = self._client.containers.list(all=True, filters={"label": wanted})
        except DockerException as error:
            raise ContainerError(f"the containers cannot be listed: {_reason(error)}") from error
        projects = {one.labels[PROJECT] for one in all_}
        if not self.project and len(projects) > 1:
            names = ", ".join(sorted(projects))
            raise ContainerError(
                f"several Compose projects run here; name one with compose: {names}"
            )
        found: dict[str, list[Any]] = {}
        for one in all_:
            found.setdefault(str(one.labels.get(SERVICE, "")), []).append(one)
        return found

    def _strike(
        self, service: str, kind: Kind, options: Mapping[str, Any]
    ) -> tuple[list[Entry], float]:
        from docker.errors import DockerException

        found = self._found()
        if service not in found:
            project = f" in the project '{self.project}'" if self.project else ""
            raise ContainerError(
                f"there is no service '{service}'{project}; services: "
                f"{', '.join(sorted(found)) or 'none'}.{did_you_mean(service, found)}"
            )
        began = time.monotonic()
        entries: list[Entry] = []
        try:
            for container in found[service]:
                data = kind.look(container, options)
                entry = Entry(
                    container=container.id, name=container.name, kind=kind.name, data=data,
                    pid=os.getpid(), owner=self._owner,
                )  # fmt: skip
                entries.append(attrs.evolve(entry, path=self._journal.write(entry)))
                kind.strike(container, options, data)
        except (DockerException, ContainerError) as error:
            for entry in reversed(entries):
                with suppress(ContainerError):  # the first error is the one to tell
                    undo_entry(self._client, entry)
            if isinstance(error, ContainerError):
                raise
            raise ContainerError(f"{service}: {kind.name} failed: {_reason(error)}") from error
        return entries, time.monotonic() - began


def _reason(error: Exception) -> str:
    text = getattr(error, "explanation", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())
