"""toxiproxy.json, the file of the Toxiproxy server: a list of proxies, with toxics if one likes.

    [{"name": "db", "listen": "127.0.0.1:3307", "upstream": "127.0.0.1:3306",
      "toxics": [{"type": "latency", "attributes": {"latency": 100}}]}]

The same list is the body of POST /populate, so what an entry means stands here once. Its proxies
relay bytes (protocol tcp). An address without a host means all of this machine's, as in Go; a
port may have a name.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import attrs

from rascal.config.registry import Registry, installed
from rascal.config.specs import Configuration, Installed, ProxySpec
from rascal.config.tables import PROXY
from rascal.config.toxics import (
    Toxic,
    ToxiproxyError,
    bad,
    check_name,
    flag_of,
    loads,
    members,
    read_toxic,
    shown,
    text_of,
    toxic_fault,
)
from rascal.errors import ConfigError, ConfigErrors
from rascal.language import Address, LanguageError, option_from_json, plain_options
from rascal.options import OptionTable

MISSING = "missing required field"
CONTROL = Address("tcp", "localhost", 8474)
"""Where the Toxiproxy server listens unless told otherwise."""

HOST = 255
"""Characters of a host; names have at most 253."""

ANY4 = "0.0.0.0"
ANY6 = "::"


@attrs.frozen(kw_only=True)
class Entry:
    """A proxy as a request or the file wants it.

    Attributes:
        name: of the proxy.
        listen: where; two addresses where all of this machine's are meant.
        upstream: the real server.
        enabled: whether it listens.
        toxics: what is on it from the start.
    """

    name: str
    listen: tuple[Address, ...]
    upstream: Address
    enabled: bool = True
    toxics: tuple[Toxic, ...] = ()


# ---- entries


def read_entry(data: Any, *, where: str = "", toxics: bool = False) -> Entry:
    """A new proxy. Raises ToxiproxyError.

    Args:
        data: parsed JSON.
        where: added to the names of fields that are missing (" at proxy 2").
        toxics: whether its toxics are read.
    """
    given = members(data, "a proxy")
    name = text_of(given, "name")
    upstream = text_of(given, "upstream")
    for field, value in (("name", name), ("upstream", upstream)):
        if not value:
            raise ToxiproxyError(400, f"{MISSING}: {field}{where}")
    check_name(name)
    return Entry(
        name=name,
        listen=read_listen(text_of(given, "listen")),
        upstream=read_upstream(upstream),
        enabled=flag_of(given, "enabled", True),
        toxics=_toxics(given.get("toxics")) if toxics else (),
    )


def read_entries(data: Any) -> list[Entry]:
    """The list of /populate and of the file, read whole before anything is done."""
    if data is None:
        return []
    if not isinstance(data, list):
        raise bad("the proxies are a list")
    found = []
    for number, one in enumerate(data, 1):
        where = f" at proxy {number}"
        try:
            found.append(read_entry(one, where=where, toxics=True))
        except ToxiproxyError as error:
            text = error.text if error.text.endswith(where) else f"{error.text}{where}"
            raise ToxiproxyError(error.status, text) from None
    return found


def _toxics(data: Any) -> tuple[Toxic, ...]:
    if data is None:
        return ()
    if not isinstance(data, list):
        raise bad("toxics is a list")
    found = tuple(read_toxic(one) for one in data)
    names = [toxic.name for toxic in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ToxiproxyError(409, f"toxic already exists: {shown(twice)}")
    return found


def spec_of(entry: Entry, registry: Registry, *, path: str | None = None) -> ProxySpec:
    """The specification of a new proxy with its toxics."""
    protocol = registry.protocols["tcp"]
    entry = with_port(entry)
    given: dict[str, Any] = {
        "protocol": "tcp",
        "listen": entry.listen,
        "upstream": entry.upstream,
    }
    if not entry.enabled:
        given["enabled"] = False
    return ProxySpec(
        name=entry.name,
        protocol=protocol,
        listen=entry.listen,
        upstream=entry.upstream,
        options=plain_options(PROXY, given),
        protocol_options=plain_options(OptionTable(), {}),
        given=given,
        installed=_ordered(entry.toxics, protocol, registry),
        path=path,
    )


def _ordered(toxics: Sequence[Toxic], protocol: Any, registry: Registry) -> tuple[Installed, ...]:
    return tuple(toxic_fault(one, protocol, registry) for one in toxics)


# ---- addresses


def read_listen(text: str) -> tuple[Address, ...]:
    """Where to listen; nothing means any port of any address. Raises ToxiproxyError."""
    host, port = _split(text or ":0", "listen")
    if host:
        return (_address("listen", host, port),)
    return any_address(port)


def any_address(port: int) -> tuple[Address, ...]:
    """All addresses of this machine."""
    one = Address("tcp", ANY4, port)
    return (one, Address("tcp", ANY6, port)) if has_v6() else (one,)


def with_port(entry: Entry) -> Entry:
    """Any port of all addresses: one that is free in both families at this moment."""
    if len(entry.listen) < 2 or entry.listen[0].port:
        return entry
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            probe.bind((ANY6, 0))
            return attrs.evolve(entry, listen=any_address(probe.getsockname()[1]))
    except OSError:
        return attrs.evolve(entry, listen=entry.listen[:1])


def read_upstream(text: str) -> Address:
    """The real server; without a host it is on this machine. Raises ToxiproxyError."""
    host, port = _split(text, "upstream")
    if not port:
        raise bad(f"upstream has a port from 1, found {shown(text)}")
    return _address("upstream", host or "localhost", port)


def _split(text: str, what: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        raise bad(f"{what} is host:port, found {shown(text)}")
    if port.isascii() and port.isdigit() and len(port) <= 5:
        number = int(port)
    else:
        number = _service(port, text, what)
    if len(host) > HOST:
        raise bad(f"{what} has a host of at most {HOST} characters")
    if number > 65535:
        raise bad(f"a port is at most 65535: {what} is {shown(text)}")
    return host, number


def _service(name: str, text: str, what: str) -> int:
    try:
        return socket.getservbyname(name, "tcp") if name.isascii() else -1
    except (OSError, ValueError):
        raise bad(f"{what} has no port that is known: {shown(text)}") from None


def _address(what: str, host: str, port: int) -> Address:
    try:
        found = option_from_json(PROXY[what], f"{host}:{port}")
    except LanguageError as error:
        raise bad(f"{what}: {error.message}") from None
    assert isinstance(found, Address)
    return found


@cache
def has_v6() -> bool:
    """Whether this machine has IPv6 at all."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind((ANY6, 0))
    except OSError:
        return False
    return True


# ---- the file


_LIST = re.compile(rb"\s*\[\s*[{\]]")


def is_toxiproxy(path: str) -> bool:
    """Whether a file is a toxiproxy.json: by its name, or because it begins as a JSON list of
    objects (proxies.ini begins with a bracket, too)."""
    if path.endswith(".json"):
        return True
    try:
        with open(path, "rb") as file:
            return _LIST.match(file.read(200)) is not None
    except OSError:
        return False


def load_toxiproxy(
    path: str | None, settings: Mapping[str, Any], *, registry: Registry | None = None
) -> Configuration:
    """The configuration of a replacement of the Toxiproxy server.

    Args:
        path: its file; None: it begins without proxies.
        settings: control (an Address), seed and log.
        registry: by default what is installed.

    Raises:
        ConfigErrors: what is wrong in the file.
    """
    registry = registry or installed()
    proxies = {}
    if path is not None:
        try:
            entries = read_entries(loads(Path(path).read_bytes()))
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise _problem(path, f"cannot be read: {why}") from error
        except ToxiproxyError as error:
            raise _problem(path, error.text) from None
        for entry in entries:
            if entry.name in proxies:
                raise _problem(path, f"two proxies are called {shown(entry.name)}")
            proxies[entry.name] = spec_of(entry, registry, path=path)
    return Configuration(
        control=settings.get("control", CONTROL),
        seed=settings.get("seed"),
        log=settings.get("log", "text"),
        compatible="open",
        given={"compatible": "open", **settings},
        proxies=proxies,
        path=path or "",
        files=(path,) if path else (),
    )


def _problem(path: str, text: str) -> ConfigErrors:
    return ConfigErrors([ConfigError(f"{path}: {text}", code="file")])
