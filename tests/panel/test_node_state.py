"""What is known of a node, from its events."""

from __future__ import annotations

from typing import Any

from rascal.panel.node_state import Proxies, differences, plain_text

SLOW = {
    "form": "fault", "text": "delay(2s) for 60s name slow", "enabled": True, "armed": True,
    "matched": 4, "fired": 3, "waiting": 1,
}  # fmt: skip


def known(**faults: Any) -> Proxies:
    made = Proxies()
    cache = {
        "protocol": "redis", "enabled": True, "addresses": ["127.0.0.1:1"], "upstream": "h:2",
        "open": 1, "connections": 5, "exchanges": 10, "to_upstream": 100, "to_client": 200,
        "faults": faults,
    }  # fmt: skip
    made.begin({"at": 1000.0, "proxies": {"cache": cache}})
    return made


def test_a_sentence_is_shown_without_what_stands_beside_it() -> None:
    assert plain_text("slow", "delay(2s) enabled no name slow") == "delay(2s)"
    assert plain_text("slow", "delay(2s) name slower") == "delay(2s) name slower"


def test_seconds_are_rates() -> None:
    proxies = known(slow=dict(SLOW))
    counted = {"open": 2, "connections": 6, "exchanges": 16, "to_upstream": 300, "to_client": 400}
    counted["faults"] = {"slow": [9, 7, 0]}
    proxies.hear("counters", {"at": 1002.0, "proxies": {"cache": counted}})
    proxies.hear("counters", {"at": 1003.0, "proxies": {}})
    assert proxies.json(0.0, True)["cache"]["seconds"] == [[200.0, 3.0, 2.0, 2], [0.0, 0.0, 0.0, 2]]
    assert proxies.faults(0.0)["cache"]["slow"]["fired"] == 7


def test_counters_that_were_reset_are_no_rate_below_zero() -> None:
    proxies = known()
    counted = dict.fromkeys(("open", "connections", "exchanges", "to_upstream", "to_client"), 0)
    proxies.hear("counters", {"at": 1001.0, "proxies": {"cache": counted}})
    assert proxies.json(0.0, True)["cache"]["seconds"] == [[0.0, 0.0, 0.0, 0]]


def test_what_is_left_of_a_fault_goes_down() -> None:
    proxies = known()
    state = {**SLOW, "name": "slow", "expires_in": 60.0, "lease": "run-7"}
    told = {"proxy": "cache", "name": "slow", "change": "added", "at": 500.0, "state": state}
    proxies.hear("faults", told)
    found = proxies.faults(510.0)["cache"]["slow"]
    assert (found["expires_in"], found["lease"]) == (50.0, "run-7")
    assert found["text"] == "delay(2s) for 60s"
    assert proxies.faults(600.0)["cache"]["slow"]["expires_in"] == 0.0
    proxies.hear("faults", {**told, "change": "removed"})
    assert proxies.faults(0.0) == {"cache": {}}


def test_parts_of_a_recipe_are_counted_for_it() -> None:
    proxies = known(recipe={"form": "recipe", "text": "recipe(r)", "armed": True, "fired": 0})
    parts = {
        "r.a": {"recipe": "recipe", "matched": 2, "fired": 1, "waiting": 0, "text": "hang"},
        "r.b": {"recipe": "recipe", "matched": 3, "fired": 2, "waiting": 0, "text": "reset"},
    }
    proxies.detail({"cache": parts}, 0.0)
    proxies.hear(
        "fired", {"proxy": "cache", "fault": "r.b", "matched": 9, "fired": 8, "waiting": 1}
    )
    found = proxies.faults(0.0)["cache"]["recipe"]
    assert found["parts"] == {"r.a": [2, 1, 0], "r.b": [9, 8, 1]}
    assert (found["matched"], found["fired"], found["waiting"]) == (11, 9, 1)
    assert found["sentences"] == {"r.a": "hang", "r.b": "reset"}


def test_proxies_come_and_go() -> None:
    proxies = known()
    state = {"protocol": "http", "enabled": True, "addresses": ["127.0.0.1:3"], "upstream": "h:4"}
    proxies.hear("proxy", {"proxy": "shop", "change": "added", "state": state})
    assert list(proxies) == ["cache", "shop"] and proxies["shop"]["open"] == 0
    proxies.hear("proxy", {"proxy": "shop", "change": "disabled", "state": {"enabled": False}})
    assert proxies["shop"]["enabled"] is False
    proxies.hear("proxy", {"proxy": "cache", "change": "removed"})
    assert list(proxies) == ["shop"]


def test_a_node_that_tells_nonsense_does_no_harm() -> None:
    proxies = Proxies()
    proxies.begin({"proxies": {"a": 7, "b": {"faults": {"x": 3}, "open": None}}})
    proxies.detail({"b": 5, "c": {}}, 0.0)
    proxies.hear("fired", {"proxy": "none", "fault": "x"})
    proxies.hear("faults", {"proxy": "b", "name": "y", "state": None})
    assert proxies.json(0.0, True)["b"]["faults"] == {}


def test_what_happened_while_nobody_listened() -> None:
    on, off = {"enabled": True, "text": "hang"}, {"enabled": False, "text": "hang"}
    before = {"p": {"a": on, "b": off, "c": on, "d": on}}
    after = {"p": {"a": off, "b": off, "d": on}, "q": {"e": on}}
    found = {(one["proxy"], one["name"]): one["change"] for one in differences(before, after)}
    assert found == {("p", "a"): "disabled", ("p", "c"): "removed", ("q", "e"): "added"}
    assert list(differences(None, after)) == []
