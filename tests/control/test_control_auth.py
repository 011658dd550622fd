"""Who may call: Host, Origin, tokens and roles."""

from __future__ import annotations

import hashlib
from typing import Any

import attrs
import pytest

from rascal.config import Configuration, Token
from rascal.control import check_exposure
from rascal.errors import ConfigError
from rascal.language import Address

PATH = "/api/v1/proxies"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8474", 200),
        ("127.0.0.1", 200),
        ("127.8.9.1:1", 200),
        ("localhost:8474", 200),
        ("LOCALHOST.", 200),
        ("app.localhost", 200),
        ("[::1]:8474", 200),
        ("evil.example", 403),
        ("evil.example:8474", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("10.0.0.5:8474", 403),
        ("local@evil", 400),
        ("127.0.0.1:x", 400),
        ("", 400),
    ],
)
def test_only_our_names_are_served(ask: Any, host: str, status: int) -> None:
    assert ask("GET", PATH, headers={"Host": host}).status == status


def test_configured_hosts_are_served(ask: Any, node: Any) -> None:
    assert ask("GET", PATH, headers={"Host": "rascal.lan:8474"}).status == 403
    node.configuration = attrs.evolve(node.configuration, hosts=("Rascal.lan",))
    assert ask("GET", PATH, headers={"Host": "rascal.lan:8474"}).status == 200


def test_off_loopback_addresses_are_served_but_not_names(ask: Any, node: Any) -> None:
    node.configuration = attrs.evolve(
        node.configuration, control=Address("tcp", "0.0.0.0", 8474), tokens=()
    )
    assert ask("GET", PATH, headers={"Host": "10.0.0.5:8474"}).status == 200
    assert ask("GET", PATH, headers={"Host": "[fe80::1]:8474"}).status == 200
    assert ask("GET", PATH, headers={"Host": "evil.example"}).status == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://127.0.0.1:8474"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "http://127.0.0.1:8475"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:8474.evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8474"}, 403),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_other_pages_are_refused(
    ask: Any, node: Any, method: str, headers: dict[str, str], status: int
) -> None:
    data = {"on": True} if method == "PUT" else None
    found = ask(method, "/api/v1/panic", data, headers=headers)
    assert found.status == status
    assert node.panic.on == (method == "PUT" and status == 200)


@pytest.fixture
def guarded(ask: Any, node: Any) -> Any:
    hashed = hashlib.sha256(b"hashed one").hexdigest()
    node.configuration = attrs.evolve(
        node.configuration,
        tokens=(
            Token(role="viewer", secret="look"),
            Token(role="operator", secret="break"),
            Token(role="admin", secret=f"sha256:{hashed}"),
        ),
    )
    return ask


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (None, 401),
        ("look", 401),
        ("Basic look", 401),
        ("Bearer", 401),
        ("Bearer loo", 401),
        ("Bearer look2", 401),
        ("Bearer \xff\xfe", 401),
        ("Bearer look", 200),
        ("bearer  look", 200),
        ("Bearer break", 200),
        ("Bearer hashed one", 200),
    ],
)
def test_a_token_is_needed(guarded: Any, given: str | None, status: int) -> None:
    found = guarded("GET", PATH, headers={"Authorization": given or ""})
    assert found.status == status
    if status == 401:
        assert found.headers["www-authenticate"].startswith("Bearer")
        assert "look" not in found.body.decode()


def test_a_hash_is_no_token(guarded: Any, node: Any) -> None:
    secret = node.configuration.tokens[2].secret
    assert guarded("GET", PATH, headers={"Authorization": f"Bearer {secret}"}).status == 401


def test_without_a_token_nothing_is_told(guarded: Any) -> None:
    for path in ("/api/v1/nonsense", "/", f"{PATH}/nonsense"):
        assert guarded("GET", path).status == 401
    assert guarded("GET", "/healthz", headers={"Host": "10.1.2.3"}).status == 200


FAULTS = f"{PATH}/cache/faults"
CALLS: list[tuple[str, str, Any, str]] = [
    ("GET", PATH, None, "viewer"),
    ("GET", FAULTS, None, "viewer"),
    ("GET", "/api/v1/counters", None, "viewer"),
    ("GET", "/api/v1/kinds", None, "viewer"),
    ("POST", FAULTS, "hang", "operator"),
    ("PATCH", f"{FAULTS}/slow", {"enabled": False}, "operator"),
    ("POST", f"{FAULTS}/slow/restart", {}, "operator"),
    ("DELETE", f"{FAULTS}/slow", None, "operator"),
    ("PUT", "/api/v1/panic", {"on": False}, "operator"),
    ("DELETE", "/api/v1/counters", None, "operator"),
    ("PATCH", f"{PATH}/cache", {}, "admin"),
    ("POST", "/api/v1/reload", {}, "admin"),
]
TOKENS = {"viewer": "look", "operator": "break", "admin": "hashed one"}


@pytest.mark.parametrize("role", list(TOKENS))
@pytest.mark.parametrize(("method", "path", "data", "needs"), CALLS)
def test_roles(guarded: Any, role: str, method: str, path: str, data: Any, needs: str) -> None:
    headers = {"Authorization": f"Bearer {TOKENS[role]}"}
    found = guarded(method, path, data, headers=headers)
    ranks = list(TOKENS)
    if ranks.index(role) >= ranks.index(needs):
        assert found.status in (200, 201)
    else:
        assert found.status == 403
        assert found.json["allowed"] == ranks[ranks.index(needs) :]


@pytest.mark.parametrize(
    ("control", "tokens", "exposed"),
    [
        (None, False, False),
        (Address("tcp", "127.0.0.1", 8474), False, False),
        (Address("tcp", "::1", 8474), False, False),
        (Address("tcp", "localhost", 8474), False, False),
        (Address("unix", path="/run/x.sock"), False, False),
        (Address("tcp", "0.0.0.0", 8474), False, True),
        (Address("tcp", "::", 8474), False, True),
        (Address("tcp", "10.0.0.5", 8474), False, True),
        (Address("tcp", "rascal.lan", 8474), False, True),
        (Address("tcp", "0.0.0.0", 8474), True, False),
    ],
)
def test_without_tokens_only_this_machine(
    control: Address | None, tokens: bool, exposed: bool
) -> None:
    token = Token(role="admin", secret="x")
    configuration = Configuration(control=control, tokens=(token,) if tokens else ())
    if exposed:
        with pytest.raises(ConfigError, match="needs tokens") as caught:
            check_exposure(configuration)
        assert caught.value.option == "control"
    else:
        check_exposure(configuration)
