"""The nodes in the panel, against a real rascal-proxy, redis-server and client."""

from __future__ import annotations

import http.client
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from node_process import NodeProcess, both, state_of, until
from panel_process import PATIENCE, PanelProcess

pytestmark = pytest.mark.skipif(not shutil.which("redis-server"), reason="needs redis-server")

FAULTS = "/api/v1/nodes/main/proxies/cache/faults"
CHECK = "/api/v1/nodes/main/check/proxies/cache/faults"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PanelProcess, NodeProcess]]:
    with both(tmp_path_factory.mktemp("nodes")) as found:
        yield found


@pytest.fixture
def panel(place: tuple[PanelProcess, NodeProcess]) -> Iterator[PanelProcess]:
    yield place[0]
    place[0].call("PUT", "/api/v1/panic", {"on": True})  # takes every fault away
    assert place[0].call("PUT", "/api/v1/panic", {"on": False})[0] == 200
    until(lambda: not faults(place[0]), "no fault is known any more")


@pytest.fixture
def node(place: tuple[PanelProcess, NodeProcess]) -> NodeProcess:
    return place[1]


def faults(panel: PanelProcess) -> dict[str, Any]:
    return dict(state_of(panel)["proxies"]["cache"]["faults"])


def test_a_fault_strikes_a_real_client_while_its_switch_is_on(
    panel: PanelProcess, node: NodeProcess
) -> None:
    import redis

    body = {"text": "error(loading) match command=GET", "enabled": False}
    status, made = panel.call("POST", FAULTS, body)
    assert (status, made["name"], made["armed"]) == (200, "error", False)
    client = node.redis()
    client.set("kettle", "39")
    assert client.get("kettle") == b"39"
    assert panel.call("PATCH", f"{FAULTS}/error", {"enabled": True})[1]["armed"] is True
    with pytest.raises(redis.RedisError, match="loading"):
        client.get("kettle")
    known = until(lambda: (one := faults(panel)["error"])["fired"] and one, "its strikes are told")
    assert known["text"] == "error(loading) match command=GET"
    assert known["armed"] and known["fired"] == 1
    assert panel.call("PATCH", f"{FAULTS}/error", {"enabled": False})[0] == 200
    assert client.get("kettle") == b"39"
    assert panel.call("DELETE", f"{FAULTS}/error")[0] == 200
    until(lambda: "error" not in faults(panel), "it is gone")


def test_what_happens_is_told_with_the_node(panel: PanelProcess) -> None:
    told = panel.events("/api/v1/events")
    kind, first = next(told)
    assert kind == "snapshot"
    assert set(first["nodes"]["main"]["proxies"]) == {"cache", "spare"}
    assert first["lever"]["on"] is False
    panel.call("POST", FAULTS, "hang for 60s")
    while (found := _next(told, "faults"))["name"] != "hang":
        assert found["node"] == "main"  # an earlier test's
    assert (found["node"], found["proxy"], found["change"]) == ("main", "cache", "added")
    assert 55 < faults(panel)["hang"]["expires_in"] <= 60


def test_what_would_come_of_a_fault_is_said_and_nothing_changes(panel: PanelProcess) -> None:
    body = {"kind": "delay", "options": {"delay": "800ms"}, "match": "command=GET", "for": "60s"}
    status, found = panel.call("POST", CHECK, body)
    assert status == 200
    assert found["says"] == "Delays messages by 800ms, only if command=GET, for 1m."
    assert found["match"] == "command=GET"
    assert faults(panel) == {}


def test_what_is_wrong_is_the_nodes_own_words(panel: PanelProcess) -> None:
    body = {"kind": "delay", "options": {"delay": "800"}, "match": "comand=GET"}
    status, found = panel.call("POST", CHECK, body)
    assert status == 200, "while one types it is nothing to complain of"
    errors = {one["pointer"]: one["title"] for one in found["problem"]["errors"]}
    assert "has no unit" in errors["/options/delay"]
    assert "Did you mean 'command'?" in errors["/match"]
    status, problem = panel.call("POST", FAULTS, body)
    assert (status, problem["pointer"]) == (422, "/options/delay")
    assert faults(panel) == {}


def test_recipes_tell_what_their_parts_have_struck(panel: PanelProcess, node: NodeProcess) -> None:
    path = "/api/v1/nodes/main/proxies/cache/recipes"
    assert panel.call("POST", path, "recipe cold-cache")[0] == 200
    node.redis().get("kettle")
    found = until(lambda: (one := faults(panel)["cold-cache"]).get("fired") and one, "it struck")
    assert found["form"] == "recipe"
    assert found["parts"] == {"cold-cache.miss": [1, 1, 0]}
    assert panel.call("PATCH", f"{path}/cold-cache", {"enabled": False})[0] == 200


def test_a_proxy_is_added_and_taken_away(panel: PanelProcess, node: NodeProcess) -> None:
    upstream = "127.0.0.1:{}".format(node.node.addresses["cache"][1])
    body = {"name": "mine", "protocol": "redis", "listen": "127.0.0.1:0", "upstream": upstream}
    status, made = panel.call("POST", "/api/v1/nodes/main/proxies", body)
    assert status == 200 and made["addresses"][0] != "127.0.0.1:0"
    until(lambda: "mine" in state_of(panel)["proxies"], "it is told")
    one = "/api/v1/nodes/main/proxies/mine"
    assert panel.call("PATCH", one, {"enabled": False})[1]["enabled"] is False
    until(lambda: not state_of(panel)["proxies"]["mine"]["enabled"], "it is paused")
    assert panel.call("DELETE", one)[0] == 200
    until(lambda: "mine" not in state_of(panel)["proxies"], "it is gone")


def test_exchanges_are_told_only_while_somebody_looks(
    panel: PanelProcess, node: NodeProcess
) -> None:
    def watched() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=PATIENCE)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return 'rascal_exchanges_watched{proxy="cache"} 1' in text

    assert not watched()
    told = panel.events("/api/v1/events?look=main/cache")
    assert next(told)[0] == "snapshot"
    until(watched, "the proxy decodes")
    node.redis().set("seen", "1")
    while True:
        found = _next(told, "exchanges")
        assert (found["node"], found["proxy"]) == ("main", "cache")
        if any(one["command"] == "SET" for one in found["exchanges"]):
            break
    told.close()
    until(lambda: not watched(), "nobody looks any more")


# ---- the lever


def test_the_lever_stops_faults_and_refuses_new_ones(
    panel: PanelProcess, node: NodeProcess
) -> None:
    panel.call("POST", FAULTS, "hang")
    status, found = panel.call("PUT", "/api/v1/panic", {"on": True})
    assert status == 200 and found["on"] and found["nodes"] == ["main"] and found["runs"]
    assert node.node.call("GET", "panic")["on"] is True
    assert node.node.call("GET", "panic")["by"] == "admin"
    until(lambda: not faults(panel), "no fault is left")
    assert panel.call("POST", FAULTS, "hang")[0] == 409
    status, problem = panel.call("POST", "/api/v1/runs", {"load": {"file": "x.py"}})
    assert status >= 400, problem
    kind, first = next(panel.events("/api/v1/events"))
    assert kind == "snapshot" and first["lever"]["on"]
    assert panel.call("PUT", "/api/v1/panic", {"on": False})[1]["on"] is False
    assert node.node.call("GET", "panic")["on"] is False
    assert panel.call("POST", FAULTS, "hang")[0] == 200


def test_a_lever_that_is_pulled_at_the_node_shows_in_the_panel(
    panel: PanelProcess, node: NodeProcess
) -> None:
    node.node.panic(True)
    found = until(lambda: (one := panel.call("GET", "/api/v1/panic")[1])["on"] and one, "it shows")
    assert (found["by"], found["nodes"], found["runs"]) == ("demo", ["main"], False)
    assert panel.call("PUT", "/api/v1/panic", {"on": False})[0] == 200
    until(lambda: not node.node.call("GET", "panic")["on"], "it is released there too")


def test_what_is_no_lever_is_refused(panel: PanelProcess) -> None:
    assert panel.call("PUT", "/api/v1/panic", {"on": "yes"})[0] == 422
    assert panel.call("PUT", "/api/v1/panic", [])[0] == 422


# ---- away


def test_a_node_that_was_killed_is_away_and_comes_back_by_itself(
    panel: PanelProcess, node: NodeProcess
) -> None:
    before = time.time()
    node.kill()
    away = until(lambda: (one := state_of(panel))["state"] == "away" and one, "it is away")
    assert away["why"].startswith(node.node.url)
    assert before - 1 <= away["since"] <= time.time()
    status, problem = panel.call("POST", FAULTS, "hang")
    assert (status, problem["type"]) == (503, "/problems/node-away")
    for page in ("/", "/proxies", "/proxies/cache?node=main"):
        assert _page(panel, page)[0] == 200, page
    status, found = panel.call("PUT", "/api/v1/panic", {"on": True})
    assert status == 200 and found["away"] == ["main"] and "main" in found["trouble"]
    node.restart()
    back = until(lambda: (one := state_of(panel))["state"] == "up" and one, "it is back")
    assert back["why"] == "" and back["since"] >= away["since"]
    until(lambda: node.node.call("GET", "panic")["on"], "what was stopped stays stopped")
    assert panel.call("PUT", "/api/v1/panic", {"on": False})[0] == 200
    assert panel.call("POST", FAULTS, "hang")[0] == 200


def test_what_does_not_exist_is_404(panel: PanelProcess) -> None:
    assert panel.call("GET", "/api/v1/nodes/other")[0] == 404
    assert panel.call("GET", "/api/v1/nodes/main/state")[0] == 404
    assert panel.call("GET", "/api/v1/nodes/main/export")[0] == 404
    for path in ("proxies/../export", "proxies/%2e%2e/export", "proxies//export", "proxies/./"):
        assert panel.call("GET", f"/api/v1/nodes/main/{path}")[0] == 404, path
    assert panel.call("GET", "/api/v1/nodes/main/proxies/none")[0] == 404
    assert panel.call("POST", "/api/v1/nodes/main/check/state", {})[0] == 404
    assert _page(panel, "/proxies/none")[0] == 404


def test_one_proxy_has_one_address(panel: PanelProcess) -> None:
    status, headers, _ = _page(panel, "/proxies/cache")
    assert (status, headers["location"]) == (303, "/proxies/cache?node=main")
    status, _, text = _page(panel, "/proxies/cache?node=main")
    assert status == 200 and "<h1>cache" in text


def _next(told: Any, wanted: str) -> Any:
    ends = time.monotonic() + PATIENCE
    for kind, data in told:
        if kind == wanted:
            return data
        assert time.monotonic() < ends, f"no {wanted} was told"
    raise AssertionError("the stream has ended")


def _page(panel: PanelProcess, path: str) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", panel.port, timeout=PATIENCE)
    try:
        connection.request("GET", path, headers={"Accept": "text/html"})
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, answer.read().decode()
    finally:
        connection.close()


# ---- roles


def test_viewers_look_and_operators_change_faults(tmp_path: Path) -> None:
    from rascal.config.tokens import hash_token

    lines = "".join(
        f"    {role} {hash_token(role)} {name}\n"
        for role, name in (("viewer", "vera"), ("operator", "oscar"), ("admin", "ann"))
    )
    with both(tmp_path) as (panel, _):
        panel.stop()
        file = tmp_path / "panel.ini"
        file.write_text(f"[panel]\ntokens =\n{lines}")
        panel.options["config"] = str(file)
        panel.call = _with(panel, "viewer")  # type: ignore[method-assign]
        panel.start()
        until(lambda: state_of(panel)["state"] == "up", "the node is found")
        as_viewer, as_operator, as_admin = (
            _with(panel, role) for role in ("viewer", "operator", "admin")
        )
        for path, body in ((FAULTS, "hang"), (CHECK, "hang")):
            assert as_viewer("POST", path, body)[0] == 403
        assert as_viewer("PUT", "/api/v1/panic", {"on": True})[0] == 403
        assert as_viewer("GET", "/api/v1/panic")[1]["on"] is False
        assert as_operator("POST", FAULTS, "hang")[0] == 200
        assert as_viewer("PATCH", f"{FAULTS}/hang", {"enabled": False})[0] == 403
        assert as_viewer("DELETE", f"{FAULTS}/hang")[0] == 403
        one = "/api/v1/nodes/main/proxies/spare"
        assert as_operator("PATCH", one, {"enabled": False})[0] == 403
        assert as_operator("DELETE", one)[0] == 403
        assert as_admin("DELETE", one)[0] == 200
        found = as_operator("PUT", "/api/v1/panic", {"on": True})[1]
        assert found["by"].endswith("oscar")
        assert as_operator("PUT", "/api/v1/panic", {"on": False})[0] == 200


def _with(panel: PanelProcess, token: str) -> Any:
    def call(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", panel.port, timeout=PATIENCE)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, headers)
            answer = connection.getresponse()
            data = answer.read()
            return answer.status, json.loads(data) if data else None
        finally:
            connection.close()

    return call
