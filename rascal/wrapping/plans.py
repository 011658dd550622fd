"""What is planned for a project: nodes, the backends behind them, the names that they take over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from rascal.wrapping.recognising import Endpoint, Seen
from rascal.wrapping.shapes import Port, Project, Service

PROXY = "rascal-proxy"
OWN = "rascal-control"
"""The network on which a node's control port is published."""
SHARED = "rascal-backends"
CONTROL = 8474
PANEL = 8480


@attrs.frozen(kw_only=True)
class Proxy:
    """One proxy of a node."""

    name: str
    endpoint: Endpoint
    upstream: str
    """The backend's new name."""


@attrs.frozen(kw_only=True)
class Backend:
    """A service behind proxies."""

    seen: Seen
    proxies: tuple[Proxy, ...]
    upstream: str
    network: str
    """The new one that it is on."""
    calls: bool
    """Whether it calls others, and so has a network of its own."""
    moved: tuple[Port, ...]
    """Published ports that are the node's now."""
    kept: tuple[Port, ...]
    """Published ports that stay its own."""

    @property
    def name(self) -> str:
        return self.seen.service.name


@attrs.define(kw_only=True)
class Place:
    """What a node is called on a network."""

    aliases: list[str] = attrs.field(factory=list)
    ipv4: str = ""
    ipv6: str = ""


@attrs.define(kw_only=True)
class Node:
    """One rascal-proxy container."""

    name: str
    control: int
    """Its port on the host."""
    backends: list[Backend] = attrs.field(factory=list)
    places: dict[str, Place] = attrs.field(factory=dict)
    waits: dict[str, str] = attrs.field(factory=dict)
    """Backends that are started before it, with the condition."""

    @property
    def proxies(self) -> Iterator[Proxy]:
        for backend in self.backends:
            yield from backend.proxies


@attrs.frozen(kw_only=True)
class Wrap:
    """The whole plan."""

    project: Project
    seen: tuple[Seen, ...]
    nodes: tuple[Node, ...]
    joins: Mapping[str, tuple[str, ...]]
    """Further networks of services that are not wrapped."""
    clients: Mapping[str, tuple[str, ...]]
    """Nodes that a service waits for."""
    target: str
    """Where the application is, for load; "" if nothing says it."""
    entry: str
    """The service that is the target."""
    own: str
    """The network that nodes and panel have for themselves."""
    notes: tuple[str, ...]

    @property
    def backends(self) -> dict[str, Backend]:
        return {one.name: one for node in self.nodes for one in node.backends}

    def node_of(self, backend: str) -> Node:
        """The node before a backend."""
        return next(n for n in self.nodes if any(b.name == backend for b in n.backends))


def names_of(service: Service, network: str) -> list[str]:
    """All names under which a service is known on a network."""
    joined = service.networks.get(network)
    several = [service.name, *(joined.aliases if joined else ()), service.container]
    if service.hostname and service.hostname != service.name:
        several.append(service.hostname)
    return [name for name in dict.fromkeys(several) if name]
