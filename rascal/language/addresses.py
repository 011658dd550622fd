"""Addresses: `host:port`, `[v6]:port`, `unix:/path`, and Twisted endpoint strings.

Nothing is looked up here: names are resolved when they are dialled.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address

from rascal.language.reader import READERS, Reader
from rascal.language.values import Address

_HOST_PORT = re.compile(r"([A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?):([0-9]{1,5})")
_V6_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)(%[A-Za-z0-9._-]+)?\]:([0-9]{1,5})")
_BARE_V6 = re.compile(r"[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9]+")
_ENDPOINT = re.compile(r"[A-Za-z][A-Za-z0-9_-]*:.+")
_FORMS = "write host:port, [v6]:port or unix:/path"


def read_address(r: Reader) -> Address:
    """An address; quoted where it holds '='."""
    at = r.at
    return _read(r, r.string(), at, endpoints=False)


def read_endpoint(r: Reader) -> Address:
    """An address or a Twisted endpoint string."""
    at = r.at
    return _read(r, r.string(), at, endpoints=True)


READERS["address"] = read_address
READERS["endpoint"] = read_endpoint


def _read(r: Reader, text: str, at: int, *, endpoints: bool) -> Address:
    problem = ""
    if text.startswith("unix:"):
        path = text[5:]
        if path and not (endpoints and re.search(r":\w+=", path)):
            return Address("unix", path=path)
        problem = "the path of the socket is missing: write unix:/path" if not path else ""
    elif found := _HOST_PORT.fullmatch(text):
        if int(found[2]) < 65536 and not (endpoints and found[1] == "tcp"):
            return Address("tcp", found[1], int(found[2]))
        problem = f"a port is at most 65535, found {found[2]}" if int(found[2]) > 65535 else ""
    elif found := _V6_PORT.fullmatch(text):
        try:
            IPv6Address(found[1])
        except ValueError:
            problem = f"'{found[1]}' is not an IPv6 address"
        else:
            if int(found[3]) < 65536:
                return Address("tcp", found[1] + (found[2] or ""), int(found[3]))
            problem = f"a port is at most 65535, found {found[3]}"
    elif _BARE_V6.fullmatch(text):
        host, _, port = text.rpartition(":")
        problem = f"an IPv6 address stands in brackets: write [{host}]:{port}"
    elif re.fullmatch(r":?[0-9]{1,5}", text):
        problem = f"'{text}' has no host: write 127.0.0.1:{text.lstrip(':')}"
    elif re.fullmatch(r"[A-Za-z0-9._-]+:?", text):
        problem = f"'{text}' has no port: {_FORMS}"
    elif text.startswith("/"):
        problem = f"'{text}' is not an address: write unix:{text}"
    elif "://" in text:
        problem = f"'{text}' is a URL; {_FORMS}"
    if not problem and endpoints and _ENDPOINT.fullmatch(text):
        return Address("endpoint", path=text)
    forms = f"{_FORMS}{' or a Twisted endpoint string' if endpoints else ''}"
    raise r.fail(problem or f"'{text}' is not an address: {forms}", at)
