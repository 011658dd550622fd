"""The error catalogue of HTTP: what servers and the proxies in front of them say.

Texts are the reason phrases of nginx 1.22, whose pages are the default style; where nginx has
none of its own, those of RFC 9110 and its companions. HAProxy's wording is in http_pages.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from rascal.wire.types import ErrorSpec

_RFC = "RFC 9110"

_ALL = (
    ("bad_request", 400, "Bad Request", "the request makes no sense; nginx then closes", "15.5.1"),
    ("unauthorized", 401, "Unauthorized", "no, wrong or expired credentials", "15.5.2"),
    ("payment_required", 402, "Payment Required", "a quota is used up, a bill unpaid", "15.5.3"),
    ("forbidden", 403, "Forbidden", "known, and not allowed; a firewall's usual answer", "15.5.4"),
    ("not_found", 404, "Not Found", "no such thing, or a route that is not deployed", "15.5.5"),
    ("method_not_allowed", 405, "Not Allowed", "the resource has no such method", "15.5.6"),
    ("not_acceptable", 406, "Not Acceptable", "nothing that Accept would take", "15.5.7"),
    (
        "proxy_authentication_required",
        407,
        "Proxy Authentication Required",
        "a forward proxy wants credentials",
        "15.5.8",
    ),
    (
        "request_timeout",
        408,
        "Request Time-out",
        "the request came too slowly; the server closes (nginx without a word)",
        "15.5.9",
    ),
    ("conflict", 409, "Conflict", "somebody else changed it, or it exists already", "15.5.10"),
    ("gone", 410, "Gone", "it was there, and will not come back", "15.5.11"),
    ("length_required", 411, "Length Required", "chunked uploads are not taken", "15.5.12"),
    ("precondition_failed", 412, "Precondition Failed", "If-Match does not hold", "15.5.13"),
    (
        "content_too_large",
        413,
        "Request Entity Too Large",
        "the body is larger than a limit (client_max_body_size); the server closes",
        "15.5.14",
    ),
    (
        "uri_too_long",
        414,
        "Request-URI Too Large",
        "the request line is longer than a buffer; the server closes",
        "15.5.15",
    ),
    (
        "unsupported_media_type",
        415,
        "Unsupported Media Type",
        "the server does not read this Content-Type",
        "15.5.16",
    ),
    (
        "range_not_satisfiable",
        416,
        "Requested Range Not Satisfiable",
        "the range lies behind the end",
        "15.5.17",
    ),
    ("expectation_failed", 417, "Expectation Failed", "the server will not say 100", "15.5.18"),
    ("misdirected_request", 421, "Misdirected Request", "not this server's host", "15.5.20"),
    ("unprocessable_content", 422, "Unprocessable Content", "well-formed, and wrong", "15.5.21"),
    ("locked", 423, "Locked", "somebody else holds it", "RFC 4918 11.3"),
    ("too_early", 425, "Too Early", "sent in TLS early data, might be replayed", "RFC 8470 5.2"),
    ("upgrade_required", 426, "Upgrade Required", "another protocol is demanded", "15.5.22"),
    (
        "precondition_required",
        428,
        "Precondition Required",
        "writes must say which version they change",
        "RFC 6585 3",
    ),
    (
        "too_many_requests",
        429,
        "Too Many Requests",
        "a rate limit; set retry_after as most services do",
        "RFC 6585 4",
    ),
    (
        "request_header_fields_too_large",
        431,
        "Request Header Fields Too Large",
        "cookies or tokens have outgrown a buffer; the server closes (nginx says 400)",
        "RFC 6585 5",
    ),
    (
        "unavailable_for_legal_reasons",
        451,
        "Unavailable For Legal Reasons",
        "censored",
        "RFC 7725 3",
    ),
    (
        "internal_server_error",
        500,
        "Internal Server Error",
        "the application failed; the connection stays (nginx's own 500 closes: close=yes)",
        "15.6.1",
    ),
    ("not_implemented", 501, "Not Implemented", "a method the server does not know", "15.6.2"),
    ("bad_gateway", 502, "Bad Gateway", "the application is down or talks nonsense", "15.6.3"),
    (
        "service_unavailable",
        503,
        "Service Temporarily Unavailable",
        "overloaded, being deployed, or no healthy instance; retry_after says for how long",
        "15.6.4",
    ),
    ("gateway_timeout", 504, "Gateway Time-out", "the application did not answer", "15.6.5"),
    (
        "version_not_supported",
        505,
        "HTTP Version Not Supported",
        "the server does not speak it",
        "15.6.6",
    ),
    ("insufficient_storage", 507, "Insufficient Storage", "the disk is full", "RFC 4918 11.5"),
    ("moved_permanently", 301, "Moved Permanently", "cached by clients; set location", "15.4.2"),
    ("found", 302, "Moved Temporarily", "elsewhere for now; set location", "15.4.3"),
    ("see_other", 303, "See Other", "GET another place; set location", "15.4.4"),
    ("not_modified", 304, "Not Modified", "what the client has is still right", "15.4.5"),
    ("temporary_redirect", 307, "Temporary Redirect", "302, same method; set location", "15.4.8"),
    ("permanent_redirect", 308, "Permanent Redirect", "301, same method; set location", "15.4.9"),
)

CLOSING = (400, 408, 413, 414, 431, 501)
"""After these nginx closes the connection ."""


def _source(where: str) -> str:
    return where if where.startswith("RFC") else f"{_RFC} {where}"


ERRORS = {
    name: ErrorSpec(
        name, str(code), words, note, _source(where), moments=(), closes=code in CLOSING
    )
    for name, code, words, note, where in _ALL
}

ALIASES = {
    "payload_too_large": "content_too_large",
    "rate_limited": "too_many_requests",
    "unavailable": "service_unavailable",
    "overloaded": "service_unavailable",
}
"""Other names that people try."""

_BY_CODE = {spec.code: spec for spec in ERRORS.values()}


def error_named(name: str) -> ErrorSpec | None:
    """By name or status; any other status from 300 to 599 as well."""
    spec = ERRORS.get(name) or ERRORS.get(ALIASES.get(name, "")) or _BY_CODE.get(name)
    if spec is None and re.fullmatch("[345][0-9]{2}", name):
        try:
            words = HTTPStatus(int(name)).phrase
        except ValueError:
            words = ""
        return ErrorSpec(name, name, words, "any other status")
    return spec
