"""Replies that the proxy makes itself: errors, "nothing", replaced and kept ones.

Date is left out: a codec knows no clock. The connection is closed behind a reply where a server
has to: an HTTP/1.0 client, a client that asked for it, a body that nobody will read (more than a
MiB, or one behind Expect: 100-continue, which may never come: HAProxy does the same).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from rascal.errors import ConfigError
from rascal.options import Options
from rascal.wire.http_heads import (
    CHUNK,
    CONNECT,
    REPLY,
    UPGRADE,
    RequestHead,
    facts_of,
    fields_named,
    text,
    tokens,
)
from rascal.wire.http_pages import Page, page_of, phrase
from rascal.wire.types import Answer, ErrorCall, Head

DROP_BYTES = 1024 * 1024
"""So much of the body of an answered request is read and dropped; beyond it we close."""
REDIRECTS = (301, 302, 303, 307, 308)

_CONNECTION = re.compile(rb"\r?\n(?i:connection|keep-alive|proxy-connection):[^\r\n]*+")
_BLANK = re.compile(rb"\r?\n\r?\n\Z")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def must_close(head: Head) -> bool:
    """Whether the connection cannot be used after a reply that is not the upstream's."""
    if not isinstance(head, RequestHead):
        return True
    return head.expects or head.size > DROP_BYTES or not head.keeps()


def read_fields(given: str | None) -> list[tuple[str, str]]:
    """`Name: value | Name: value` as pairs. Raises ConfigError."""
    pairs = []
    for line in (given or "").split("|"):
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name.strip()) or re.search(r"[\r\n\0]", value):
            raise ConfigError(
                f"'{line.strip()}' is no header field; write Name: value | Name: value",
                option="header",
                value=given,
            )
        pairs.append((name.strip(), value.strip()))
    return pairs


# -- rendering ----------------------------------------


def render(
    head: Head,
    status: int,
    page: Page,
    fields: list[tuple[str, str]],
    *,
    style: str = "nginx",
    close: bool = False,
) -> bytes:
    """A whole reply to this request, its fields in the order of nginx or HAProxy."""
    own = {name.lower() for name, _ in fields}
    bare = status in (204, 304) or status < 200
    length = [] if bare else [("Content-Length", str(len(page.body)))]
    kind = [] if bare or page.type is None or not page.body else [("Content-Type", page.type)]
    if style == "haproxy":
        end = [("connection", "close")] if close else []
        cache = [] if status == 301 else [("cache-control", "no-cache")]
        ours = [(name.lower(), value) for name, value in (*length, *cache, *kind)]
        all_fields = [*[pair for pair in ours if pair[0] not in own], *fields, *end]
    else:
        server = [("Server", "nginx")] if style == "nginx" else []
        end = [("Connection", "close" if close else "keep-alive")]
        places = [pair for pair in fields if pair[0].lower() == "location"]
        others = [pair for pair in fields if pair[0].lower() != "location"]
        ours = [pair for pair in (*server, *kind, *length) if pair[0].lower() not in own]
        all_fields = [*ours, *places, *([] if "connection" in own else end), *others]
    lines = [f"{name}: {value}" for name, value in all_fields]
    raw = "\r\n".join([f"HTTP/1.1 {status} {page.reason}", *lines, "", ""]).encode(
        "utf-8", "surrogateescape"
    )
    # Only for a request do we know that it is HEAD.
    return raw if bare or head.command == "HEAD" else raw + page.body


def _own_page(page: Page, extra: Mapping[str, Any]) -> Page:
    """The page with the user's body and type in place of ours."""
    body, kind = extra.get("body"), extra.get("type")
    if body is not None:
        guessed = "application/json" if re.match(r"\s*[\[{]", body) else "text/html"
        kind = kind or guessed
        return Page(page.reason, kind, str(body).encode("utf-8", "surrogateescape"))
    return page if kind is None else Page(page.reason, kind, page.body)


def _extra_fields(head: Head, status: int, extra: Mapping[str, Any]) -> list[tuple[str, str]]:
    fields: list[tuple[str, str]] = []
    location = extra.get("location")
    if status in REDIRECTS or location is not None:
        fields.append(("Location", _line(location or _own_url(head))))
    if status == 401:
        fields.append(("WWW-Authenticate", 'Basic realm="restricted"'))
    if status == 407:
        fields.append(("Proxy-Authenticate", 'Basic realm="proxy"'))
    if status == 304 and isinstance(head, RequestHead):
        fields += [("ETag", value) for value in fields_named(head.raw, "if-none-match")[:1]]
    after = extra.get("retry_after")
    said = extra.get("retry_after_text")
    if said is not None:
        fields.append(("Retry-After", _line(said)))
    elif after is not None:
        fields.append(("Retry-After", str(math.ceil(after))))
    given = read_fields(extra.get("header"))
    names = {name.lower() for name, _ in given}
    return [pair for pair in fields if pair[0].lower() not in names] + given


def _line(value: Any) -> str:
    return re.sub(r"[\r\n\0]+", " ", str(value))


def _own_url(head: Head) -> str:
    if not isinstance(head, RequestHead) or head.framing == CONNECT:
        return "/"
    return text(head.target)


# -- errors ----------------------------------------


def error_answer(head: Head, call: ErrorCall) -> Answer:
    """An error of the catalogue, or any status from 300 on."""
    extra = call.extra
    status = int(call.spec.code)
    style = str(extra.get("style") or "nginx")
    page = _own_page(page_of(style, status, call.spec.text, call.text), extra)
    close = call.spec.closes or bool(extra.get("close")) or must_close(head)
    fields = _extra_fields(head, status, extra)
    return Answer(render(head, status, page, fields, style=style, close=close), (), close)


def last_chunk(mark: int, call: ErrorCall | None) -> bytes | None:
    """The legal end of a chunked reply, between two chunks; HTTP has no error in mid-body."""
    return b"0\r\n\r\n" if mark and call is None else None


# -- nothing, and something else ----------------------------------------


def empty_reply(head: RequestHead) -> bytes | None:
    """ "Nothing found": an empty list for a GET that takes JSON, else 200 with an empty body."""
    if head.framing in (CONNECT, UPGRADE):
        return None
    takes = tokens([value.replace(";", ",") for value in fields_named(head.raw, "accept")])
    page = Page("OK", None, b"")
    listed = any(kind.endswith(("/json", "+json")) for kind in takes)
    if listed and head.command in ("GET", "HEAD"):
        page = Page("OK", "application/json", b"[]")
    return render(head, 200, page, [], style="", close=must_close(head))


def replaced(head: RequestHead, options: Options) -> bytes | None:
    """What replace(…) says."""
    if head.framing in (CONNECT, UPGRADE):
        return None
    extra = vars(options)
    status = int(extra.get("status") or 200)
    style = extra.get("style")
    page = Page(phrase(status), None, b"")
    if style is not None:
        page = page_of(style, status, phrase(status), extra.get("text"))
    page = _own_page(page, extra)
    fields = _extra_fields(head, status, extra)
    close = must_close(head) or bool(extra.get("close"))
    return render(head, status, page, fields, style=style or "", close=close)


# -- kept replies ----------------------------------------


def rerendered(head: RequestHead, kept: bytes) -> bytes | None:
    """An earlier reply, with the Connection field that this request asks for.

    One that ended with its connection gets a Content-Length, so that this one can go on.
    """
    found = REPLY.match(kept)
    if found is None or head.framing in (CONNECT, UPGRADE):
        return None
    raw, minor, status = found[0], found[1], int(found[2])
    if status < 200:
        return None
    facts = facts_of(raw, minor)
    body = kept[found.end() :]
    lines = _CONNECTION.sub(b"", _BLANK.sub(b"", raw))
    lines += b"\r\nConnection: " + (b"close" if must_close(head) else b"keep-alive")
    unframed = not facts.coded and facts.size < 0 and status not in (204, 304)
    if unframed and head.command != "HEAD":
        lines += b"\r\nContent-Length: %d" % len(body)
    elif facts.coded and not facts.chunked:
        return None
    return lines + b"\r\n\r\n" + body


def chunks(body: bytes) -> list[bytes] | None:
    """The payloads of a chunked body that is whole; None: it is not."""
    found: list[bytes] = []
    at = 0
    while (line := CHUNK.match(body, at)) is not None:
        size = int(line[1], 16)
        if not size:
            return found
        at = line.end() + size + 2
        found.append(body[line.end() : at - 2])
    return None
