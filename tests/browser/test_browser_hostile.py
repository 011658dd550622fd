"""Hostile names, bodies, pages, hosts and tokens: each refused, or shown as the text that it is."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

import pytest
from browser_place import Place
from conftest import STRANGE, Watch, opened
from hostile_node import hostile_node
from playwright.sync_api import expect

from rascal.config.tokens import hash_token, make_token
from rascal.demo.node import NodeError

SCRIPT = "<script>alert('caught')</script>"
IMAGE = "<img src=x onerror=alert('caught')>"
HOSTILE = f'''\
"""{SCRIPT}"""

from rascal.load import Option, scenario

odd = Option("odd", str, "{IMAGE}", "{SCRIPT}")


@scenario("odd")
async def order(user):
    """{IMAGE}"""
    reply = await user.get("/echo?{quote(SCRIPT + IMAGE)}", name="{SCRIPT}")
    reply.check(contains="a kettle")
'''


@contextmanager
def foreign(html: str) -> Iterator[str]:
    """A page of somebody else's, at an origin of its own."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = html.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def odd_run(place: Place) -> str:
    """A run whose name, flow and label are markup; the second one of two."""
    (place.folder / "odd.py").write_text(HOSTILE)
    for _ in range(2):
        run = place.load(file="odd.py", labels=[IMAGE], name=SCRIPT, **{"for": "2s"})
        place.until_ended(run)
    return run


@pytest.mark.parametrize("name", [SCRIPT, IMAGE, "../etc", "a b", ""])
def test_a_proxy_cannot_be_called_like_that(place: Place, name: str) -> None:
    before = place.node.call("GET", "proxies").keys()
    body = {"name": name, "protocol": "tcp", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}
    with pytest.raises(NodeError, match=": 4"):
        place.node.call("POST", "proxies", body)
    assert place.node.call("GET", "proxies").keys() == before


@pytest.mark.parametrize("path", ["/", "/proxies", "/connect"])
def test_a_node_that_lies_about_names_is_harmless(
    page: Any, place: Place, lying_node: None, path: str
) -> None:
    page.goto(path)
    expect(page.get_by_role("button", name="Stop everything")).to_be_enabled()
    if path != "/connect":
        expect(page.get_by_text("onerror=alert").first).to_be_attached()
    assert page.locator("img[src=x]").count() == 0


@pytest.fixture(scope="module")
def lying_node(place: Place) -> Iterator[None]:
    """A second node, whose proxy is called by markup."""
    with hostile_node(place.node.url, "cache", IMAGE) as url:
        place.options["nodes"] = f"main={place.node.url}, evil={url}"
        place.kill_panel()
        place.restart_panel()
        yield
        place.kill_panel()
        del place.options["nodes"]
        place.restart_panel()


def test_a_reply_is_shown_as_text(page: Any, place: Place, odd_run: str) -> None:
    page.goto(f"/runs/{odd_run}")
    exchanges = page.get_by_role("region", name="Exchanges")
    exchanges.get_by_role("button", name=re.compile("echo")).first.click()
    expect(exchanges.get_by_text(SCRIPT + IMAGE).first).to_be_visible()
    nothing_hostile(page)


@pytest.mark.parametrize("name", [SCRIPT, IMAGE, "a b", "../odd"])
def test_a_scenario_cannot_be_called_like_that(page: Any, place: Place, name: str) -> None:
    text = HOSTILE.replace('@scenario("odd")', f"@scenario({name!r})")
    (place.folder / "worse.py").write_text(text)
    try:
        order = {"file": "worse.py", "target": place.target, "rate": "1/s", "for": "1s"}
        assert place.ask("POST", "/api/v1/runs", {"load": order})[0] == 422
        for path in ("/scenarios", "/scenarios/worse.py"):
            page.goto(path)
            expect(page.get_by_text("cannot name a scenario").first).to_be_visible()
            nothing_hostile(page)
    finally:
        (place.folder / "worse.py").unlink()


def nothing_hostile(page: Any) -> None:
    """Neither an image nor a script has become of it."""
    assert page.locator("img[src=x]").count() == 0
    scripts = page.locator("script:not([type='application/json'])", has_text="caught")
    assert scripts.count() == 0


@pytest.mark.parametrize(
    "path", ["/runs", "/runs/{run}", "/runs/{run}/live", "/scenarios", "/scenarios/odd.py",
             "/compare?runs={run},{other}", "/", "/runs?label={image}", "/runs?q={script}",
             "/runs/{run}/report.html", "/runs/{run}/replay"]
)  # fmt: skip
def test_names_of_a_run_are_shown_as_text(page: Any, place: Place, odd_run: str, path: str) -> None:
    other = place.ask("GET", "/api/v1/runs")[1]["runs"]
    page.goto(path.format(run=odd_run, other=min(other), image=IMAGE, script=SCRIPT))
    expect(page.get_by_text("caught").first).to_be_attached()
    nothing_hostile(page)


def test_an_address_is_shown_as_text(page: Any, watch: Any) -> None:
    watch.allow("status of 404")
    reply = page.goto(f"/{IMAGE}")
    assert reply.status == 404
    assert page.locator("img[src=x]").count() == 0


ATTACK = """<!doctype html><meta charset=utf-8><title>Win a kettle</title>
<form method=post action="{panel}/api/v1/panic" enctype="text/plain" target=hole>
<input name='{{"on": true, "x' value='": 1}}'></form><iframe name=hole></iframe>
<iframe id=framed src="{panel}/"></iframe>
<output id=told></output>
<script>
const tries = [
  ["PUT", {{"Content-Type": "application/json"}}], ["POST", {{"Content-Type": "text/plain"}}],
  ["POST", {{}}], ["DELETE", {{}}], ["GET", {{}}],
];
document.forms[0].submit();
Promise.allSettled(tries.map(([method, headers]) => fetch("{panel}/api/v1/panic", {{
  method, headers, credentials: "include", body: method === "GET" ? undefined : '{{"on": true}}',
}}))).then(all => {{ told.textContent = all.map(one => one.status).join(" "); }});
</script>"""


def test_a_page_of_somebody_else_can_do_nothing(page: Any, place: Place, watch: Any) -> None:
    watch.allow(".*")  # the browser says loudly what it has stopped
    released = place.node.call("GET", "panic")
    place.node.add("cache", "delay 1ms")
    with foreign(ATTACK.format(panel=place.url)) as url:
        page.goto(url)
        told = page.locator("#told")
        expect(told).to_have_text("rejected rejected rejected rejected rejected")
        framed = page.frame_locator("#framed").locator("#main")
        expect(framed).to_have_count(0)
    assert place.node.call("GET", "panic") == released
    assert place.faults("cache")
    for name in place.faults("cache"):
        place.node.call("DELETE", f"proxies/cache/faults/{name}")


def test_the_panel_does_not_answer_under_a_strange_name(
    page: Any, place: Place, watch: Any
) -> None:
    watch.allow(".*")
    reply = page.goto(f"http://{STRANGE}:{place.port}/")
    assert reply.status == 403
    assert page.locator("meta[name=csrf-token]").count() in (0, 1)
    content = page.locator("meta[name=csrf-token]")
    assert content.count() == 0 or content.get_attribute("content") == ""


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "{own}"}, 403),  # without the form token
        ({"Origin": "{own}", "X-CSRF-Token": "x" * 32}, 403),
        ({"Origin": "http://evil.example", "X-CSRF-Token": "{form}"}, 403),
        ({"X-CSRF-Token": "{form}"}, 403),
        ({"Origin": "{own}", "X-CSRF-Token": "{form}", "Content-Type": "text/plain"}, 415),
        ({"Origin": "{own}", "X-CSRF-Token": "{form}", "Host": "evil.example"}, 403),
    ],
)
def test_a_change_that_is_not_ours_is_refused(
    place: Place, headers: dict[str, str], status: int
) -> None:
    given = {
        name: value.format(own=place.url, form=place.form()) for name, value in headers.items()
    }
    before = place.node.call("GET", "panic")
    for method, path in (("PUT", "/api/v1/panic"), ("POST", "/api/v1/runs")):
        assert place.ask(method, path, {"on": True}, given)[0] == status
    assert place.node.call("GET", "panic") == before


def test_looking_changes_nothing(place: Place, odd_run: str) -> None:
    def state() -> Any:
        return (
            place.node.call("GET", "proxies"),
            place.node.call("GET", "panic"),
            {run: one["labels"] for run, one in place.runs().items()},
            place.ask("GET", "/api/v1/queue")[1],
        )

    before = state()
    for path in (
        "/logout",
        "/api/v1/panic?on=true",
        f"/api/v1/runs/{odd_run}/stop?now=true",
        f"/api/v1/runs/{odd_run}/replay",
        f"/api/v1/runs/{odd_run}/change?profile=hold+1/s",
        "/api/v1/runs?load=customers.py",
        "/api/v1/runs/lever?on=true",
        "/proxies/cache?delete=1",
    ):
        for method in ("GET", "HEAD"):
            status, _ = place.ask(method, path)
            assert status in (200, 303, 404, 405), (method, path, status)
    assert state() == before


# ---- with log-in


Locked = tuple[Place, dict[str, str]]


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    """A panel with tokens, and these by role."""
    tokens = {role: make_token() for role in ("viewer", "operator", "admin")}
    lines = [f"    {role} {hash_token(secret)} {role[:3]}" for role, secret in tokens.items()]
    made = Place(tmp_path_factory.mktemp("locked"), tokens="\n" + "\n".join(lines))
    try:
        yield made, tokens
    finally:
        made.close()


@pytest.fixture
def door(browser: Any, locked: Locked) -> Iterator[tuple[Any, Watch]]:
    """A page before the locked panel, and what it complains of."""
    watch = Watch(locked[0].url + "/")
    for page in opened(browser, locked[0], watch):
        yield page, watch


def log_in(page: Any, token: str) -> None:
    page.goto("/login")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Log in").click()


def replayed(place: Place, cookie: str, form: str) -> tuple[int, int]:
    """What a change and a look get with these."""
    headers = {"Cookie": f"rascal_session={cookie}", "Origin": place.url, "X-CSRF-Token": form}
    change = place.ask("PUT", "/api/v1/panic", {"on": False}, headers)[0]
    return change, place.ask("GET", "/api/v1/runs", headers=headers)[0]


def test_without_a_token_there_is_only_the_door(door: Any, locked: Locked) -> None:
    page, _ = door
    for path in ("/", "/runs", "/proxies/cache", "/settings"):
        page.goto(path)
        expect(page).to_have_url(f"{locked[0].url}/login")
        expect(page.get_by_label("Token")).to_be_focused()
    assert locked[0].ask("GET", "/api/v1/runs")[0] == 401
    assert locked[0].ask("GET", "/api/v1/events")[0] == 401


def test_a_session_that_has_ended_opens_nothing(door: Any, locked: Locked) -> None:
    page, watch = door
    place, tokens = locked
    log_in(page, tokens["operator"])
    expect(page).to_have_url(f"{place.url}/")
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
    form = page.locator("meta[name=csrf-token]").get_attribute("content")
    assert replayed(place, cookie["value"], "x" + form[1:])[0] == 403
    assert replayed(place, cookie["value"], form)[1] == 200
    status = page.evaluate(
        """form => fetch("/logout", {method: "POST", headers: {"X-CSRF-Token": form,
           "Content-Type": "application/json"}}).then(reply => reply.status)""",
        form,
    )
    assert status == 204
    assert replayed(place, cookie["value"], form) == (401, 401)
    page.context.add_cookies([cookie])
    page.goto("/runs")
    expect(page).to_have_url(f"{place.url}/login")
    # A new session does not take the form token of the old one.
    log_in(page, tokens["operator"])
    expect(page).to_have_url(f"{place.url}/")
    (fresh,) = page.context.cookies()
    assert fresh["value"] != cookie["value"]
    assert replayed(place, fresh["value"], form)[0] == 403
    watch.allow("status of 401")  # the stream of the page that was logged out


def test_a_viewer_can_look_and_no_more(door: Any, locked: Locked) -> None:
    page, watch = door
    place, tokens = locked
    log_in(page, tokens["viewer"])
    expect(page).to_have_url(f"{place.url}/")
    form = page.locator("meta[name=csrf-token]").get_attribute("content")
    (cookie,) = page.context.cookies()
    assert replayed(place, cookie["value"], form) == (403, 200)
    watch.allow("status of 403")
    page.keyboard.press("Control+.")
    expect(page.locator("#say")).to_contain_text("Operators")
    assert not place.node.call("GET", "panic")["on"]


def test_a_wrong_token_is_told(door: Any, locked: Locked, shoot: Any) -> None:
    page, watch = door
    watch.allow("status of 401", "status of 429")
    log_in(page, "not-a-token-of-anybody")
    expect(page.get_by_role("alert")).to_have_text("This token is not known")
    shoot(page, "login-wrong")
    for _ in range(10):
        log_in(page, "not-a-token-of-anybody")
    expect(page.get_by_role("alert")).to_contain_text("Too many wrong log-ins")
