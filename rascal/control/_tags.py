"""ETags: conditional changes, so that two operators do not overwrite each other, and 304.

    ETag: "9f3c01aa-17.5be0c1d29a03"
           version     representation

The version is that of what a request may change (this process, and the number of its change); it
stays while counters count. `If-Match` compares the version alone, as counters would always differ.
The rest is a hash of the answer's bytes; `If-None-Match` compares the whole tag, so that 304 means
that nothing at all has changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b

from rascal.control._problems import Problem

_TAG = re.compile(rb'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_TAGS = re.compile(rb'\s*(?:(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"\s*(?:,\s*|$))+')


def tag(version: str | None, body: bytes) -> bytes:
    """The ETag of an answer."""
    digest = blake2b(body, digest_size=6).hexdigest()
    return f'"{version}.{digest}"'.encode("ascii") if version else f'"{digest}"'.encode("ascii")


def check_match(given: Iterable[bytes] | None, version: str, needed: bool) -> None:
    """Refuse a change whose If-Match names other versions. Raises Problem."""
    if not given:
        if needed:
            raise Problem(
                428,
                "condition-missing",
                "say what you believe to change: If-Match with the ETag of a GET",
                version=version,
            )
        return
    for weak, opaque in parse(given) or ():
        if opaque == "*" or (not weak and opaque.partition(".")[0] == version):
            return
    raise Problem(
        412,
        "changed-since",
        "it has changed since, or never was what If-Match says; read it again, "
        "If-Match is its ETag with the double quotes",
        version=version,
    )


def matches(given: Iterable[bytes] | None, found: bytes) -> bool:
    """Whether an If-None-Match names this tag."""
    tags = parse(given) if given else None
    return any(one == "*" or one == found[1:-1].decode("ascii") for _, one in tags or ())


def parse(given: Iterable[bytes]) -> list[tuple[bool, str]] | None:
    """(weak, opaque) of each tag; * for any; None if it is something else."""
    text = b", ".join(given).strip()
    if text == b"*":
        return [(False, "*")]
    if not _TAGS.fullmatch(text):
        return None
    return [(bool(weak), opaque.decode("latin-1")) for weak, opaque in _TAG.findall(text)]
