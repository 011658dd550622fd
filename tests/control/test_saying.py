"""What a fault would do, in plain words, before it is there."""

from __future__ import annotations

from typing import Any

import pytest

CHECK = "/api/v1/check/proxies/cache"


@pytest.mark.parametrize(
    ("sentence", "says"),
    [
        ("delay 2s", "Delays messages by 2s, until it is turned off."),
        (
            "20% delay(1s..3s) match command=GET at reply every 3 for 60s",
            "Delays replies by 1s..3s, only if command=GET, every 3rd one, 20% of them by chance, "
            "for 1m.",
        ),
        (
            "error(loading) skip 2 count 1",
            "Answers with the error loading, not the first 2, once, until it is turned off.",
        ),
        (
            "lose_reply then=reset count 5",
            "Lets the upstream do the work and loses its reply, then the connection is reset, "
            "at most 5 times, until it is turned off.",
        ),
        (
            "throttle 10KB/s direction to_client",
            "Lets bytes through at 10KB/s, towards the client, until it is turned off.",
        ),
        (
            "truncate(items=3)",
            "Cuts replies short after 3 items, until it is turned off.",
        ),
        ("noop every 11", "Does nothing but count, every 11th one, until it is turned off."),
    ],
)
def test_a_sentence_is_said_in_plain_words(ask: Any, sentence: str, says: str) -> None:
    found = ask("POST", f"{CHECK}/faults", sentence)
    assert (found.status, found.json["says"]) == (200, says)


def test_every_kind_can_be_said(ask: Any) -> None:
    from rascal.config import installed
    from rascal.config.specs import Installed
    from rascal.control._saying import says
    from rascal.language import Phrase

    for kind in {name for one in installed().protocols.values() for name in installed().kinds(one)}:
        said = says(Installed(form="fault", name="x", phrases=(Phrase(kind),)))
        assert said.endswith("until it is turned off.") and "None" not in said, kind


def test_scripts_and_recipes(ask: Any) -> None:
    body = {"steps": "pass 2, error(loading)", "match": "command=GET"}
    script = ask("POST", f"{CHECK}/scripts", body).json
    assert script["says"] == (
        "Strikes exchanges that match command=GET in turn, by 2 steps; then all pass."
    )
    assert script["match"] == "command=GET"
    recipe = ask("POST", f"{CHECK}/recipes", "recipe cold-cache").json
    assert recipe["form"] == "recipe"
    assert recipe["says"].startswith("Answers that nothing was found, only if command=GET")


def test_nothing_changes_and_changes_are_told_as_a_whole(ask: Any, node: Any) -> None:
    before = ask("GET", "/api/v1/state").json
    found = ask("POST", f"{CHECK}/faults/slow", {"options": {"delay": "5s"}, "for": "10s"})
    assert found.status == 200
    assert found.json["text"] == "delay(5s) match command=GET for 10s name slow"
    assert found.json["match"] == "command=GET"
    assert ask("GET", "/api/v1/state").json == before
    assert ask("POST", f"{CHECK}/faults/none", {}).status == 404
    assert ask("POST", f"{CHECK}/faults", "dely 2s").status == 422
