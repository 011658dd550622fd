"""What requests sees of every catalogue error of HTTP, in front of a real nginx."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from harness import Case, check, look, usable
from http_place import NGINX, Place, Web, by_fresh, cleared, started

from rascal.control.client import Refused
from rascal.wire.http_errors import ERRORS

pytestmark = pytest.mark.skipif(not NGINX, reason="nginx is not installed")
SEEN = ("http", "requests")


@pytest.fixture(scope="module")
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with started(tmp_path_factory.mktemp("http")) as place:
        yield place


@pytest.fixture
def place(_place: Place) -> Iterator[Place]:
    with cleared(_place):
        yield _place


def told(reply: requests.Response) -> str:
    """Status line and what a client reads of the head."""
    names = ("Content-Type", "Retry-After", "Location")
    fields = [f"{name}: {reply.headers[name]}" for name in names if name in reply.headers]
    return " | ".join([f"{reply.status_code} {reply.reason}".rstrip(), *fields])


def charge(web: Web) -> str:
    return told(web.ask("/charge", "POST", json={"amount": 5}, allow_redirects=False))


REASONS = [
    ("bad_request", 400, "Bad Request"),
    ("unauthorized", 401, "Unauthorized"),
    ("payment_required", 402, "Payment Required"),
    ("forbidden", 403, "Forbidden"),
    ("not_found", 404, "Not Found"),
    ("method_not_allowed", 405, "Not Allowed"),
    ("not_acceptable", 406, "Not Acceptable"),
    ("proxy_authentication_required", 407, "Proxy Authentication Required"),
    ("request_timeout", 408, "Request Time-out"),
    ("conflict", 409, "Conflict"),
    ("gone", 410, "Gone"),
    ("length_required", 411, "Length Required"),
    ("precondition_failed", 412, "Precondition Failed"),
    ("content_too_large", 413, "Request Entity Too Large"),
    ("uri_too_long", 414, "Request-URI Too Large"),
    ("unsupported_media_type", 415, "Unsupported Media Type"),
    ("range_not_satisfiable", 416, "Requested Range Not Satisfiable"),
    ("expectation_failed", 417, "Expectation Failed"),
    ("misdirected_request", 421, "Misdirected Request"),
    ("unprocessable_content", 422, "Unprocessable Content"),
    ("locked", 423, "Locked"),
    ("too_early", 425, "Too Early"),
    ("upgrade_required", 426, "Upgrade Required"),
    ("precondition_required", 428, "Precondition Required"),
    ("too_many_requests", 429, "Too Many Requests"),
    ("request_header_fields_too_large", 431, "Request Header Fields Too Large"),
    ("unavailable_for_legal_reasons", 451, "Unavailable For Legal Reasons"),
    ("internal_server_error", 500, "Internal Server Error"),
    ("not_implemented", 501, "Not Implemented"),
    ("bad_gateway", 502, "Bad Gateway"),
    ("service_unavailable", 503, "Service Temporarily Unavailable"),
    ("gateway_timeout", 504, "Gateway Time-out"),
    ("version_not_supported", 505, "HTTP Version Not Supported"),
    ("insufficient_storage", 507, "Insufficient Storage"),
    ("moved_permanently", 301, "Moved Permanently"),
    ("found", 302, "Moved Temporarily"),
    ("see_other", 303, "See Other"),
    ("not_modified", 304, "Not Modified"),
    ("temporary_redirect", 307, "Temporary Redirect"),
    ("permanent_redirect", 308, "Permanent Redirect"),
]
CLOSING = (400, 408, 413, 414, 431, 501)
"""nginx closes after these."""
CATALOGUE = [
    Case(
        name,
        f"error({name}, location=/else)"
        if 301 <= status <= 308 and status != 304
        else f"error({name})",
        charge,
        f"{status} {reason}"
        + (" | Content-Type: text/html" if status != 304 else "")
        + (" | Location: /else" if 301 <= status <= 308 and status != 304 else ""),
        after="anew" if status in CLOSING else "yes",
    )
    for name, status, reason in REASONS
]


@pytest.mark.parametrize("case", CATALOGUE, ids=lambda case: case.name)
def test_errors(case: Case, place: Place, seen: Callable[..., None]) -> None:
    check(case, place.node, "web", place.client(), seen)
    assert place.served("POST /charge 200") == 0


def test_every_error_of_the_catalogue_is_here() -> None:
    assert [case.name for case in CATALOGUE] == list(ERRORS)


@pytest.mark.parametrize("name", [name for name, status, _ in REASONS if status >= 400])
def test_the_exception_of_a_status(name: str, place: Place) -> None:
    """raise_for_status, which is how applications see it; HEAD has no body and stays in step."""
    web = place.client()
    with place.node.fault("web", f"error({name})", fired=2):
        with pytest.raises(requests.HTTPError) as caught:
            web.ask("/hello").raise_for_status()
        assert str(caught.value.response.status_code) == ERRORS[name].code
        assert f"<h1>{ERRORS[name].code} " in caught.value.response.text
        reply = web.ask("/hello", "HEAD")
        assert (str(reply.status_code), reply.content) == (ERRORS[name].code, b"")
        assert int(reply.headers["Content-Length"]) > 50
    assert web.says("/hello") == "200 hello"


OPTIONS = [
    Case("error", f"error({sentence})", does, sees)
    for sentence, does, sees in (
        (
            "503, retry_after=2s",
            charge,
            "503 Service Temporarily Unavailable | Content-Type: text/html | Retry-After: 2",
        ),
        (
            "429, retry_after=1500ms",
            charge,
            "429 Too Many Requests | Content-Type: text/html | Retry-After: 2",
        ),
        (
            "503, retry_after_text='Wed, 21 Oct 2015 07:28:00 GMT'",
            charge,
            "503 Service Temporarily Unavailable | Content-Type: text/html | "
            "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT",
        ),
        (
            "429, retry_after_text=soon",
            charge,
            "429 Too Many Requests | Content-Type: text/html | Retry-After: soon",
        ),
        ("503, style=haproxy", charge, "503 Service Unavailable | Content-Type: text/html"),
        ("503, style=json", charge, "503 Service Unavailable | Content-Type: application/json"),
        (
            "503, style=problem",
            charge,
            "503 Service Unavailable | Content-Type: application/problem+json",
        ),
        (
            "503, style=text",
            charge,
            "503 Service Unavailable | Content-Type: text/plain; charset=utf-8",
        ),
        (
            "503, style=login",
            charge,
            "503 Service Unavailable | Content-Type: text/html; charset=utf-8",
        ),
        ("503, style=none", charge, "503 Service Unavailable"),
        (
            '503, body=\'{"error": "later"}\'',
            charge,
            "503 Service Temporarily Unavailable | Content-Type: application/json",
        ),
        ("499, style=none", charge, "499"),
        ("overloaded", charge, "503 Service Temporarily Unavailable | Content-Type: text/html"),
        (
            "302, location=http://127.0.0.1:1/",
            charge,
            "302 Moved Temporarily | Content-Type: text/html | Location: http://127.0.0.1:1/",
        ),
    )
]


@pytest.mark.parametrize("case", OPTIONS, ids=str)
def test_options_of_errors(case: Case, place: Place, seen: Callable[..., None]) -> None:
    check(case, place.node, "web", place.client(), seen)


@pytest.mark.parametrize(
    ("style", "words"),
    [
        ("nginx", "<center><h1>503 Service Temporarily Unavailable</h1></center>"),
        ("haproxy", "<h1>503 Service Unavailable</h1>\nNo server is available"),
        ("json", {"status": 503, "error": "Service Unavailable", "message": "Service Unavailable"}),
        ("problem", {"type": "about:blank", "title": "Service Unavailable", "status": 503}),
        ("text", "Service Unavailable\n"),
        ("login", '<input name="password" type="password">'),
        ("none", ""),
    ],
)
def test_bodies_of_errors(style: str, words: Any, place: Place) -> None:
    web = place.client()
    with place.node.fault("web", f"error(503, style={style})"):
        reply = web.ask("/items.json")
    if isinstance(words, dict):
        assert reply.json() == words
    else:
        assert words in reply.text
        with pytest.raises(requests.JSONDecodeError):
            reply.json()
    assert web.ask("/items.json").json()[0] == {"id": 1, "name": "pen"}


def test_further_fields_and_close(place: Place) -> None:
    web = place.client()
    before = web.thread_id()
    fault = "error(503, header='X-Request-Id: 7 | Cache-Control: no-store', close=yes)"
    with place.node.fault("web", fault):
        reply = web.ask("/hello")
    assert (reply.headers["X-Request-Id"], reply.headers["Cache-Control"]) == ("7", "no-store")
    assert reply.headers["Connection"] == "close"
    assert usable(web, before) == "anew"


def test_errors_after_the_work_is_done(place: Place, seen: Callable[..., None]) -> None:
    """At reply nginx has done it, and the client is told that it has not."""
    web = place.client()
    before = web.thread_id()
    sentence = "error(502) match path=/charge at reply"
    with place.node.fault("web", sentence):
        sight = look(charge, web)
        sight.got("502 Bad Gateway | Content-Type: text/html")
    place.wait_served("POST /charge 200", 1)
    after = usable(web, before)
    assert after == "yes"
    seen("error", sentence, sight, after)


def test_thirty_percent_of_the_charges(place: Place, seen: Callable[..., None]) -> None:
    """Those of one tenant, and no other request; the same ones again with the same seed."""
    web = place.client()
    sentence = (
        "30% error(503, retry_after=2s) match method=POST and path=/charge and header.X-Tenant=acme"
    )
    rounds = []
    for _ in range(2):
        with place.node.fault("web", sentence, fired=None, name="thirty") as fault:
            found = []
            for _ in range(200):
                reply = web.ask("/charge", "POST", json={}, headers={"X-Tenant": "acme"})
                found.append(reply.status_code)
                assert reply.status_code == 200 or reply.headers["Retry-After"] == "2"
            state = fault.state
            assert state["matched"] == 200
            assert state["fired"] == found.count(503)
            assert 35 <= state["fired"] <= 85
            for headers, path, method in (
                ({"X-Tenant": "other"}, "/charge", "POST"),
                ({"X-Tenant": "acme"}, "/hello", "POST"),
                ({"X-Tenant": "acme"}, "/charge", "GET"),
                ({}, "/charge", "POST"),
            ):
                assert web.ask(path, method, headers=headers).status_code == 200
            assert fault.state["matched"] == 200
        rounds.append(found)
    assert rounds[0] == rounds[1]
    place.wait_served("POST /charge 200", 2 * (rounds[0].count(200) + 2))
    told_all = f"503 for {rounds[0].count(503)} of 200"
    seen("error", sentence, told_all, usable(web, web.thread_id()))


def test_errors_that_http_has_not(place: Place) -> None:
    for sentence in ("error(deadlock)", "error(200)", "error(503) at connect", "error(42)"):
        with pytest.raises(Refused) as caught:
            place.node.control.add("web", sentence)
        assert caught.value.status == 422


def test_json_is_json(place: Place) -> None:
    """The request's own URL is where a redirect without a location leads: in a circle."""
    web = place.client()
    with place.node.fault("web", "error(302)"):
        reply = web.ask("/items.json?a=b", allow_redirects=False)
        assert reply.headers["Location"].endswith("/items.json?a=b")
    assert json.loads(web.ask("/items.json").text)[1]["name"] == "cup"


def test_a_client_that_has_just_connected(place: Place, seen: Callable[..., None]) -> None:
    sentence = "error(503) match n=1"
    with place.node.fault("web", sentence):
        sight = look(
            by_fresh(lambda web: f"{charge(web)}, then {web.says('/hello')}"), place.client()
        )
        sight.got("503 Service Temporarily Unavailable | Content-Type: text/html, then 200 hello")
    seen("error", sentence, sight, "yes")
