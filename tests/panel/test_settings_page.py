"""Settings: what is configured is shown, what is secret is not."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from panel_process import PATIENCE, PanelProcess
from stored_runs import Browser

from rascal.config.tokens import hash_token, make_token
from rascal.panel.pages.settings import TABS, shown, vendored

TOKENS = {role: make_token() for role in ("admin", "operator", "viewer")}
SECRETS = ("sesame", "hooksecret", "mailsecret", "commandsecret", "nodesecret-nodesecret")
FILE = """\
[panel]
redis = redis://:sesame@127.0.0.1:1
nodes = main=http://127.0.0.1:9
node_token = nodesecret-nodesecret
webhook = https://chat.test/hooksecret
mail = smtp://user:mailsecret@mail.test:25/?from=a@b.test&to=c@d.test
command = /usr/bin/true commandsecret
targets = *.staging.shop.test
tokens =
    admin {admin} ops
    operator {operator} ann
    viewer {viewer} wall
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A panel with everything set."""
    folder: Path = tmp_path_factory.mktemp("settings")
    hashed = {role: hash_token(token) for role, token in TOKENS.items()}
    (folder / "panel.ini").write_text(FILE.format(**hashed))
    panel = Protected(folder, config=str(folder / "panel.ini"))
    panel.start()
    try:
        yield Browser(panel)
    finally:
        panel.stop()


class Protected(PanelProcess):
    """One that wants to know who asks."""

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, headers=bearer("admin"))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def bearer(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[role]}"}


def page(place: Browser, tab: str, role: str = "admin") -> str:
    status, _, text = place.get(f"/settings/{tab}" if tab else "/settings", **bearer(role))
    assert status == 200, (status, text[-500:], place.panel.log()[-3000:])
    return text


@pytest.mark.integration
@pytest.mark.parametrize("tab", [slug for slug, _ in TABS])
@pytest.mark.parametrize("role", sorted(TOKENS))
def test_nothing_secret_is_shown(place: Browser, tab: str, role: str) -> None:
    text = page(place, tab, role)
    for secret in (*SECRETS, *TOKENS.values(), *map(hash_token, TOKENS.values())):
        assert secret not in text
    if tab != "targets":  # where the fingerprint stands that targets prove with: that is public
        assert not re.search(r"[0-9a-f]{40}", text)
    assert f'aria-current="page">{dict(TABS)[tab]}</a>' in text


@pytest.mark.integration
def test_what_is_set_is_told(place: Browser) -> None:
    text = page(place, "")
    assert "redis://:***@127.0.0.1:1" in text
    assert "https://chat.test/…" in text
    assert "main=http://127.0.0.1:9" in text
    for option in ("node_token", "mail", "command"):
        assert re.search(rf'{option}</td><td class="value"><span class="given">set</span>', text)
    assert "3 set" in text
    assert "*.staging.shop.test" in page(place, "targets")
    assert "/.well-known/rascal-target" in page(place, "targets")


@pytest.mark.integration
def test_tokens_by_name_and_role(place: Browser) -> None:
    text = page(place, "tokens")
    assert re.search(r'class="name">ops</td><td>admin</td>', text)
    assert re.search(r'class="name">wall</td><td>viewer</td>', text)


@pytest.mark.integration
def test_logging_in_shows_up_and_logging_out_ends_it(place: Browser) -> None:
    port = place.panel.port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    origin = {"Origin": f"http://127.0.0.1:{port}"}
    form = {"Content-Type": "application/x-www-form-urlencoded", **origin}
    connection.request("POST", "/login", urlencode({"token": TOKENS["operator"]}), form)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 303
    cookie = {"Cookie": (answer.getheader("set-cookie") or "").partition(";")[0]}
    people = page(place, "people")
    assert re.search(r'class="name">ann</td><td>operator</td>', people), people[-1500:]
    status, _, mine = place.get("/settings", **cookie)
    assert status == 200
    assert "<strong>ann</strong> (operator)" in mine
    assert "Log out</button>" in mine
    token = re.search(r'name="csrf-token" content="([^"]+)"', mine)
    assert token
    headers = {**cookie, **origin, "X-CSRF-Token": token[1], "Content-Type": "application/json"}
    connection.request("POST", "/logout", "{}", headers)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 204
    connection.close()
    assert place.get("/settings", **cookie)[0] == 303
    assert "Admins see who is logged in" in page(place, "people", "viewer")
    assert "POST /logout" in page(place, "audit")


@pytest.mark.integration
def test_a_node_that_is_away(place: Browser) -> None:
    text = page(place, "nodes")
    assert "http://127.0.0.1:9" in text
    assert re.search(r'class="state (away|unknown)"', text)


@pytest.mark.integration
def test_files_of_others_with_their_licences(place: Browser) -> None:
    text = page(place, "about")
    for one in vendored():
        assert one["file"] in text
        path = re.search(rf'href="(/static/[^"]+/{one["text"]})"', text)
        assert path
        status, headers, licence = place.get(path[1])
        assert status == 200
        assert headers["content-type"].startswith("text/plain")
        assert "licen" in licence.lower()


def test_vendored_files_are_those_of_the_list() -> None:
    assert [one["file"] for one in vendored()] == ["preact-htm.js", "uplot.js", "uplot.css"]
    assert all(one["version"] and one["licence"] and len(one["digest"]) == 64 for one in vendored())


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("webhook", "https://user:pw@chat.test/hook/secret?x=1", "https://chat.test/…"),
        ("webhook", "", ""),
        ("mail", "smtp://user:pw@mail.test", "set"),
        ("command", "rm secret", "set"),
        ("tokens", (), ""),
        ("tokens", ("a", "b"), "2 set"),
        ("session", 43_200.0, "12 h"),
        ("repositories", False, "no"),
        ("nodes", {"main": "http://u:secret@h:1"}, "main=http://u:***@h:1"),
        ("targets", ("a", "b"), "a, b"),
    ],
)
def test_how_values_are_shown(name: str, value: Any, text: str) -> None:
    assert shown(name, value) == text
