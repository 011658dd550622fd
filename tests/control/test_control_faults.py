"""Faults, scripts and recipes over the API, against a real node."""

from __future__ import annotations

from typing import Any

import pytest

FAULTS = "/api/v1/proxies/cache/faults"
SCRIPTS = "/api/v1/proxies/cache/scripts"


def test_faults_are_listed_by_name_with_their_books(ask: Any) -> None:
    found = ask("GET", FAULTS)
    assert found.status == 200
    assert found.headers["content-type"] == "application/json"
    assert list(found.json) == ["slow"]
    slow = found.json["slow"]
    assert (
        slow.items()
        >= {
            "name": "slow",
            "form": "fault",
            "text": "delay(2s) match command=GET name slow",
            "enabled": True,
            "armed": True,
            "matched": 0,
            "fired": 0,
            "reserved": 0,
            "waiting": 0,
            "skipped": {},
            "hits": [],
            "expires_in": None,
        }.items()
    )
    assert slow["structure"] == {
        "kind": "delay",
        "options": {"delay": "2s"},
        "match": [{"field": "command", "op": "=", "value": "GET"}],
        "name": "slow",
    }
    assert ask("GET", f"{FAULTS}/slow").json == slow


@pytest.mark.parametrize(
    ("body", "name", "text"),
    [
        ("hang match key^=session:", "hang", "hang match key^=session:"),
        ({"text": "20% error(LOADING)"}, "error", "20% error(LOADING)"),
        ({"text": "hang", "count": 2, "name": "x"}, "x", "hang count 2 name x"),
        (
            {"kind": "delay", "options": {"delay": "1s..3s"}, "every": 2},
            "delay",
            "delay(1s..3s) every 2",
        ),
        ({"roulette": "10% hang, 5% error(LOADING)"}, "roulette", "10% hang, 5% error(LOADING)"),
    ],
)
def test_a_fault_is_added_in_every_form(
    ask: Any, node: Any, body: Any, name: str, text: str
) -> None:
    found = ask("POST", FAULTS, body)
    assert (found.status, found.json["name"], found.json["text"]) == (201, name, text)
    assert found.headers["location"] == f"{FAULTS}/{name}"
    assert found.json["armed"]
    assert node.proxies["cache"].gate.faults[name].armed
    assert ask("GET", found.headers["location"]).json == found.json


def test_what_is_shown_can_be_sent_back(ask: Any) -> None:
    made = ask("POST", FAULTS, "20% delay(2s) match key~x and command=GET,SET at request,reply")
    assert ask("DELETE", f"{FAULTS}/delay").status == 200
    assert ask("POST", FAULTS, made.json["structure"]).json == made.json
    ask("DELETE", f"{FAULTS}/delay")
    assert ask("POST", FAULTS, made.json["text"]).json == made.json


def test_a_disabled_fault_is_armed_and_disarmed(ask: Any, node: Any) -> None:
    made = ask("POST", FAULTS, "hang enabled no for 20s").json
    assert (made["enabled"], made["armed"], made["expires_in"]) == (False, False, None)
    on = ask("PATCH", f"{FAULTS}/hang", {"enabled": True}).json
    assert (on["enabled"], on["armed"]) == (True, True)
    assert 19 < on["expires_in"] <= 20
    off = ask("PATCH", f"{FAULTS}/hang", {"enabled": False}).json
    assert (off["enabled"], off["armed"]) == (False, False)
    assert node.proxies["cache"].gate.faults["hang"].expires is None


def test_a_change_is_a_merge_patch_and_keeps_the_books(ask: Any, node: Any) -> None:
    fault = node.proxies["cache"].gate.faults["slow"]
    fault.matched = fault.fired = 7
    changed = ask("PATCH", f"{FAULTS}/slow", {"options": {"delay": "3s"}, "match": None})
    assert changed.json["text"] == "delay(3s) name slow"
    assert changed.json["fired"] == 7
    assert node.proxies["cache"].gate.faults["slow"] is fault
    again = ask(
        "PATCH",
        f"{FAULTS}/slow",
        {"text": "hang"},
        headers={"Content-Type": "application/merge-patch+json; charset=utf-8"},
    )
    assert again.json["text"] == "hang name slow"


def test_removing_answers_with_the_last_books(ask: Any, node: Any) -> None:
    fault = node.proxies["cache"].gate.faults["slow"]
    fault.matched, fault.fired = 7, 5
    fault.skipped["probability"] = 2
    gone = ask("DELETE", f"{FAULTS}/slow")
    assert gone.status == 200
    assert (gone.json["matched"], gone.json["fired"]) == (7, 5)
    assert gone.json["skipped"] == {"probability": 2}
    assert ask("GET", f"{FAULTS}/slow").status == 404
    assert "slow" not in node.proxies["cache"].gate.faults


def test_restart_starts_match_numbers_anew(ask: Any, node: Any) -> None:
    fault = node.proxies["cache"].gate.faults["slow"]
    fault.number, fault.armed = 9, False
    found = ask("POST", f"{FAULTS}/slow/restart", {})
    assert (found.status, found.json["armed"], fault.number) == (200, True, 0)


def test_scripts_show_their_steps(ask: Any, node: Any) -> None:
    node.proxies["cache"].gate.faults["steps"].step_states[:] = ["used", "void (gone)", "unused"]
    script = ask("GET", f"{SCRIPTS}/steps").json
    assert script["steps"] == [
        {"n": 1, "text": "pass", "state": "used"},
        {"n": 2, "text": "pass", "state": "void (gone)"},
        {"n": 3, "text": "error(LOADING)", "state": "unused"},
    ]
    assert (script["reached"], script["unused"], script["void"]) == (2, [3], [2])
    assert script["match"] == "command=SET"
    changed = ask("PATCH", f"{SCRIPTS}/steps", {"steps": ["pass", "hang"]}).json
    assert changed["text"] == "pass, hang"
    assert [step["state"] for step in changed["steps"]] == ["unused", "unused"]
    made = ask("POST", SCRIPTS, {"steps": "pass 2, hang", "match": "command=DEL", "name": "del"})
    assert made.status == 201
    assert made.headers["location"] == f"{SCRIPTS}/del"
    assert list(ask("GET", SCRIPTS).json) == ["steps", "del"]
    assert ask("POST", f"{SCRIPTS}/del/restart", {}).status == 200
    assert ask("DELETE", f"{SCRIPTS}/del").json["unused"] == [1, 2, 3]


def test_a_script_is_no_fault(ask: Any) -> None:
    found = ask("GET", f"{FAULTS}/steps")
    assert found.status == 404
    assert found.json["title"] == "'steps' is a script: see scripts"


def test_names_are_taken_once(ask: Any) -> None:
    for body, pointer in (
        ("hang name slow", ""),
        ({"text": "hang", "name": "slow"}, "/name"),
        ("hang name steps", ""),
    ):
        found = ask("POST", FAULTS, body)
        assert (found.status, found.json["pointer"]) == (409, pointer)
        assert found.json["type"] == "/problems/name-taken"
    assert ask("POST", FAULTS, "delay 1s").json["name"] == "delay"
    assert ask("POST", FAULTS, "delay 1s").json["name"] == "delay-2"


def test_panic_removes_everything_and_refuses_new_faults(ask: Any, node: Any) -> None:
    assert ask("GET", "/api/v1/panic").json == {"on": False, "by": "", "since": None}
    pulled = ask("PUT", "/api/v1/panic", {"on": True, "by": "Ada"}).json
    assert (pulled["on"], pulled["by"]) == (True, "Ada")
    assert pulled["since"] > 1e9
    assert ask("GET", FAULTS).json == ask("GET", SCRIPTS).json == {}
    refused = ask("POST", FAULTS, "hang")
    assert (refused.status, refused.json["type"]) == (409, "/problems/panic")
    assert "Ada" in refused.json["title"]
    assert not node.proxies["cache"].gate.faults
    assert not ask("PUT", "/api/v1/panic", {"on": False}).json["on"]
    assert ask("POST", FAULTS, "hang").status == 201


RECIPES = "/api/v1/proxies/cache/recipes"


def test_a_recipe_is_applied_and_lifted(ask: Any, node: Any) -> None:
    made = ask("POST", RECIPES, "recipe overloaded-database for 60s")
    assert made.status == 201, made.body
    name = "overloaded-database"
    assert made.headers["location"] == f"{RECIPES}/{name}"
    assert list(ask("GET", RECIPES).json) == [name]
    parts = made.json["parts"]
    assert parts
    assert all(part.startswith(f"{name}.") for part in parts)
    assert made.json["armed"]
    faults = ask("GET", FAULTS).json
    assert list(faults) == ["slow", *parts]
    for part in parts:
        assert (faults[part]["recipe"], faults[part]["armed"]) == (name, True)
        assert 59 < faults[part]["expires_in"] <= 60
        for method, body in (("PATCH", {"count": 1}), ("DELETE", None)):
            refused = ask(method, f"{FAULTS}/{part}", body)
            assert (refused.status, refused.json["recipe"]) == (409, name)
    off = ask("PATCH", f"{RECIPES}/{name}", {"enabled": False}).json
    assert (off["enabled"], off["armed"]) == (False, False)
    assert not any(node.proxies["cache"].gate.faults[part].armed for part in parts)
    still = ask("PATCH", f"{RECIPES}/{name}", {"for": "30s"}).json
    assert (still["enabled"], still["armed"]) == (False, False)
    assert still["structure"]["for"] == "30s"
    on = ask("PATCH", f"{RECIPES}/{name}", {"enabled": True}).json
    assert 29 < next(iter(on["parts"].values()))["expires_in"] <= 30
    gone = ask("DELETE", f"{RECIPES}/{name}").json
    assert gone["parts"].keys() == parts.keys()
    assert list(ask("GET", FAULTS).json) == ["slow"]


def test_a_recipe_among_the_faults_is_a_recipe(ask: Any) -> None:
    made = ask("POST", FAULTS, "recipe slow-peer name lag")
    assert (made.status, made.headers["location"]) == (201, f"{RECIPES}/lag")
    part = next(iter(made.json["parts"]))
    again = ask("POST", FAULTS, f"hang name {part}")
    assert (again.status, again.json["type"]) == (409, "/problems/name-taken")
    assert ask("DELETE", f"{RECIPES}/lag").status == 200
    assert ask("POST", FAULTS, f"hang name {part}").status == 201
    clash = ask("POST", RECIPES, "recipe slow-peer name lag")
    assert (clash.status, clash.json["type"]) == (409, "/problems/name-taken")
    assert ask("GET", RECIPES).json == {}
