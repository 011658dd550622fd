"""Answers as gzip for those who take it: files once, pages and JSON as they are made.

Streams of events are never compressed. Pages hold the form token of a session beside names that
others chose; nobody can have them made for a session that is not his own (SameSite=Strict), so
their length tells nothing.
"""

from __future__ import annotations

import gzip
from typing import Any

LEAST = 800
"""Bytes; less fits into one packet anyway."""
MOST = 4 << 20
"""Bytes; more would hold up everybody else."""
LEVEL = 5
PLAIN = ("text/", "application/json", "application/problem+json", "application/yaml", "image/svg")


def takes(request: Any) -> bool:
    """Whether who asks understands gzip."""
    for word in (request.getHeader(b"accept-encoding") or b"").lower().split(b","):
        name, _, weight = word.partition(b";")
        if name.strip() in (b"gzip", b"*"):
            return weight.replace(b" ", b"").rstrip(b"0") not in (b"q=", b"q=0.")
    return False


def shortened(data: bytes, level: int = LEVEL) -> bytes:
    """As gzip, the same each time."""
    return gzip.compress(data, level, mtime=0)


def compressed(request: Any, data: bytes, short: bytes | None = None) -> bytes:
    """What is sent for `data` (`short`: its gzip, if that is known already); sets the headers."""
    if not LEAST <= len(data) <= MOST:
        return data
    headers = request.responseHeaders
    kind = (headers.getRawHeaders(b"content-type") or [b""])[0].decode("latin-1")
    if not kind.startswith(PLAIN) or headers.hasHeader(b"content-encoding"):
        return data
    request.setHeader(b"vary", b"accept-encoding")
    if not takes(request):
        return data
    request.setHeader(b"content-encoding", b"gzip")
    return shortened(data) if short is None else short
