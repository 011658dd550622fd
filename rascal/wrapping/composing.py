"""The complete Compose file: the project as it was, with nodes before its backends.

What is not touched is written as it was read, variables and all. Anchors are written out, `extends`
and `include` are resolved, `x-` parts are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from rascal.wrapping.merging import depends, listed, named
from rascal.wrapping.plans import PANEL, Backend, Node, Wrap
from rascal.wrapping.shapes import DEFAULT, Port, Service
from rascal.wrapping.yamlfile import Block, Items, Text, dump, is_null

PLACE = "/etc/rascal"
"""Where the folder of proxies.ini is in the containers."""
IMAGE = "rascal"
LOCAL = "127.0.0.1"
CHECK = "import socket; socket.create_connection(('127.0.0.1', 8474), 2)"
LOW = 1024


@attrs.frozen(kw_only=True)
class Wish:
    """How it is to be written."""

    image: str = IMAGE
    folder: str = "rascal"
    """That of proxies.ini, as seen from the project's."""
    keep_ports: bool = False
    """Whether ports that were published for all stay so."""
    panel: bool = False


def compose_text(wrap: Wrap, wish: Wish, head: str) -> str:
    """The text of docker-compose.rascal.yml."""
    return head + dump(_Composer(wrap, wish).top())


def ini_of(node: Node) -> str:
    """The file name of a node's proxies.ini."""
    return "proxies.ini" if node.name == "rascal-proxy" else f"{node.name}.ini"


class _Composer:
    def __init__(self, wrap: Wrap, wish: Wish) -> None:
        self.wrap = wrap
        self.wish = wish
        self.backends = wrap.backends

    def top(self) -> dict[str, Any]:
        source = self.wrap.project.source.top
        found = {
            str(name): value
            for name, value in source.items()
            if not name.startswith("x-") and name not in ("services", "networks")
        }
        services: dict[str, Any] = {node.name: self.node(node) for node in self.wrap.nodes}
        if self.wish.panel:
            services["rascal-panel"] = self.panel()
        for name, service in self.wrap.project.services.items():
            services[name] = self.service(service)
        rest = {name: found.pop(name) for name in list(found) if name not in ("version", "name")}
        return {**found, "services": services, "networks": self.networks(), **rest}

    # ---- ours

    def node(self, node: Node) -> dict[str, Any]:
        """The service of a node."""
        published = [
            text for one in node.backends for port in one.moved for text in self.port(port)
        ]
        made: dict[str, Any] = {
            "image": self.wish.image,
            "entrypoint": ["twistd", "-n", "--pidfile=", "rascal-proxy"],
            "command": ["--config", f"{PLACE}/{ini_of(node)}"],
            "volumes": [f"./{self.wish.folder}:{PLACE}:ro"],
            "ports": [f"{LOCAL}:{node.control}:8474", *published],
            "networks": {
                name: _place(place.aliases, place.ipv4, place.ipv6)
                for name, place in node.places.items()
            },
        }
        if any(one.endpoint.port < LOW for one in node.proxies):
            # Engines before 20.10 let only root listen there.
            made["sysctls"] = {"net.ipv4.ip_unprivileged_port_start": "0"}
        if node.waits:
            made["depends_on"] = {
                name: {"condition": condition} for name, condition in node.waits.items()
            }
        made["healthcheck"] = _check(CHECK)
        return made

    def panel(self) -> dict[str, Any]:
        """The service of the panel."""
        return {
            "image": self.wish.image,
            "entrypoint": ["twistd", "-n", "--pidfile=", "rascal-panel"],
            "command": ["--config", f"{PLACE}/panel.ini"],
            "env_file": [f"./{self.wish.folder}/panel.env"],
            "volumes": [f"./{self.wish.folder}:{PLACE}:ro"],
            "ports": [f"{LOCAL}:{PANEL}:{PANEL}"],
            "networks": {self.wrap.own: None},
            "depends_on": {node.name: {"condition": "service_healthy"} for node in self.wrap.nodes},
        }

    def networks(self) -> dict[str, Any]:
        """Theirs as they were, and ours."""
        given = self.wrap.project.networks
        found: dict[str, Any] = {str(name): value for name, value in given.items()}
        found[self.wrap.own] = None
        for backend in self.backends.values():
            if backend.network in found:
                continue
            found[backend.network] = self.options(backend) or None
        return found

    def options(self, backend: Backend) -> dict[str, Any]:
        """Of a new network: what the old one has that packets notice."""
        made: dict[str, Any] = {}
        old = [
            value if isinstance(value := self.wrap.project.networks.get(name), dict) else {}
            for name in backend.seen.service.networks
        ]
        if old and all(str(one.get("internal", "")).lower() == "true" for one in old):
            made["internal"] = True
        for one in old:
            options = one.get("driver_opts")
            mtu = "com.docker.network.driver.mtu"
            if isinstance(options, dict) and mtu in options:
                made["driver_opts"] = {mtu: options[mtu]}
        return made

    # ---- theirs

    def service(self, service: Service) -> Any:
        """A service of the project, changed where it has to be."""
        found = Block.of(service.raw, service.raw)
        backend = self.backends.get(service.name)
        if backend is not None:
            self.behind(found, backend)
        elif service.name in self.wrap.joins:
            self.join(found, service)
        if service.ports:
            kept = backend.kept if backend is not None else service.ports
            texts = [text for port in kept for text in self.port(port)]
            if texts:
                found["ports"] = Items.of(texts, found["ports"])
            else:
                del found["ports"]
        if service.links:
            self.links(found, service)
        nodes = self.wrap.clients.get(service.name, ())
        if nodes:
            waits = depends(found.get("depends_on")) if "depends_on" in found else Block()
            for name in nodes:
                waits[name] = {"condition": "service_healthy"}
            found["depends_on"] = waits
        return found

    def behind(self, found: Block, backend: Backend) -> None:
        """Take a backend off its networks, and put it on the new one."""
        found["networks"] = {backend.network: {"aliases": [backend.upstream]}}
        # An address of the old network means nothing on the new one.
        found.pop("mac_address", None)

    def join(self, found: Block, service: Service) -> None:
        """Put a service on further networks."""
        given = found.get("networks")
        networks: dict[str, Any] = {DEFAULT: None}
        if not is_null(given) and given:
            networks = {
                str(n): None if is_null(how) else how for n, how in named(given, "").items()
            }
        for name in self.wrap.joins[service.name]:
            networks[name] = None
        found["networks"] = networks

    def links(self, found: Block, service: Service) -> None:
        """Links to a backend lead to its node; what they say of the order stays."""
        links: list[Any] = []
        waits = depends(found.get("depends_on")) if "depends_on" in found else Block()
        changed = False
        for raw, (target, alias) in zip(listed(found.get("links")), service.links, strict=True):
            if target not in self.backends:
                links.append(raw)
                continue
            changed = True
            links.append(f"{self.wrap.node_of(target).name}:{alias}")
            waits.setdefault(target, {"condition": "service_started"})
        if changed:
            found["links"] = links
            found["depends_on"] = waits

    def port(self, port: Port) -> Iterator[Any]:
        """A published port, for this machine alone if nothing else was said."""
        raw = port.raw
        if port.host or self.wish.keep_ports:
            yield raw
        elif isinstance(raw, dict):
            if str(raw.get("mode", "")) == "host" or "published" not in raw or port.kind != "tcp":
                yield Block.of({**raw, "host_ip": LOCAL}, raw)
            else:
                yield f"{LOCAL}:{raw['published']}:{raw['target']}"
        else:
            middle = "" if port.published else ":"
            yield Text.of(f"{LOCAL}:{middle}{raw}", raw, '"')


def _place(aliases: list[str], ipv4: str, ipv6: str) -> dict[str, Any] | None:
    made: dict[str, Any] = {}
    if aliases:
        made["aliases"] = list(aliases)
    if ipv4:
        made["ipv4_address"] = ipv4
    if ipv6:
        made["ipv6_address"] = ipv6
    return made or None


def _check(program: str) -> dict[str, Any]:
    return {
        "test": ["CMD", "python3", "-c", program],
        "interval": "2s",
        "timeout": "3s",
        "retries": 30,
    }
