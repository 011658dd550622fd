"""Several changes at once, conditional ones, leases, the seed, and who has changed what."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

P = "/api/v1/proxies"
FAULTS = f"{P}/cache/faults"
STATE = "/api/v1/state"
NEW = {"name": "new", "protocol": "redis", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:6379"}


def change(method: str, path: str, data: Any = None) -> dict[str, Any]:
    return {"method": method, "path": path} | ({} if data is None else {"data": data})


# ---- proxies


def test_a_proxy_is_made_changed_and_removed(ask: Any, node: Any) -> None:
    made = ask("POST", P, NEW | {"options": {"connect_timeout": "500ms"}, "enabled": False})
    assert (made.status, made.headers["location"]) == (201, f"{P}/new")
    assert made.json["options"] == {"connect_timeout": "500ms"}
    assert node.proxies["new"].spec.options.connect_timeout == 0.5
    ask("POST", f"{P}/new/faults", "delay 1s")
    found = ask("PATCH", f"{P}/new", {"upstream": "[::1]:7", "options": {"mirror": False}})
    assert found.status == 200
    assert found.json["options"] == {"connect_timeout": "500ms", "mirror": False}
    assert found.json["upstream"] == "[::1]:7"
    found = ask("PATCH", f"{P}/new", {"options": {"connect_timeout": None}})
    assert found.json["options"] == {"mirror": False}
    assert node.proxies["new"].spec.options.connect_timeout == 10.0
    assert list(node.proxies["new"].gate.faults) == ["delay"]
    gone = ask("DELETE", f"{P}/new")
    assert (gone.status, gone.json["faults"]) == (200, {"installed": 1, "armed": 1})
    assert "new" not in node.proxies
    assert ask("GET", f"{P}/new").status == 404


def test_another_protocol_takes_the_faults_away(ask: Any, node: Any) -> None:
    assert ask("PATCH", f"{P}/cache", {"protocol": "tcp"}).json["protocol"] == "tcp"
    assert node.proxies["cache"].installed == {}
    assert ask("GET", FAULTS).json == {}
    assert ask("POST", FAULTS, "error(LOADING)").status == 422


def test_a_change_keeps_what_is_installed(ask: Any, node: Any) -> None:
    gate = node.proxies["cache"].gate
    ask("POST", FAULTS, "hang match command=DEL name late")
    before = dict(gate.faults)
    ask("PATCH", f"{P}/cache", {"listen": ["127.0.0.1:6391"]})
    assert node.proxies["cache"].gate is gate
    assert gate.faults == before


# ---- several at once


def test_changes_are_made_together(ask: Any, node: Any) -> None:
    found = ask(
        "POST",
        STATE,
        [
            change("POST", P, NEW),
            change("POST", f"{P}/new/faults", {"text": "delay 2s", "lease": "run"}),
            change("POST", f"{P}/new/scripts", {"steps": "pass, error(OOM)", "name": "s"}),
            change("PATCH", f"{P}/new/faults/delay", {"count": 3}),
            change("PATCH", FAULTS + "/slow", {"enabled": False}),
            change("POST", f"{P}/cache/recipes", "recipe cold-cache for 60s"),
            change("DELETE", f"{P}/cache/scripts/steps"),
            change("DELETE", f"{P}/plain"),
        ],
    )
    assert found.status == 200, found.json
    proxies = found.json["proxies"]
    assert list(proxies) == ["cache", "new"]
    assert proxies["new"]["faults"]["delay"]["text"] == "delay(2s) count 3"
    assert proxies["new"]["faults"]["delay"]["lease"] == "run"
    assert list(proxies["new"]["scripts"]) == ["s"]
    assert (proxies["cache"]["scripts"], list(proxies["cache"]["recipes"])) == ({}, ["cold-cache"])
    assert not proxies["cache"]["faults"]["slow"]["enabled"]
    assert not node.proxies["cache"].gate.faults["slow"].armed
    assert found.json == ask("GET", STATE).json


@pytest.mark.parametrize(
    "last",
    [
        change("POST", FAULTS, "hag"),
        change("POST", FAULTS, "hang name slow"),
        change("DELETE", f"{P}/plain2"),
        change("PATCH", f"{P}/cache", {"protocol": "x"}),
        change("POST", P, NEW | {"listen": "127.0.0.1:6390"}),
        change("POST", P, NEW),
        change("POST", f"{P}/cache/faults/slow/restart", {"x": 1}),
        {"method": "POST"},
        [],
    ],
)
def test_all_or_none(ask: Any, node: Any, last: Any) -> None:
    before, revision = ask("GET", STATE).json, node.revision
    faults = dict(node.proxies["cache"].gate.faults)
    found = ask(
        "POST",
        STATE,
        [
            change("POST", P, NEW),
            change("DELETE", f"{P}/plain"),
            change("PATCH", f"{P}/cache", {"upstream": "127.0.0.1:9"}),
            change("POST", FAULTS, "hang"),
            change("PATCH", f"{FAULTS}/slow", {"enabled": False}),
            last,
        ],
    )
    assert found.status in (404, 409, 422)
    assert found.json["pointer"].startswith("/5")
    assert (ask("GET", STATE).json, node.revision) == (before, revision)
    assert node.proxies["cache"].gate.faults == faults
    assert faults["slow"].armed


def test_what_is_removed_and_added_again_is_new(ask: Any, node: Any) -> None:
    node.proxies["cache"].gate.faults["slow"].matched = 7
    text = ask("GET", f"{FAULTS}/slow").json["text"]
    changes = [change("DELETE", f"{FAULTS}/slow"), change("POST", FAULTS, text)]
    assert ask("POST", STATE, changes).status == 200
    assert ask("GET", f"{FAULTS}/slow").json["matched"] == 0
    proxy = node.proxies["plain"]
    changes = [change("DELETE", f"{P}/plain"), change("POST", P, NEW | {"name": "plain"})]
    assert ask("POST", STATE, changes).json["proxies"]["plain"]["protocol"] == "redis"
    assert node.proxies["plain"] is not proxy


def test_a_restart_among_changes(ask: Any, node: Any) -> None:
    fault = node.proxies["cache"].gate.faults["slow"]
    fault.number = 5
    assert ask("POST", STATE, [change("POST", f"{FAULTS}/slow/restart")]).status == 200
    assert (fault.number, fault.armed) == (0, True)


def test_panic_refuses_changes_that_arm(ask: Any, node: Any) -> None:
    ask("PUT", "/api/v1/panic", {"on": True})
    for changes in (
        [change("POST", FAULTS, "hang")],
        [change("POST", P, NEW), change("POST", f"{P}/new/faults", "hang")],
    ):
        assert ask("POST", STATE, changes).status == 409
    assert "new" not in node.proxies
    assert ask("POST", STATE, [change("POST", P, NEW)]).status == 200


# ---- conditional


def test_if_match(ask: Any, node: Any) -> None:
    first = ask("GET", f"{FAULTS}/slow").headers["etag"]
    stale = {"If-Match": first}
    assert ask("PATCH", f"{FAULTS}/slow", {"count": 2}, headers=stale).status == 200
    found = ask("PATCH", f"{FAULTS}/slow", {"count": 3}, headers=stale)
    assert (found.status, found.json["type"]) == (412, "/problems/changed-since")
    assert ask("DELETE", f"{FAULTS}/slow", headers=stale).status == 412
    assert ask("POST", f"{FAULTS}/slow/restart", {}, headers=stale).status == 412
    weak = {"If-Match": "W/" + ask("GET", f"{FAULTS}/slow").headers["etag"]}
    assert ask("DELETE", f"{FAULTS}/slow", headers=weak).status == 412
    assert ask("DELETE", f"{FAULTS}/slow", headers={"If-Match": "slow"}).status == 412
    both = {"If-Match": f"{first}, {ask('GET', f'{FAULTS}/slow').headers['etag']}"}
    assert ask("PATCH", f"{FAULTS}/slow", {"count": 4}, headers=both).status == 200
    assert ask("DELETE", f"{FAULTS}/slow", headers={"If-Match": "*"}).status == 200
    assert ask("DELETE", f"{FAULTS}/slow", headers={"If-Match": "*"}).status == 404


def test_counting_is_no_change(ask: Any, node: Any) -> None:
    first = ask("GET", f"{FAULTS}/slow").headers["etag"]
    node.proxies["cache"].gate.faults["slow"].skipped["probability"] += 1
    second = ask("GET", f"{FAULTS}/slow").headers["etag"]
    assert first != second
    assert ask("GET", f"{FAULTS}/slow", headers={"If-None-Match": first}).status == 200
    assert ask("PATCH", f"{FAULTS}/slow", {"count": 2}, headers={"If-Match": first}).status == 200


def test_if_match_of_proxies_and_of_the_state(ask: Any) -> None:
    proxy, state = ask("GET", f"{P}/plain").headers["etag"], ask("GET", STATE).headers["etag"]
    ask("POST", FAULTS, "hang")
    assert ask("POST", STATE, [], headers={"If-Match": state}).status == 412
    on = {"If-Match": proxy}
    changed = ask("PATCH", f"{P}/plain", {"enabled": False}, headers=on)
    assert changed.status == 200
    assert ask("DELETE", f"{P}/plain", headers=on).status == 412
    assert ask("DELETE", f"{P}/plain", headers={"If-Match": changed.headers["etag"]}).status == 200
    state = ask("GET", STATE).headers["etag"]
    assert ask("POST", STATE, [], headers={"If-Match": state}).status == 200


@pytest.mark.parametrize(
    "path", [P, f"{P}/cache", FAULTS, f"{FAULTS}/slow", STATE, "/api/v1/kinds"]
)
def test_not_modified(ask: Any, path: str) -> None:
    tag = ask("GET", path).headers["etag"]
    for method in ("GET", "HEAD"):
        for given in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            found = ask(method, path, headers={"If-None-Match": given})
            assert (found.status, found.body) == (304, b"")
            assert found.headers["etag"] == tag
    assert ask("GET", path, headers={"If-None-Match": '"x"'}).status == 200
    ask("POST", FAULTS, "hang match command=DEL")
    if path in (P, f"{P}/cache", FAULTS, STATE):
        assert ask("GET", path, headers={"If-None-Match": tag}).status == 200


def test_conditions_can_be_required(ask: Any, node: Any) -> None:
    node.configuration = attrs.evolve(node.configuration, conditional="required")
    for method, path, data in (
        ("PATCH", f"{FAULTS}/slow", {"count": 2}),
        ("DELETE", f"{FAULTS}/slow", None),
        ("PATCH", f"{P}/cache", {}),
        ("DELETE", f"{P}/cache", None),
        ("POST", STATE, []),
    ):
        found = ask(method, path, data)
        assert (found.status, found.json["type"]) == (428, "/problems/condition-missing")
        tag = ask("GET", path).headers["etag"]
        assert ask(method, path, data, headers={"If-Match": tag}).status == 200


# ---- terms


def test_a_lease_lapses(ask: Any, node: Any) -> None:
    made = ask("POST", FAULTS, {"text": "hang", "lease": {"id": "run-7", "for": "3s"}})
    assert (made.status, made.json["lease"]) == (201, "run-7")
    ask("POST", f"{P}/cache/recipes", {"text": "recipe cold-cache", "lease": "run-7"})
    found = ask("GET", "/api/v1/leases").json
    assert found == {
        "run-7": {
            "id": "run-7",
            "seconds": 3.0,
            "expires_in": pytest.approx(3.0, abs=1),
            "holds": ["cache/hang", "cache/cold-cache"],
        }
    }
    for _ in range(5):
        node.reactor.advance(2)
        assert ask("PUT", "/api/v1/leases/run-7", {}).json["expires_in"] > 2
    revision = node.revision
    node.reactor.advance(2.9)
    assert {"hang", "slow"} < ask("GET", FAULTS).json.keys()
    node.reactor.advance(0.2)
    assert list(ask("GET", FAULTS).json) == ["slow"]
    assert node.revision > revision
    assert ask("PUT", "/api/v1/leases/run-7", {}).status == 404
    assert ask("GET", "/api/v1/leases").json == {}


def test_a_lease_is_renewed_changed_and_given_up(ask: Any, node: Any) -> None:
    made = ask("POST", FAULTS, {"text": "hang", "lease": "5s"}).json
    lease = f"/api/v1/leases/{made['lease']}"
    assert ask("GET", lease).json["seconds"] == 5.0
    assert ask("PUT", lease, {"for": "1m"}).json["expires_in"] > 50
    ask("POST", FAULTS, {"text": "hang name kept", "lease": made["lease"]})
    assert ask("PATCH", f"{FAULTS}/kept", {"lease": None}).json["lease"] is None
    ask("POST", f"{P}/cache/scripts", {"steps": "pass", "name": "s", "lease": made["lease"]})
    assert ask("DELETE", lease).json["holds"] == ["cache/hang", "cache/s"]
    assert list(ask("GET", FAULTS).json) == ["slow", "kept"]
    node.reactor.advance(100)
    assert list(ask("GET", FAULTS).json) == ["slow", "kept"]
    assert ask("POST", FAULTS, {"text": "hang", "lease": "one"}).json["lease"] == "one"
    assert ask("GET", "/api/v1/leases/one").json["seconds"] == 15.0


def test_a_removed_fault_leaves_its_lease(ask: Any, node: Any) -> None:
    ask("POST", FAULTS, {"text": "hang", "lease": "run"})
    assert ask("DELETE", f"{FAULTS}/hang").json["lease"] == "run"
    ask("POST", FAULTS, "hang")
    node.reactor.advance(20)
    assert "hang" in ask("GET", FAULTS).json


def test_enable_in(ask: Any, node: Any) -> None:
    made = ask("POST", FAULTS, {"text": "hang", "enable_in": "2s"}).json
    assert (made["armed"], made["enabled"]) == (False, False)
    assert 1 < made["enables_in"] <= 2
    node.reactor.advance(1.5)
    assert not ask("GET", f"{FAULTS}/hang").json["armed"]
    node.reactor.advance(0.6)
    found = ask("GET", f"{FAULTS}/hang").json
    assert (found["armed"], found["enabled"], found["enables_in"]) == (True, True, None)
    ask("POST", FAULTS, {"text": "hang name two", "enable_in": "2s"})
    ask("PATCH", f"{FAULTS}/two", {"enabled": False})
    ask("POST", FAULTS, {"text": "hang name three", "enable_in": "2s"})
    ask("DELETE", f"{FAULTS}/three")
    ask("PATCH", f"{FAULTS}/slow", {"enabled": False})
    assert ask("PATCH", f"{FAULTS}/slow", {"enable_in": "2s"}).json["enables_in"] > 1
    node.reactor.advance(3)
    assert not ask("GET", f"{FAULTS}/two").json["armed"]
    assert ask("GET", f"{FAULTS}/slow").json["armed"]
    assert "three" not in ask("GET", FAULTS).json


def test_panic_ends_all_terms(ask: Any, node: Any) -> None:
    ask("POST", FAULTS, {"text": "hang", "enable_in": "2s", "lease": "run"})
    ask("PUT", "/api/v1/panic", {"on": True})
    node.reactor.advance(30)
    assert ask("GET", FAULTS).json == {}


# ---- seed


def test_another_seed_begins_anew(ask: Any, node: Any) -> None:
    fault = node.proxies["cache"].gate.faults["slow"]
    script = node.proxies["cache"].gate.faults["steps"]
    fault.number, fault.used, script.number, key = 5, 3, 2, fault.key
    script.step_states[0] = "used"
    script.armed = False
    fault.matched = 5
    assert ask("PUT", "/api/v1/seed", {"seed": 7}).json == {"seed": 7}
    assert ask("GET", "/api/v1/seed").json == {"seed": 7}
    assert (fault.number, fault.used, fault.matched) == (0, 0, 5)
    assert fault.key != key
    assert (script.number, script.step_states[0], script.armed) == (0, "unused", False)
    ask("PUT", "/api/v1/seed", {"seed": 42})
    assert fault.key == key
    assert ask("PUT", "/api/v1/seed", {"seed": None}).json["seed"] >= 0
    made = ask("POST", FAULTS, "hang")
    assert made.status == 201
    assert node.proxies["cache"].gate.faults["hang"].key != 0
    assert node.proxies["cache"].gate.seed == node.seed


# ---- reload after changes


def test_a_reload_keeps_what_others_have_changed(ask: Any, node: Any, file: Any) -> None:
    ask("POST", P, NEW)
    ask("POST", FAULTS, "hang name mine")
    ask("PATCH", f"{FAULTS}/slow", {"count": 3})
    ask("PATCH", f"{P}/cache", {"options": {"connect_timeout": "3s"}})
    ask("DELETE", f"{P}/plain")
    text = file.read_text()
    file.write_text(text.replace("upstream = 127.0.0.1:6379", "upstream = 127.0.0.1:6380"))
    found = ask("POST", "/api/v1/reload", {})
    assert (found.status, found.json["summary"]) == (200, "cache (upstream)")
    proxies = ask("GET", P).json
    assert list(proxies) == ["cache", "new"]
    assert proxies["cache"]["upstream"] == "127.0.0.1:6380"
    assert proxies["cache"]["options"] == {"connect_timeout": "3s"}
    assert list(ask("GET", FAULTS).json) == ["slow", "mine"]
    assert ask("GET", f"{FAULTS}/slow").json["text"].endswith("count 3 name slow")
    ask("PUT", "/api/v1/panic", {"on": True})
    ask("PUT", "/api/v1/panic", {"on": False})
    file.write_text(text.replace("command=SET", "command=DEL"))
    assert ask("POST", "/api/v1/reload", {}).status == 200
    assert list(ask("GET", f"{P}/cache/scripts").json) == ["steps"]
    assert ask("GET", FAULTS).json == {}
    file.write_text(
        text.replace("127.0.0.1:7000", "127.0.0.1:7009").replace("seed = 42", "seed = 9")
    )
    assert ask("POST", "/api/v1/reload", {}).status == 200
    assert ask("GET", f"{P}/plain").json["upstream"] == "127.0.0.1:7009"
    assert node.seed == 9
