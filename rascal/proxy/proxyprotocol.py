"""PROXY protocol, version 1 and 2: tells an upstream whose connection this is.

Specification: https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt (sections 2.1, 2.2).

    v1   PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 CR LF        (text, at most 107 bytes)
    v2   signature (12)  0x21  family  length (2)  addresses      (binary)

Pure: socket addresses in, bytes out. They are those of the client's connection: where it comes
from, and where it went to, which is the address that the proxy listens on.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Literal

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_PROXY = 0x21
_LOCAL = 0x20
_UNIX_PATH = 108

Names = tuple[Any, Any]
"""The client's address and ours, as sockets give them: (host, port, …) or a path."""


def header(version: Literal["v1", "v2"], names: Names | None) -> bytes:
    """The bytes that go before the first of the connection; unknown addresses are said to be so."""
    return _v1(names) if version == "v1" else _v2(names)


def _v1(names: Names | None) -> bytes:
    found = _inet(names)
    if found is None:
        return b"PROXY UNKNOWN\r\n"
    source, source_port, target, target_port = found
    return f"PROXY TCP{source.version} {source} {target} {source_port} {target_port}\r\n".encode()


def _v2(names: Names | None) -> bytes:
    if names is None:
        return SIGNATURE + struct.pack("!BBH", _LOCAL, 0x00, 0)
    found = _inet(names)
    if found is None:
        block = b"".join(_path(name) for name in names)
        return SIGNATURE + struct.pack("!BBH", _PROXY, 0x31, len(block)) + block
    source, source_port, target, target_port = found
    ports = struct.pack("!HH", source_port, target_port)
    block = source.packed + target.packed + ports
    family = 0x11 if source.version == 4 else 0x21
    return SIGNATURE + struct.pack("!BBH", _PROXY, family, len(block)) + block


def _inet(
    names: Names | None,
) -> tuple[IPv4Address | IPv6Address, int, IPv4Address | IPv6Address, int] | None:
    if names is None or not all(isinstance(name, tuple) for name in names):
        return None
    (source, source_port), (target, target_port) = names[0][:2], names[1][:2]
    first, second = _plain(source), _plain(target)
    if first.version != second.version:
        first, second = _mapped(first), _mapped(second)
    return first, source_port, second, target_port


def _plain(host: str) -> IPv4Address | IPv6Address:
    """Without scope; an IPv4 client of an IPv6 socket is an IPv4 client."""
    found = ip_address(host.partition("%")[0])
    return getattr(found, "ipv4_mapped", None) or found


def _mapped(host: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    return IPv6Address(f"::ffff:{host}") if host.version == 4 else host


def _path(name: Any) -> bytes:
    path = name if isinstance(name, bytes) else str(name).encode("utf-8", "surrogateescape")
    return path[:_UNIX_PATH].ljust(_UNIX_PATH, b"\0")
