"""Who may use the compatible API: browsers never, others as `compatible` and tokens say."""

from __future__ import annotations

import pytest
from toxi_asking import DB, ToxiAsker, refused, well

from rascal.config import load
from rascal.errors import ConfigErrors

BROWSERS = [
    {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"},
    {"Origin": "http://127.0.0.1:8474"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
]

TOKENS = "tokens = viewer V3, operator O3, admin A3"
OFF = "compatible = off"
OPEN = "compatible = open"


@pytest.mark.parametrize("settings", ["", OPEN])
@pytest.mark.parametrize("headers", BROWSERS, ids=str)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/version"), ("GET", "/proxies"), ("POST", "/reset")]
)
def test_browsers_are_refused(
    toxi: ToxiAsker, method: str, path: str, headers: dict[str, str]
) -> None:
    refused(toxi(method, path, headers=headers), 403, "User agent not allowed")


@pytest.mark.parametrize(
    "agent", ["", "Mozilla", "toxiproxy-cli/2.12.0", "node", "not Mozilla/5.0"]
)
def test_other_agents_are_not(toxi: ToxiAsker, agent: str) -> None:
    assert toxi("GET", "/version", headers={"User-Agent": agent}).status == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8474", "[::1]:8474"])
def test_names_of_ours(toxi: ToxiAsker, host: str) -> None:
    well(toxi("GET", "/proxies", headers={"Host": host}))


def test_a_name_that_was_pointed_here_is_refused(toxi: ToxiAsker) -> None:
    found = toxi("POST", "/proxies", DB, headers={"Host": "evil.example:8474"})
    assert (found.status, found.json["status"]) == (403, 403)
    assert found.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("settings", ["hosts = toxiproxy"])
def test_a_name_that_is_listed(toxi: ToxiAsker) -> None:
    well(toxi("GET", "/proxies", headers={"Host": "toxiproxy:8474"}))


@pytest.mark.parametrize("settings", [OPEN])
def test_open_means_every_name_and_every_address(toxi: ToxiAsker) -> None:
    toxi.peer = "10.1.2.3"
    well(toxi("POST", "/proxies", DB, headers={"Host": "toxiproxy:8474"}), 201)
    well(toxi("GET", "/proxies", headers={"Host": ""}))


def test_loopback_means_this_machine(toxi: ToxiAsker) -> None:
    toxi.peer = "10.1.2.3"
    assert toxi("GET", "/proxies").status == 403
    toxi.peer = "127.8.8.8"
    assert toxi("GET", "/proxies").status == 200


@pytest.mark.parametrize("settings", [OFF])
def test_off_means_nobody(toxi: ToxiAsker) -> None:
    refused(toxi("GET", "/version"), 403, "a token is needed here: [rascal] compatible = off")


@pytest.mark.parametrize("settings", [f"{OFF}\n{TOKENS}"])
@pytest.mark.parametrize(
    ("token", "statuses"),
    [
        ("V3", (200, 403, 403)),
        ("O3", (200, 404, 403)),
        ("A3", (200, 404, 201)),
        ("X", (401, 401, 401)),
        ("", (401, 401, 401)),
    ],
)
def test_a_token_has_its_role(toxi: ToxiAsker, token: str, statuses: tuple[int, ...]) -> None:
    headers = {"Authorization": f"Bearer {token}" if token else ""}
    asked = (
        toxi("GET", "/proxies", headers=headers),
        toxi("POST", "/proxies/none/toxics", {"type": "noop"}, headers=headers),
        toxi("POST", "/proxies", DB, headers=headers),
    )
    assert tuple(one.status for one in asked) == statuses


@pytest.mark.parametrize("settings", [TOKENS])
def test_on_this_machine_no_token_is_needed(toxi: ToxiAsker) -> None:
    well(toxi("POST", "/proxies", DB), 201)
    assert toxi("GET", "/api/v1/proxies").status == 401
    toxi.peer = "10.1.2.3"
    assert toxi("GET", "/proxies").status == 401
    well(toxi("GET", "/proxies", headers={"Authorization": "Bearer V3"}))


@pytest.mark.parametrize("settings", [OPEN])
def test_the_native_api_is_not_open_with_it(toxi: ToxiAsker, node: object) -> None:
    import attrs

    from rascal.language import Address

    where = Address("tcp", "10.0.0.5", 8474)
    configuration = node.configuration  # type: ignore[attr-defined]
    node.configuration = attrs.evolve(configuration, control=where)  # type: ignore[attr-defined]
    toxi.peer = "10.1.2.3"
    headers = {"Host": "10.0.0.5:8474"}
    well(toxi("GET", "/proxies", headers=headers))
    assert toxi("GET", "/api/v1/proxies", headers=headers).status == 401
    toxi.peer = "127.0.0.1"
    assert toxi("GET", "/api/v1/proxies", headers=headers).status == 200


def test_only_open_may_stand_in_the_open_without_tokens(tmp_path: object) -> None:
    file = tmp_path / "proxies.ini"  # type: ignore[operator]
    file.write_text("[rascal]\ncontrol = 0.0.0.0:8474\n")
    with pytest.raises(ConfigErrors, match="needs tokens"):
        load(str(file), {})
    file.write_text("[rascal]\ncontrol = 0.0.0.0:8474\ncompatible = open\n")
    assert load(str(file), {}).compatible == "open"
