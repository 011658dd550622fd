"""Who names whom: environment variables and commands in which another service's name stands.

A name alone means a server only where the variable says so (DB_HOST=db, but not POSTGRES_USER=db);
in a URL or before a port it does everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import attrs

from rascal.wrapping.known import SCHEMES, SECURE
from rascal.wrapping.shapes import Project, Service

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/\s\"'?#]+)")
_HOST_PORT = re.compile(r"(?<![\w.@/-])([A-Za-z0-9_](?:[\w.-]*\w)?):(\d{1,5})(?![\w.])")
_DSN = re.compile(r"\bhost=([\w.-]+)(?:[;\s,]+port=(\d+))?|\bport=(\d+)[;\s,]+host=([\w.-]+)")
_FLAG = re.compile(r"(?:^|\s)(?:-h|--host(?:name)?|--?replicaof|slaveof)[=\s]+([\w.-]+)")
_HINT = re.compile(
    r"(HOST|HOSTNAME|HOSTS|SERVERS?|ADDR|ADDRESS|URL|URI|ENDPOINT|BROKERS?|NODES?|DSN|BACKEND"
    r"|UPSTREAM|PEERS?|LOCATION|SERVICE|DOMAIN|RELAY|RELAYHOST|RESOLVER|DATABASE_HOST)S?(_\d+)?$",
    re.IGNORECASE,
)


@attrs.frozen(kw_only=True)
class Reference:
    """A service that names another."""

    client: str
    server: str
    where: str
    """The variable, "its command", "depends_on", "links"."""
    port: int = 0
    spoken: str = ""
    """What the URL says is spoken there."""
    secure: bool = False
    """Whether TLS is spoken from the first byte on."""


def references(project: Project) -> list[Reference]:
    """All of them, in the order of the file."""
    found: list[Reference] = []
    for client in project.services.values():
        names = names_for(project, client)
        found += _unique(_of(client, names))
    return found


def names_for(project: Project, client: Service) -> dict[str, str]:
    """By name or address, the service that the client reaches under it."""
    found: dict[str, str] = {}
    for one in project.services.values():
        if one.name == client.name:
            continue
        found.setdefault(one.name.lower(), one.name)
        for joined in one.networks.values():
            for name in (*joined.aliases, joined.ipv4, joined.ipv6):
                if name:
                    found.setdefault(name.lower(), one.name)
        for name in (one.container, one.hostname):
            if name:
                found.setdefault(name.lower(), one.name)
    for target, alias in client.links:
        found[alias.lower()] = target
    return found


def _unique(several: Iterator[Reference]) -> list[Reference]:
    return list(dict.fromkeys(several))


def _of(client: Service, names: Mapping[str, str]) -> Iterator[Reference]:
    for variable, value in client.environment.items():
        for host, port, scheme in _named(value, bool(_HINT.search(variable))):
            server = names.get(host.lower())
            if server is None:
                continue
            port = port or _beside(variable, client.environment)
            spoken, usual = SCHEMES.get(scheme, ("", 0))
            yield Reference(
                client=client.name, server=server, where=variable, spoken=spoken,
                port=port or usual, secure=scheme in SECURE,
            )  # fmt: skip
    flags = [(found[1], 0, "") for found in _FLAG.finditer(client.command)]
    for host, port, scheme in [*_named(client.command, False), *flags]:
        if server := names.get(host.lower()):
            spoken, usual = SCHEMES.get(scheme, ("", 0))
            yield Reference(
                client=client.name, server=server, where="its command", spoken=spoken,
                port=port or usual, secure=scheme in SECURE,
            )  # fmt: skip
    for name in client.depends:
        yield Reference(client=client.name, server=name, where="depends_on")
    for name, _ in client.links:
        yield Reference(client=client.name, server=name, where="links")


def _named(value: str, alone: bool) -> Iterator[tuple[str, int, str]]:
    """Hosts, ports (0: none) and schemes in a text."""
    rest = value
    for found in _URL.finditer(value):
        scheme = found[1].lower().partition("+")[0]
        for host in found[2].rpartition("@")[2].split(","):
            name, _, port = host.partition(":")
            yield name, int(port) if port.isdigit() and len(port) < 6 else 0, scheme
        rest = rest.replace(found[0], " ")
    for found in _HOST_PORT.finditer(rest):
        yield found[1], int(found[2]), ""
    for found in _DSN.finditer(rest):
        port = found[2] or found[3]
        yield found[1] or found[4], int(port) if port else 0, rest.partition(":")[0].lower()
    if alone:
        for word in re.split(r"[\s,;]+", rest):
            if word and ":" not in word:
                yield word.partition("/")[0], 0, ""


def _beside(variable: str, environment: Mapping[str, str]) -> int:
    """The port in the variable that stands beside DB_HOST: DB_PORT."""
    for ending in ("HOSTNAME", "HOST", "SERVER", "ADDRESS", "ADDR"):
        for case in (ending, ending.lower()):
            if variable.endswith(case):
                port = "PORT" if case.isupper() else "port"
                value = environment.get(variable.removesuffix(case) + port, "")
                return int(value) if value.isdigit() and len(value) < 6 else 0
    return 0
