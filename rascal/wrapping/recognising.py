"""Which services are servers that others need, on which ports, and what is spoken there.

Asked in this order, and the first that knows is believed: --as, the image, variables that only a
server's image takes, the URL in which somebody names it, the number of the port. Nothing is asked
of the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import attrs

from rascal.wrapping.known import HTTP_PORTS, PORTS, Known, by_image, by_variables
from rascal.wrapping.references import Reference
from rascal.wrapping.shapes import RANGE, Project, Service

FALLBACK = {"amqp": "tcp", "postgresql": "tcp", "mongodb": "tcp"}
TITLES = {"amqp": "AMQP", "postgresql": "PostgreSQL", "mongodb": "MongoDB"}
DONE = "service_completed_successfully"
_PORT_FLAG = re.compile(r"(?:^|\s)--port[=\s]+(\d{1,5})(?!\S)|(?:^|\s)port=(\d{1,5})(?!\S)")
_SHORT_FLAG = re.compile(r"(?:^|\s)-p\s?(\d{1,5})(?!\S)")
_PORT_VARIABLES = ("MYSQL_TCP_PORT", "PGPORT", "REDIS_PORT_NUMBER", "RABBITMQ_NODE_PORT")


@attrs.frozen(kw_only=True)
class Endpoint:
    """One port of a server."""

    port: int
    spoken: str
    """What is spoken there, whether or not Rascal speaks it."""
    protocol: str
    """That of the proxy."""
    why: str
    datagrams: bool = False
    """Whether UDP reaches it (for dns both do)."""


@attrs.frozen(kw_only=True)
class Seen:
    """What a service was taken for."""

    service: Service
    title: str
    endpoints: tuple[Endpoint, ...] = ()
    needed_by: tuple[str, ...] = ()
    """Why it is taken for a dependency: who needs it, and how one sees that."""
    refused: str = ""
    """Why it cannot be wrapped; it is a dependency, or its server is known."""
    hint: str = ""

    @property
    def wrapped(self) -> bool:
        return bool(self.endpoints) and not self.refused


@attrs.frozen(kw_only=True)
class Told:
    """What the user says about a service (--as NAME=PROTOCOL[:PORT])."""

    protocol: str
    port: int = 0


def spoken_here(spoken: str, protocols: Mapping[str, object]) -> str:
    """The protocol of the proxy for what is spoken."""
    return spoken if spoken in protocols else FALLBACK.get(spoken, "tcp")


class Recogniser:
    """Looks at the services of a project.

    Args:
        project: what was read.
        references: who names whom.
        protocols: those that Rascal has.
        told, skip: what the user says.
    """

    def __init__(
        self,
        project: Project,
        references: list[Reference],
        protocols: Mapping[str, object],
        told: Mapping[str, list[Told]],
        skip: frozenset[str] = frozenset(),
    ) -> None:
        self.project = project
        self.protocols = protocols
        self.told = told
        self.skip = skip
        self.naming: dict[str, list[Reference]] = {}
        for one in references:
            self.naming.setdefault(one.server, []).append(one)

    def all(self) -> list[Seen]:
        """Every service, in the order of the file."""
        return [self.one(service) for service in self.project.services.values()]

    def one(self, service: Service) -> Seen:
        """What a service is."""
        known, why = self._known(service)
        needed = self._needed(service)
        title = known.title if known else ("application" if service.built else "server")
        told = self.told.get(service.name, [])
        if not (needed or told or (known and known.serves)):
            return Seen(service=service, title="application")
        seen = Seen(
            service=service,
            title=title,
            needed_by=needed or ("its kind: others may name it in files of their own",),
            hint=known.hint if known else "",
        )
        problem = self._refused(service)
        if problem:
            return attrs.evolve(seen, refused=problem)
        endpoints = tuple(self._endpoints(service, known, why, told))
        if not endpoints:
            return attrs.evolve(
                seen,
                refused="no port is known: say which, as in "
                f"--as {service.name}=http:8000, or in its 'expose'",
            )
        return attrs.evolve(seen, endpoints=endpoints)

    # ---- parts

    def _known(self, service: Service) -> tuple[Known | None, str]:
        if found := by_image(service.image):
            return found, f"image {service.image}"
        dials = service.depends or service.links
        if not dials and (taken := by_variables(list(service.environment))):
            return taken[0], f"variable {taken[1]}"
        return None, ""

    def _needed(self, service: Service) -> tuple[str, ...]:
        found: dict[str, None] = {}
        several = self.naming.get(service.name, [])
        for one in several:
            client = self.project.services[one.client]
            if one.where == "depends_on":
                if client.depends.get(service.name) == DONE:
                    continue
                if any(o.client == one.client and o.where != "depends_on" for o in several):
                    continue
                if _of_one_piece(client, service):
                    continue  # it waits for migrations, say
                found[f"{one.client} depends on it"] = None
            elif one.where == "links":
                found[f"{one.client} links to it"] = None
            else:
                found[f"{one.where} of {one.client}".replace("its command of", "command of")] = None
        return tuple(found)

    def _refused(self, service: Service) -> str:
        mode = service.mode
        port = next((port.first for port in service.ports), 0)
        if service.name in self.skip:
            return "left out (--skip)"
        if any(
            client.depends.get(service.name) == DONE for client in self.project.services.values()
        ):
            return "it does its work and ends: nothing connects to it"
        if mode == "host":
            where = f"127.0.0.1:{port}" if port else "127.0.0.1:PORT"
            return (
                "network_mode: host: it listens on the host itself, where no name can be given to "
                f"a proxy. Without Compose: rascal wrap {service.name}=tcp://{where}"
            )
        if mode == "none":
            return "network_mode: none: nobody reaches it"
        if mode.startswith("service:"):
            other = mode.partition(":")[2]
            return f"network_mode: {mode}: it is reached as '{other}'; name its port there (--as)"
        if mode:
            return f"network_mode: {mode}: names are known on networks of Compose alone"
        return ""

    def _endpoints(
        self, service: Service, known: Known | None, why: str, told: list[Told]
    ) -> Iterator[Endpoint]:
        found: dict[tuple[int, bool], Endpoint] = {}
        secure = {one.port for one in self.naming.get(service.name, []) if one.secure}

        def add(port: int, spoken: str, reason: str, datagrams: bool = False) -> None:
            if port in secure and reason != "--as":
                spoken, reason = "tcp", f"{reason}; TLS"
            protocol = spoken_here(spoken, self.protocols)
            datagrams = datagrams or protocol in ("udp", "dns")
            if datagrams and protocol not in ("udp", "dns"):
                protocol = "udp"
            key = (port, datagrams)
            if (
                0 < port < 65536
                and key not in found
                and not (
                    protocol != "dns" and getattr(found.get((port, True)), "protocol", "") == "dns"
                )
            ):
                found[key] = Endpoint(
                    port=port, spoken=spoken, protocol=protocol, why=reason, datagrams=datagrams
                )

        declared = [
            (number, port.kind)
            for port in (*service.ports, *service.exposed)
            if port.kind in ("tcp", "udp") and len(port.numbers) <= RANGE
            for number in port.numbers
        ]
        first = next((number for number, kind in declared if kind == "tcp"), 0)
        for wish in told:
            usual = known.ports[0][0] if known else 0
            add(wish.port or usual or first, wish.protocol, "--as")
        if known:
            usual, spoken = known.ports[0]
            if not any(not wish.port for wish in told):
                add(_moved(service) or usual, spoken, why)
        by_number = dict(known.ports) if known else {}
        for one in self.naming.get(service.name, []):
            if one.port:
                spoken = by_number.get(one.port) or one.spoken or self._usual(one.port)
                add(one.port, spoken, f"{one.where} of {one.client}")
        for number, kind in declared:
            spoken = by_number.get(number) or self._usual(number)
            if kind == "udp":
                spoken = "dns" if spoken == "dns" else "udp"
            elif not known and spoken == "tcp" and number in HTTP_PORTS:
                spoken = "http"
            add(number, spoken, f"port {number}", kind == "udp")
        yield from found.values()

    def _usual(self, port: int) -> str:
        return PORTS.get(port) or ("http" if port in HTTP_PORTS else "tcp")


def _moved(service: Service) -> int:
    """The port that a server is told to take, by flag or variable; 0 if it is not."""
    found = _PORT_FLAG.search(service.command)
    if found:
        return int(found[1] or found[2])
    if by_image(service.image) and (found := _SHORT_FLAG.search(service.command)):
        return int(found[1])
    for name in _PORT_VARIABLES:
        value = service.environment.get(name, "")
        if value.isdigit():
            return int(value)
    return 0


def _of_one_piece(one: Service, other: Service) -> bool:
    """Whether two services are the same program, in two roles."""
    built = one.raw.get("build"), other.raw.get("build")
    if None not in built:
        return bool(built[0] == built[1])
    return bool(one.image) and one.image == other.image and by_image(one.image) is None
