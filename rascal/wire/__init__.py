"""Protocols: bytes in, messages out. No sockets, no clock, no reactor.

A protocol is a module of this package that exports `PROTOCOL`, or an object (an instance or a
class of `rascal.wire.types.WireProtocol`) that another distribution names in its entry points:

    [project.entry-points."rascal.protocols"]
    stomp = "rascal_stomp:PROTOCOL"

A module with `_` in its name is a part of the protocol that stands before it (redis_replies).
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rascal.errors import ConfigError

if TYPE_CHECKING:
    from rascal.wire.types import WireProtocol

__all__ = ["broken", "protocols"]

GROUP = "rascal.protocols"
_ORDER = ("tcp", "http", "mysql", "memcached", "redis", "smtp", "dns", "udp")


def protocols() -> Mapping[str, WireProtocol]:
    """The protocols of this installation by name, in the order in which they are shown.

    An entry point that cannot be used is left out; `broken` says why.
    """
    return _found()[0]


def broken() -> Mapping[str, ConfigError]:
    """What is wrong with entry points that could not be used, by their names."""
    return _found()[1]


@cache
def _found() -> tuple[Mapping[str, WireProtocol], Mapping[str, ConfigError]]:
    found: dict[str, WireProtocol] = {}
    wrong: dict[str, ConfigError] = {}
    for protocol in _own():
        found[protocol.name] = protocol
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        try:
            protocol = _protocol(entry.load())
            if protocol.name in found:
                raise TypeError(f"there is a protocol '{protocol.name}' already")
        except Exception as error:
            wrong[entry.name] = _problem(entry, error)
        else:
            found[protocol.name] = protocol
    return MappingProxyType(dict(sorted(found.items(), key=_place))), MappingProxyType(wrong)


def _own() -> Iterator[WireProtocol]:
    for module in pkgutil.iter_modules(__path__):
        if "_" not in module.name:
            protocol = getattr(import_module(f"{__name__}.{module.name}"), "PROTOCOL", None)
            if protocol is not None:
                yield protocol


def _protocol(loaded: Any) -> WireProtocol:
    """An entry point's object as a protocol. Raises TypeError."""
    from rascal.wire.types import WireProtocol

    protocol = loaded() if inspect.isclass(loaded) else loaded
    if not isinstance(protocol, WireProtocol):
        raise TypeError(f"{type(protocol).__name__} is no WireProtocol")
    if not isinstance(getattr(protocol, "name", None), str):
        raise TypeError("it has no name")
    return protocol


def _place(pair: tuple[str, WireProtocol]) -> tuple[int, str]:
    name = pair[0]
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)


def _problem(entry: Any, error: Exception) -> ConfigError:
    source = f" of {entry.dist.name}" if entry.dist is not None else ""
    return ConfigError(
        f"entry point '{entry.name} = {entry.value}'{source} gives no protocol: "
        f"{type(error).__name__}: {error}",
        option=GROUP,
        value=entry.name,
        code="broken-extension",
    )
