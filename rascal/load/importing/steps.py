"""What the readers of recordings have in common: requests as steps, and what is left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs

NOISE = frozenset(
    [
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "connection",
        "content-length",
        "cookie",
        "dnt",
        "expect",
        "host",
        "if-modified-since",
        "if-none-match",
        "keep-alive",
        "origin",
        "pragma",
        "priority",
        "proxy-connection",
        "referer",
        "te",
        "transfer-encoding",
        "upgrade",
        "upgrade-insecure-requests",
        "user-agent",
    ]
)
"""Headers that a client makes itself, or that only a browser sends."""

SECRET = frozenset(("authorization", "proxy-authorization", "x-api-key", "x-auth-token"))
"""Headers whose values do not belong into a file: they become options of the scenario."""


@attrs.frozen(kw_only=True)
class Step:
    """One request."""

    method: str
    path: str
    """Path and query on the target, or the whole URL of another one."""
    name: str
    headers: Mapping[str, str] = attrs.Factory(dict)
    json: Any = None
    has_json: bool = False
    data: str | Mapping[str, str] | None = None
    """A body as text, or the fields of a form."""
    status: int | None = None
    """What the reply should have."""
    think: float = 0.0
    """Seconds that the user waited before."""
    auth: str = ""
    """The name of a user, for HTTP basic authentication; the password becomes an option."""
    redirects: bool = True


@attrs.frozen(kw_only=True)
class Recording:
    """The steps of one scenario, in order."""

    name: str
    steps: tuple[Step, ...]
    about: str = ""
    weight: int = 1


@attrs.frozen(kw_only=True)
class Recorded:
    """All that was found in one file."""

    recordings: tuple[Recording, ...]
    target: str
    """The base URL that most requests went to; empty if none is named."""
    origin: str
    """What it was made of, for the first line of the scenario."""
    notes: tuple[str, ...] = ()
    """What was left out, and what the user should look at."""


def origin_of(url: str) -> str:
    """`https://host:port` of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else ""


def on_target(url: str, target: str) -> str:
    """The path on the target, or the URL as it is if it leads elsewhere."""
    if origin_of(url) != target:
        return url.partition("#")[0]
    rest = url.partition("#")[0][len(target) :] if url.startswith(target) else _path(url)
    return rest if rest.startswith("/") else f"/{rest}"


def _path(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


_NUMBER = re.compile(r"(?<=/)(\d+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9a-f]{16,64})(?=/|$)")


def flow_name(method: str, url: str) -> str:
    """A name for the flow: method and path, ids in the path as {id}, without the query."""
    path = urlsplit(url).path or "/"
    return f"{method} {_NUMBER.sub('{id}', path)}"


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Those headers that mean something to an application."""
    return {
        name: value
        for name, value in headers.items()
        if name.lower() not in NOISE
        and not name.lower().startswith(("sec-", ":"))
        and not (name.lower() == "content-type" and value.startswith("multipart/"))
    }
