"""What a service is, of the many ways to write it: ports, environment, networks, dependencies.

Values of variables are in these; the raw text is kept where it has to be written again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from rascal.errors import ConfigError, ConfigErrors, did_you_mean
from rascal.wrapping.dotenv import read_env
from rascal.wrapping.merging import depends, listed, named
from rascal.wrapping.reading import Source
from rascal.wrapping.yamlfile import Block, Text, is_null, kind_of, wrong

DEFAULT = "default"
"""The network of services that name none."""
RANGE = 20
"""Ports of a range that are taken one by one; a longer one is left where it is."""
_PORT = re.compile(
    r"(?:(?P<host>\[[0-9A-Fa-f:]+\]|[0-9]+(?:\.[0-9]+){3}|[0-9A-Fa-f:]*::[0-9A-Fa-f:]*):)?"
    r"(?:(?P<published>[0-9]*(?:-[0-9]+)?):)?(?P<target>[0-9]+(?:-[0-9]+)?)(?:/(?P<kind>\w+))?"
)


@attrs.frozen(kw_only=True)
class Port:
    """A port, or several in a row."""

    first: int
    last: int
    kind: str = "tcp"
    published: str = ""
    """On the host: "8080", "3000-3005"; "" for one that Docker chooses, if `public`."""
    host: str = ""
    """The host's address; "" for all."""
    public: bool = False
    raw: Any = attrs.field(default=None, eq=False)

    @property
    def numbers(self) -> range:
        """Those of the container."""
        return range(self.first, self.last + 1)


@attrs.frozen(kw_only=True)
class Joined:
    """A service on a network."""

    aliases: tuple[str, ...] = ()
    ipv4: str = ""
    ipv6: str = ""
    raw: Any = attrs.field(default=None, eq=False)


@attrs.frozen(kw_only=True)
class Service:
    """One service."""

    name: str
    raw: Block = attrs.field(eq=False, repr=False)
    at: Any = attrs.field(eq=False, repr=False)
    """Its name in the file, with its place."""
    image: str = ""
    built: bool = False
    environment: Mapping[str, str] = attrs.field(factory=dict)
    ports: tuple[Port, ...] = ()
    exposed: tuple[Port, ...] = ()
    depends: Mapping[str, str] = attrs.field(factory=dict)
    """Conditions by service."""
    links: tuple[tuple[str, str], ...] = ()
    """Service and alias."""
    networks: Mapping[str, Joined] = attrs.field(factory=dict)
    mode: str = ""
    """Its network_mode."""
    container: str = ""
    hostname: str = ""
    profiles: tuple[str, ...] = ()
    healthy: bool = False
    """Whether it has a healthcheck in the file."""
    command: str = ""
    """Its entrypoint and command, as words."""
    shared: tuple[str, ...] = ()
    """Services whose network it uses."""


@attrs.frozen(kw_only=True)
class Project:
    """All services, and the networks they are on."""

    source: Source
    services: Mapping[str, Service]
    networks: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def shape(source: Source) -> Project:
    """Look at all services. Raises ConfigErrors."""
    shaper = _Shaper(source)
    services = {
        str(name): shaper.service(name, raw) for name, raw in source.top["services"].items()
    }
    shaper.references(services)
    if shaper.findings:
        raise ConfigErrors(shaper.findings)
    notes = [*source.notes, *shaper.notes]
    notes += [
        f"{_where(at)}the variable {name} has no value here"
        for name, at in source.variables.unset.items()
    ]
    return Project(source=source, services=services, networks=shaper.networks, notes=tuple(notes))


def _where(at: Any) -> str:
    path, line = getattr(at, "path", ""), getattr(at, "line", 0)
    return f"{path}:{line}: " if path else ""


class _Shaper:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.variables = source.variables
        self.findings: list[ConfigError] = self.variables.findings
        self.notes: list[str] = []
        networks = source.top.get("networks")
        self.networks: Block = networks if isinstance(networks, Block) else Block()
        if not is_null(networks) and not isinstance(networks, dict):
            self.wrong(f"networks are 'name: value' lines, found {kind_of(networks)}", networks)

    def wrong(self, message: str, at: Any) -> None:
        self.findings.append(wrong(message, at, self.source.files[0]))

    def text(self, value: Any) -> str:
        """One value with its variables."""
        if isinstance(value, dict | list):
            self.wrong(f"one value stands here, found {kind_of(value)}", value)
            return ""
        return "" if is_null(value) else self.variables.text(value)

    def service(self, name: Text, raw: Block) -> Service:
        return Service(
            name=str(name),
            raw=raw,
            at=name,
            image=self.text(raw.get("image")),
            built="build" in raw,
            environment=self.environment(raw),
            ports=tuple(self.ports(raw.get("ports"), public=True)),
            exposed=tuple(self.ports(raw.get("expose"), public=False)),
            depends=self.depends(raw.get("depends_on")),
            links=tuple(self.links(raw.get("links"))),
            networks=self.joined(raw),
            mode=self.text(raw.get("network_mode")),
            container=self.text(raw.get("container_name")),
            hostname=self.text(raw.get("hostname")),
            profiles=tuple(self.text(one) for one in listed(raw.get("profiles"))),
            healthy=self.healthy(raw.get("healthcheck")),
            command=" ".join(self.words(raw)),
            shared=tuple(self.shared(raw)),
        )

    # ---- parts

    def environment(self, raw: Block) -> dict[str, str]:
        """What is in the environment of its processes, as far as files tell."""
        found: dict[str, str] = {}
        for item in listed(raw.get("env_file")):
            path = item.get("path") if isinstance(item, dict) else item
            needed = not isinstance(item, dict) or str(item.get("required", "true")) != "false"
            shown = self.text(path)
            file = self.source.folder / shown
            if not needed and not file.is_file():
                continue
            try:
                found |= read_env(file, str(file), self.variables.values)
            except ConfigError as error:
                if error.line:
                    self.notes.append(str(error))
                else:
                    self.notes.append(f"{_where(path)}the env_file '{shown}' {error.message}")
        given = raw.get("environment")
        if not is_null(given):
            for key, value in named(given).items():
                name = self.variables.text(key)
                if is_null(value):
                    value = self.variables.values.get(name)
                    if value is None:
                        continue
                    found[name] = str(value)
                else:
                    found[name] = self.text(value)
        return found

    def ports(self, value: Any, *, public: bool) -> Iterator[Port]:
        if not is_null(value) and not isinstance(value, list):
            self.wrong(f"ports are a list, found {kind_of(value)}", value)
            return
        for item in listed(value):
            if is_null(item):
                continue
            text = _long_port(item, self.text) if isinstance(item, dict) else self.text(item)
            found = _PORT.fullmatch(text)
            if not found:
                forms = "write 8080:80, 127.0.0.1:8080:80/tcp or target: and published:"
                self.wrong(f"'{text}' is no port; {forms}", item)
                continue
            first, _, last = found["target"].partition("-")
            low, high = int(first), int(last or first)
            if not 0 < low <= high < 65536:
                self.wrong(f"ports are 1 to 65535, from low to high; found '{text}'", item)
                continue
            yield Port(
                first=low,
                last=high,
                kind=(found["kind"] or "tcp").lower(),
                published=(found["published"] or "") if public else "",
                host=(found["host"] or "").strip("[]"),
                public=public,
                raw=item,
            )

    def depends(self, value: Any) -> dict[str, str]:
        if is_null(value):
            return {}
        if isinstance(value, str):
            self.wrong("depends_on is a list of services, or 'service: condition' lines", value)
            return {}
        found = {}
        for name, how in depends(value).items():
            condition = how.get("condition") if isinstance(how, dict) else None
            found[str(name)] = "service_started" if is_null(condition) else self.text(condition)
        return found

    def links(self, value: Any) -> Iterator[tuple[str, str]]:
        for item in listed(value):
            target, _, alias = self.text(item).partition(":")
            yield target, alias or target

    def joined(self, raw: Block) -> dict[str, Joined]:
        if not is_null(raw.get("network_mode")):
            return {}
        value = raw.get("networks")
        if is_null(value) or not value:
            return {DEFAULT: Joined()}
        if isinstance(value, str):
            self.wrong("networks of a service are a list, or 'network: …' lines", value)
            return {}
        found = {}
        for name, how in named(value, "").items():
            if name not in self.networks and name != DEFAULT:
                hint = did_you_mean(str(name), self.networks)
                known = ", ".join([*self.networks]) or "none"
                self.wrong(f"there is no network '{name}'; networks: {known}.{hint}", name)
                continue
            how = how if isinstance(how, dict) else Block()
            found[str(name)] = Joined(
                aliases=tuple(self.text(one) for one in listed(how.get("aliases"))),
                ipv4=self.text(how.get("ipv4_address")),
                ipv6=self.text(how.get("ipv6_address")),
                raw=how,
            )
        return found

    def healthy(self, value: Any) -> bool:
        if not isinstance(value, dict):
            return False
        test = listed(value.get("test"))
        disabled = str(value.get("disable", "")).lower() in ("true", "yes", "on")
        return bool(test) and str(test[0]) != "NONE" and not disabled

    def words(self, raw: Block) -> Iterator[str]:
        for name in ("entrypoint", "command"):
            value = raw.get(name)
            yield from (self.text(one) for one in listed(value) if not isinstance(one, dict))

    def shared(self, raw: Block) -> Iterator[str]:
        kind, _, name = self.text(raw.get("network_mode")).partition(":")
        if kind == "service":
            yield name

    # ---- the whole

    def references(self, services: Mapping[str, Service]) -> None:
        """What is named must be there."""
        for one in services.values():
            for what, names in (
                ("depends on", one.depends),
                ("links to", [target for target, _ in one.links]),
                ("uses the network of", one.shared),
            ):
                for name in names:
                    if name in services or _optional(one.raw.get("depends_on"), name):
                        continue
                    hint = did_you_mean(name, services)
                    at = _place_of(one, name)
                    self.wrong(f"'{one.name}' {what} '{name}', which is no service here.{hint}", at)


def _optional(value: Any, name: str) -> bool:
    how = value.get(name) if isinstance(value, dict) else None
    return isinstance(how, dict) and str(how.get("required", "true")) == "false"


def _place_of(service: Service, name: str) -> Any:
    for key in ("depends_on", "links", "network_mode"):
        value = service.raw.get(key)
        for one in value if isinstance(value, dict | list) else [value]:
            if isinstance(one, str) and name in one.split(":"):
                return one
    return service.at


def _long_port(item: Any, text: Any) -> str:
    """A port in its long form as one text."""
    host, published = text(item.get("host_ip")), text(item.get("published"))
    host = f"[{host}]" if ":" in host else host
    head = f"{host}:" if host else ""
    if published or host:
        head += f"{published}:"
    kind = text(item.get("protocol")) or "tcp"
    return f"{head}{text(item.get('target'))}/{kind}"
