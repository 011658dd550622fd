"""Where the proxies stand: which names and addresses they take over, and who moves.

A backend leaves every network that it was on; a node (one rascal-proxy container) takes its name
and its other names there, and its fixed addresses. The backend is on a new network instead, where
the node finds it under a new name:

    web ── default ── rascal-proxy (named "db", "cache") ── rascal-backends ── db, cache

Those that themselves call others (an API behind a web server) get a network each, on which the
node stands for everything they call, or they would meet their peers without a proxy between.
Renaming the backends instead would leave their old containers behind, on the same volumes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from rascal.errors import ConfigError
from rascal.wrapping.known import by_image
from rascal.wrapping.plans import (
    CONTROL,
    OWN,
    PROXY,
    SHARED,
    Backend,
    Node,
    Place,
    Proxy,
    Wrap,
    names_of,
)
from rascal.wrapping.recognising import DONE, Endpoint, Recogniser, Seen, Told
from rascal.wrapping.references import Reference, references
from rascal.wrapping.shapes import Project, Service


def plan(
    project: Project,
    protocols: Mapping[str, object],
    *,
    told: Mapping[str, list[Told]] | None = None,
    skip: Iterable[str] = (),
    control: int = CONTROL,
) -> Wrap:
    """Decide everything. Raises ConfigError for names that are no services."""
    skipped = frozenset(skip)
    for name in (*skipped, *(told or {})):
        if name not in project.services:
            from rascal.errors import did_you_mean

            raise ConfigError(
                f"there is no service '{name}'; services: {', '.join(project.services)}."
                + did_you_mean(name, project.services)
            )
    for name in project.services:
        if re.fullmatch(rf"{PROXY}(-\d+)?", name):
            raise ConfigError(
                f"there is a service '{name}' already: is this a file that was written by "
                "rascal wrap? Name the original",
                path=project.source.files[0],
                line=getattr(project.services[name].at, "line", None),
            )
    naming = references(project)
    seen = Recogniser(project, naming, protocols, told or {}, skipped).all()
    return _Planner(project, naming, seen, control).plan()


class _Planner:
    def __init__(
        self, project: Project, naming: list[Reference], seen: list[Seen], control: int
    ) -> None:
        self.project = project
        self.seen = {one.service.name: one for one in seen}
        self.wrapped = [one for one in seen if one.wrapped]
        self.control = control
        self.notes = list(project.notes)
        self.naming = naming
        self.names: dict[str, list[str]] = {}
        """By client, what it calls."""
        for one in naming:
            self.names.setdefault(one.client, []).append(one.server)
        self.networks = set(project.networks)
        self.own, self.shared = self.fresh(OWN), self.fresh(SHARED)
        self.taken = set(project.services) | {
            alias
            for one in project.services.values()
            for joined in one.networks.values()
            for alias in (*joined.aliases, one.container, one.hostname)
        }

    def plan(self) -> Wrap:
        backends = [self.backend(one) for one in self.wrapped]
        nodes = self.nodes(backends)
        joins = self.places(nodes)
        waits = self.waits(nodes)
        target, entry = self.target()
        for backend in backends:
            if backend.seen.hint:
                self.notes.append(f"{backend.name} ({backend.seen.title}): {backend.seen.hint}")
            if lost := self.lost(backend, joins):
                self.notes.append(
                    f"{backend.name} does not reach {', '.join(lost)} any more: nothing here says "
                    f"that it calls them. If it does, leave it out: --skip {backend.name}"
                )
        return Wrap(
            project=self.project,
            seen=tuple(self.seen.values()),
            nodes=tuple(nodes),
            joins=joins,
            clients=waits,
            target=target,
            entry=entry,
            own=self.own,
            notes=tuple(self.notes),
        )

    # ---- backends

    def backend(self, seen: Seen) -> Backend:
        service = seen.service
        upstream = self.free(f"{service.name}-behind")
        proxies = tuple(
            Proxy(name=name, endpoint=endpoint, upstream=f"{upstream}:{endpoint.port}")
            for name, endpoint in _names(service.name, seen.endpoints)
        )
        numbers = {(one.port, kind) for one in seen.endpoints for kind in _kinds(one)}
        moved = tuple(
            port
            for port in service.ports
            if all((number, port.kind) in numbers for number in port.numbers)
        )
        calls = bool(self.names.get(service.name)) or (
            service.built and not seen.endpoints[0].why.startswith("variable")
        )
        return Backend(
            seen=seen,
            proxies=proxies,
            upstream=upstream,
            network=self.fresh(f"rascal-to-{_plain(service.name)}") if calls else self.shared,
            calls=calls,
            moved=moved,
            kept=tuple(port for port in service.ports if port not in moved),
        )

    def fresh(self, name: str) -> str:
        """A name that no network of theirs has."""
        while name in self.networks:
            name += "-2"
        return name

    def free(self, name: str) -> str:
        """A name that nobody has yet."""
        found, number = _plain(name), 2
        while found in self.taken:
            found, number = f"{_plain(name)}-{number}", number + 1
        self.taken.add(found)
        return found

    # ---- nodes

    def nodes(self, backends: list[Backend]) -> list[Node]:
        """As few as there can be: a node has each port once, and one address on a network."""
        published = {
            int(port.published)
            for one in self.project.services.values()
            for port in one.ports
            if port.published.isdigit()
        }
        nodes: list[Node] = []
        for backend in backends:
            node = next((one for one in nodes if _fits(one, backend)), None)
            if node is None:
                number = len(nodes) + 1
                control = self.control
                while control in published:
                    control += 1
                published.add(control)
                name = PROXY if number == 1 else f"{PROXY}-{number}"
                node = Node(name=name, control=control)
                nodes.append(node)
            node.backends.append(backend)
        return nodes

    def places(self, nodes: list[Node]) -> dict[str, tuple[str, ...]]:
        """Put the nodes on the networks; gives the further networks of those not wrapped."""
        joins: dict[str, list[str]] = {}
        for node in nodes:
            node.places[self.own] = Place()
            for backend in node.backends:
                for network, joined in backend.seen.service.networks.items():
                    place = node.places.setdefault(network, Place())
                    _add(place.aliases, names_of(backend.seen.service, network))
                    place.ipv4 = joined.ipv4 or place.ipv4
                    place.ipv6 = joined.ipv6 or place.ipv6
                node.places.setdefault(backend.network, Place())
        everyone = [(node, backend) for node in nodes for backend in node.backends]
        for _, caller in everyone:
            if not caller.calls:
                continue
            mine = caller.seen.service.networks
            for node, other in everyone:
                shared = [name for name in other.seen.service.networks if name in mine]
                if other.name == caller.name or not shared:
                    continue
                place = node.places.setdefault(caller.network, Place())
                for network in shared:
                    _add(place.aliases, names_of(other.seen.service, network))
            for name in dict.fromkeys(self.names.get(caller.name, ())):
                self.unwrapped(caller, self.seen[name], joins)
        return {name: tuple(networks) for name, networks in joins.items()}

    def unwrapped(self, caller: Backend, seen: Seen, joins: dict[str, list[str]]) -> None:
        """A backend calls a service that is not wrapped: they still have to meet."""
        name = seen.service.name
        if seen.wrapped or self.project.services[caller.name].depends.get(name) == DONE:
            return
        named = any(
            one.server == name and one.client == caller.name and one.where != "depends_on"
            for one in self.naming
        )
        if seen.service.mode or not named:
            return
        if caller.name in self.names.get(name, ()):
            self.notes.append(
                f"{caller.name} and {name} call each other, and {name} has no proxy: it calls "
                f"{caller.name} now with one, now without"
            )
        joins.setdefault(name, []).append(caller.network)

    def lost(self, backend: Backend, joins: Mapping[str, Iterable[str]]) -> list[str]:
        """Services that it could call, and that stay where it is no more.

        Servers of a known kind call nobody; of others a file of their own may say whom.
        """
        service = backend.seen.service
        known = by_image(service.image)
        if (known and known.serves) or backend.seen.endpoints[0].why.startswith("variable"):
            return []
        return [
            name
            for name, seen in self.seen.items()
            if not seen.wrapped
            and set(seen.service.networks) & set(service.networks)
            and backend.network not in joins.get(name, ())
            and backend.name not in self.names.get(name, ())
            and not any(one.depends.get(name) == DONE for one in self.project.services.values())
        ]

    # ---- order

    def waits(self, nodes: list[Node]) -> dict[str, tuple[str, ...]]:
        """Who waits for which node, and what the nodes wait for, without a circle."""
        backends = {one.name: one for node in nodes for one in node.backends}
        of_node = {one.name: node.name for node in nodes for one in node.backends}
        sure: dict[str, list[str]] = {}
        for name, called in self.names.items():
            found = [of_node[other] for other in called if other in of_node]
            if found:
                sure[name] = list(dict.fromkeys(found))
        below: set[str] = set()
        for node in nodes:
            for backend in node.backends:
                service = backend.seen.service
                under = self.under(service)
                if service.profiles or under & set(sure):
                    continue
                below |= under
                node.waits[backend.name] = (
                    "service_healthy" if service.healthy else "service_started"
                )
        for name, service in self.project.services.items():
            if name in sure or name in below or name in backends:
                continue
            near = [
                node.name for node in nodes if set(node.places) & set(service.networks)
            ]  # it may name them in files of its own
            if near and not self.seen[name].refused:
                sure[name] = near
        return {name: tuple(found) for name, found in sure.items()}

    def under(self, service: Service) -> set[str]:
        """A service with all that it waits for."""
        found: set[str] = set()
        todo = [service.name]
        while todo:
            name = todo.pop()
            one = self.project.services.get(name)
            if name not in found and one is not None:
                found.add(name)
                todo += [*one.depends, *(target for target, _ in one.links), *one.shared]
        return found

    # ---- the application

    def target(self) -> tuple[str, str]:
        """The published port that users most likely come in by."""
        found: list[tuple[int, str, str]] = []
        for name, seen in self.seen.items():
            for port in seen.service.ports:
                number = port.published.partition("-")[0]
                if port.kind != "tcp" or not number:
                    continue
                web = next((one for one in seen.endpoints if one.port == port.first), None)
                if seen.endpoints and (web is None or web.protocol != "http"):
                    continue
                secure = port.first in (443, 8443)
                rank = (
                    (8 if seen.wrapped else 0)
                    + (4 if not seen.service.built and seen.wrapped else 0)
                    + (2 if not _likely(seen.service) else 0)
                    + secure
                )
                host = port.host if port.host not in ("", "0.0.0.0", "::") else "127.0.0.1"
                host = f"[{host}]" if ":" in host else host
                scheme = "https" if secure else "http"
                found.append((rank, f"{scheme}://{host}:{number}", name))
        if not found:
            return "", ""
        best = min(found, key=lambda one: one[0])
        return best[1], best[2]


def _names(service: str, endpoints: tuple[Endpoint, ...]) -> Iterator[tuple[str, Endpoint]]:
    name = _plain(service)
    if not re.match(r"[A-Za-z_]", name):
        name = f"_{name}"
    name = name[:52]
    for index, endpoint in enumerate(endpoints):
        if not index:
            yield name, endpoint
            continue
        double = any(other.port == endpoint.port for other in endpoints[:index])
        yield f"{name}-{endpoint.port}{'-udp' if double else ''}", endpoint


def _plain(name: str) -> str:
    return re.sub(r"[^\w.-]", "-", name, flags=re.ASCII)


def _kinds(endpoint: Endpoint) -> tuple[str, ...]:
    if endpoint.protocol == "dns":
        return ("tcp", "udp")
    return ("udp",) if endpoint.datagrams else ("tcp",)


def _fits(node: Node, backend: Backend) -> bool:
    ports = {(one.endpoint.port, kind) for one in node.proxies for kind in _kinds(one.endpoint)} | {
        (CONTROL, "tcp")
    }
    if any(
        (one.endpoint.port, kind) in ports
        for one in backend.proxies
        for kind in _kinds(one.endpoint)
    ):
        return False
    for network, joined in backend.seen.service.networks.items():
        for other in node.backends:
            there = other.seen.service.networks.get(network)
            if there and ((joined.ipv4 and there.ipv4) or (joined.ipv6 and there.ipv6)):
                return False
    return True


def _add(several: list[str], names: Iterable[str]) -> None:
    several += [name for name in names if name not in several]


def _likely(service: Service) -> bool:
    """Whether users come in here, rather than those who look after it."""
    tools = r"adminer|phpmyadmin|pgadmin.*|redis-commander|redisinsight|mongo-express|flower"
    tools += r"|kibana|grafana|prometheus|portainer.*|dozzle|jaeger|all-in-one|zipkin|mailpit"
    name = service.image.rpartition("/")[2].partition(":")[0]
    return not re.fullmatch(tools, name)
