"""The panel's door and site: who gets in, what is refused, what every answer says of itself."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

import pytest
from memory_panel import HOST, TOKENS, MemoryPanel
from twisted.internet.testing import StringTransport

from rascal.panel.assets import imports, known
from rascal.panel.door import HEADERS, TRIES
from rascal.panel.site import BODY


@pytest.fixture
def ask(tmp_path: Path) -> MemoryPanel:
    return MemoryPanel(tmp_path)


@pytest.fixture
def guarded(tmp_path: Path) -> MemoryPanel:
    return MemoryPanel(tmp_path, tokens=True)


CHANGE = "/api/v1/noted"
"""A change that these tests add to the panel."""


def add_change(asker: MemoryPanel, role: Any = "operator") -> list[Any]:
    """An address for changes; gives what came through."""
    found: list[Any] = []
    asker.panel.api("POST", CHANGE, lambda call: found.append(call.body()), role)
    return found


# ---- what every answer says


@pytest.mark.parametrize(
    "path",
    ["/settings/about", "/nothing", "/api/v1/nothing", "/api/v1/queue", "/static/mark.svg",
     "/static/nothing.js", "/login"],
)  # fmt: skip
def test_every_answer_has_the_policy(ask: MemoryPanel, path: str) -> None:
    found = ask("GET", path)
    for name, value in HEADERS.items():
        assert found.headers[name.decode()] == value.decode(), name
    policy = found.headers["content-security-policy"]
    assert "unsafe" not in policy and "default-src 'none'" in policy
    assert "access-control-allow-origin" not in found.headers


def test_pages_are_not_kept_and_files_are(ask: MemoryPanel) -> None:
    assert ask("GET", "/settings/about").headers["cache-control"] == "no-store"
    stamped = ask("GET", f"/static/{ask.panel.stamp}/tokens.css")
    assert stamped.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert stamped.headers["content-type"] == "text/css; charset=utf-8"
    assert ask("GET", "/static/tokens.css").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["/static/../site.py", "/static/%2e%2e/site.py", "/static/"])
def test_only_static_files_are_files(ask: MemoryPanel, path: str) -> None:
    found = ask("GET", path)
    assert found.status == 404
    assert b"import" not in found.body


def test_what_was_asked_for_is_text_on_the_error_page(ask: MemoryPanel) -> None:
    found = ask("GET", "/%3Cscript%3Ealert(1)%3C/script%3E")
    assert found.status == 404
    assert "<script>alert" not in found.text


# ---- Host, Origin, form token


@pytest.mark.parametrize("path", ["/settings/about", "/api/v1/queue", "/static/mark.svg", "/login"])
def test_another_host_is_refused(ask: MemoryPanel, path: str) -> None:
    found = ask("GET", path, Host="rebound.example:8480")
    assert found.status == 403
    assert 'csrf-token" content=""' in found.text or "csrf-token" not in found.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 204),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": f"https://{HOST}0"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Origin": ""}, 403),
        ({"X_CSRF_Token": ""}, 403),
        ({"X_CSRF_Token": "guessed"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_a_change_comes_from_a_page_of_ours(
    ask: MemoryPanel, headers: dict[str, str], status: int
) -> None:
    came = add_change(ask)
    assert ask("POST", CHANGE, {"a": 1}, **headers).status == status
    assert came == ([{"a": 1}] if status == 204 else [])


def test_looking_changes_nothing(ask: MemoryPanel) -> None:
    came = add_change(ask)
    for method in ("GET", "HEAD"):
        assert ask(method, CHANGE).status in (404, 405)
    assert came == [] and ask.panel.audited == []


def test_a_body_has_a_bound_and_is_json(ask: MemoryPanel) -> None:
    came = add_change(ask)
    assert ask("POST", CHANGE, body=b"{").json["type"] == "/problems/json"
    assert ask("POST", CHANGE, body=b"[" * 100_000).status == 400
    found = ask("POST", CHANGE, body=b'"' + b"x" * BODY + b'"')
    assert (found.status, found.json["type"]) == (413, "/problems/too-large")
    assert came == []


# ---- logging in


def test_without_a_log_in_there_is_nothing_to_see(guarded: MemoryPanel) -> None:
    add_change(guarded)
    for path in ("/", "/runs", "/settings/about", "/api/v1/events"):
        found = guarded("GET", path)
        assert found.status in (303, 401), path
        if found.status == 303:
            assert found.headers["location"] == "/login"
    found = guarded("GET", "/api/v1/queue")
    assert (found.status, found.headers["www-authenticate"]) == (401, "Bearer")
    assert guarded("POST", CHANGE, {}).status in (401, 403)
    assert guarded("GET", "/static/tokens.css").status == 200


def test_a_wrong_token_is_not_shown_again(guarded: MemoryPanel) -> None:
    found = guarded(
        "POST", "/login", body=b"token=%3Cb%3Ewrong", X_CSRF_Token="",
        Content_Type="application/x-www-form-urlencoded",
    )  # fmt: skip
    assert found.status == 401
    assert "This token is not known" in found.text
    assert "b>wrong" not in found.text and "b&gt;wrong" not in found.text
    assert "set-cookie" not in found.headers


def test_the_cookie_is_for_us_alone(guarded: MemoryPanel) -> None:
    found = guarded.log_in("operator")
    assert (found.status, found.headers["location"]) == (303, "/")
    words = [word.strip() for word in found.headers["set-cookie"].split(";")]
    assert {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"} <= set(words)
    assert TOKENS["operator"] not in found.headers["set-cookie"]
    assert guarded("GET", "/settings/about").status == 200


@pytest.mark.parametrize(
    ("role", "needed", "status"),
    [("viewer", "operator", 403), ("operator", "operator", 204), ("operator", "admin", 403),
     ("admin", "admin", 204), ("viewer", "viewer", 204)],
)  # fmt: skip
def test_roles(guarded: MemoryPanel, role: str, needed: str, status: int) -> None:
    add_change(guarded, needed)
    guarded.log_in(role)
    assert guarded("POST", CHANGE, {}).status == status
    program = guarded(
        "POST", CHANGE, {}, Cookie="", X_CSRF_Token="", Authorization=f"Bearer {TOKENS[role]}"
    )
    assert program.status == status


def test_a_session_s_form_token_is_its_own(guarded: MemoryPanel) -> None:
    add_change(guarded)
    guarded.log_in("operator")
    first = guarded.form
    guarded.log_in("admin")
    assert guarded.form != first
    assert guarded("POST", CHANGE, {}, X_CSRF_Token=first).status == 403


def test_a_session_ends(guarded: MemoryPanel) -> None:
    guarded.log_in("admin")
    guarded.reactor.advance(12 * 3600 + 1)
    assert guarded("GET", "/settings/about").status == 303


def test_a_cookie_does_not_outlive_its_log_out(guarded: MemoryPanel) -> None:
    add_change(guarded)
    guarded.log_in("admin")
    assert guarded("POST", "/logout", {}).status == 204
    assert guarded("GET", "/settings/about").status == 303
    assert guarded("POST", CHANGE, {}).status == 401


def test_a_stream_does_not_outlive_its_log_in(guarded: MemoryPanel) -> None:
    guarded.log_in("viewer")
    channel = guarded.site.buildProtocol(None)
    transport = StringTransport()
    channel.makeConnection(transport)
    cookie = guarded.cookie
    channel.dataReceived(
        f"GET /api/v1/events HTTP/1.0\r\nHost: {HOST}\r\nCookie: {cookie}\r\n\r\n".encode()
    )
    assert b"event: snapshot" in transport.value()
    assert len(guarded.panel.hub.readers) == 1
    guarded.reactor.advance(1)
    assert len(guarded.panel.hub.readers) == 1
    assert guarded("POST", "/logout", {}).status == 204
    guarded.reactor.advance(1)
    assert not guarded.panel.hub.readers and not guarded.panel.hub._lasts


def test_an_address_with_too_much_in_it(ask: MemoryPanel) -> None:
    found = ask("GET", "/runs?" + "&".join(f"a{n}=1" for n in range(200)))
    assert found.status == 400


def test_guessing_is_slowed_down(guarded: MemoryPanel) -> None:
    def guess(token: str = "wrong") -> Any:
        return guarded(
            "POST", "/login", body=f"token={token}".encode(), X_CSRF_Token="",
            Content_Type="application/x-www-form-urlencoded",
        )  # fmt: skip

    assert [guess().status for _ in range(TRIES)] == [401] * TRIES
    found = guess(TOKENS["admin"])
    assert found.status == 429 and 0 < int(found.headers["retry-after"]) <= 60
    guarded.reactor.advance(61)
    assert guess(TOKENS["admin"]).status == 303


# ---- who did what


def test_changes_are_audited_and_looks_are_not(guarded: MemoryPanel) -> None:
    add_change(guarded)
    guarded.log_in("operator")
    heard: list[tuple[str, Any]] = []
    guarded.panel.hub.listeners.append(lambda kind, data: heard.append((kind, data)))
    guarded("POST", CHANGE, {"token": "secret"})
    guarded("GET", "/settings/about")
    entry = guarded.panel.audited[-1]
    assert (entry["who"], entry["what"]) == ("operator operator", f"POST {CHANGE}")
    assert [kind for kind, _ in heard] == ["audit"]
    assert "secret" not in str(guarded.panel.audited)


def test_a_change_that_was_refused_is_not_in_the_books(guarded: MemoryPanel) -> None:
    add_change(guarded, "admin")
    guarded.log_in("viewer")
    guarded("POST", CHANGE, {})
    assert guarded.panel.audited == []


def test_a_mistake_of_ours_tells_nothing_of_itself(ask: MemoryPanel, logged_failures: Any) -> None:
    def broken(call: Any) -> None:
        raise ZeroDivisionError("the password is kettle")

    ask.panel.api("POST", CHANGE, broken, "operator")
    ask.panel.page("/broken", broken)
    for found in (ask("POST", CHANGE, {}), ask("GET", "/broken")):
        assert found.status == 500
        assert b"kettle" not in found.body
    assert len(logged_failures.flush(ZeroDivisionError)) == 2


def test_all_modules_of_a_page_are_asked_for_at_once() -> None:
    found = imports("live.js")
    assert found[0] == "live.js"
    assert {"shell.js", "lib/charts.js", "vendor/preact-htm.js", "vendor/uplot.js"} <= set(found)
    every = {
        posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
        for name in found
        for path in re.findall(r'from "(\.[^"]+)"', known()[name].decode())
    }
    assert every <= set(found)
    assert imports("nothing.js") == ()


def test_the_log_in_shows_no_way_around_it(guarded: MemoryPanel) -> None:
    assert "<nav" not in guarded("GET", "/login").text
    guarded.log_in("viewer")
    assert "<nav" in guarded("GET", "/settings/about").text
