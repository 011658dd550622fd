"""What an error looks like: the pages of nginx and HAProxy, JSON, plain text, a log-in page.

An application behind a proxy speaks JSON until the proxy speaks in its place: a body of a kind
that the client does not expect is a fault of its own. Wording and order of fields are those of
nginx 1.22 (server_tokens off) and HAProxy 2.6, held against the real ones by the tests.
"""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from http import HTTPStatus

STYLES = ("nginx", "haproxy", "json", "problem", "text", "login", "none")

_HAPROXY = {
    400: ("Bad request", "Your browser sent an invalid request."),
    401: ("Unauthorized", "You need a valid user and password to access this content."),
    403: ("Forbidden", "Request forbidden by administrative rules."),
    404: ("Not Found", "The resource could not be found."),
    405: (
        "Method Not Allowed",
        "A request was made of a resource using a request method not supported by that resource",
    ),
    407: ("Unauthorized", "You need a valid user and password to access this content."),
    408: ("Request Time-out", "Your browser didn't send a complete request in time."),
    410: ("Gone", "The resource is no longer available and will not be available again."),
    413: ("Payload Too Large", "The request entity exceeds the maximum allowed."),
    425: ("Too Early", "Your browser sent early data."),
    429: ("Too Many Requests", "You have sent too many requests in a given amount of time."),
    500: ("Internal Server Error", "An internal server error occurred."),
    501: (
        "Not Implemented",
        ".The server does not support the functionality required to fulfill the request.",
    ),
    502: ("Bad Gateway", "The server returned an invalid or incomplete response."),
    503: ("Service Unavailable", "No server is available to handle this request."),
    504: ("Gateway Time-out", "The server didn't respond in time."),
}
_NGINX_TITLES = {401: "Authorization Required", 302: "Found"}
"""Where its page says something else than its status line."""

_LOGIN = """<!DOCTYPE html>
<html>
<head><title>Sign in</title></head>
<body>
<h1>Sign in</h1>
<p>%s</p>
<form method="post" action="/login">
<label>User <input name="username"></label>
<label>Password <input name="password" type="password"></label>
<button>Sign in</button>
</form>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class Page:
    """What a server says: reason phrase, Content-Type (None: no such field), body."""

    reason: str
    type: str | None
    body: bytes


def phrase(status: int) -> str:
    """The reason phrase of RFC 9110 and its companions; empty if there is none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def page_of(style: str, status: int, reason: str, text: str | None) -> Page:
    """An error in one of STYLES. `reason` is nginx's phrase, `text` what the user wants said."""
    if style == "nginx":
        return _nginx(status, reason, text)
    if style == "haproxy":
        words, sentence = _HAPROXY.get(status, (phrase(status) or reason, ""))
        said = html.escape(text if text is not None else sentence, quote=False)
        body = f"<html><body><h1>{status} {words}</h1>\n{said}\n</body></html>\n"
        return Page(words, "text/html", body.encode("utf-8", "surrogateescape"))
    words = phrase(status) or reason
    if style == "json":
        told = {"status": status, "error": words, "message": words if text is None else text}
        return Page(words, "application/json", _json(told))
    if style == "problem":
        about = {"type": "about:blank", "title": words, "status": status}
        about |= {} if text is None else {"detail": text}
        return Page(words, "application/problem+json", _json(about))
    if style == "text":
        line = (words if text is None else text) + "\n"
        return Page(words, "text/plain; charset=utf-8", line.encode("utf-8", "surrogateescape"))
    if style == "login":
        said = html.escape("Please sign in to continue." if text is None else text)
        body = _LOGIN % said
        return Page(words, "text/html; charset=utf-8", body.encode("utf-8", "surrogateescape"))
    return Page(words, None, b"")


def _json(value: dict[str, object]) -> bytes:
    return json.dumps(value).encode()


def _nginx(status: int, reason: str, text: str | None) -> Page:
    """Its page; `text` stands where nginx explains a 400 ("Request Header Or Cookie Too Large")."""
    words = _NGINX_TITLES.get(status, reason)
    said = None if text is None else html.escape(text, quote=False)
    lines = [
        "<html>",
        f"<head><title>{status} {words if said is None else said}</title></head>",
        "<body>",
        f"<center><h1>{status} {words}</h1></center>",
        *([] if said is None else [f"<center>{said}</center>"]),
        "<hr><center>nginx</center>",
        "</body>",
        "</html>",
        "",
    ]
    return Page(reason, "text/html", "\r\n".join(lines).encode("utf-8", "surrogateescape"))
