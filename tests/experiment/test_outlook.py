"""What a plan can tell before it runs: calls, thin scenarios, bounds, phases that are too short."""

from __future__ import annotations

from pathlib import Path

import pytest

from rascal.experiment.loading import read_load
from rascal.experiment.outlook import Outlook, outlook
from rascal.experiment.reading import experiment_of
from rascal.experiment.timeline import timeline_of

SHOP = """
from rascal.load import scenario
@scenario("browse", weight=18)
async def browse(user):
    await user.get("/")
@scenario("buy", weight=20)
async def buy(user):
    await user.get("/buy")
@scenario("export", weight=1)
async def export(user):
    await user.get("/export")
@scenario("import", weight=1)
async def import_(user):
    await user.get("/import")
"""
LONG = "{warm-up: 10s, baseline: 20s, fault: 15s, recovery: 45s}"


def look(
    tmp_path: Path, load: str = "profile: hold 80/s", more: str = "", phases: str = LONG
) -> Outlook:
    (tmp_path / "shop.py").write_text(SHOP)
    text = (
        f"target: http://127.0.0.1:9\nload: {{scenarios: shop.py, {load}}}\nphases: {phases}\n"
        f"faults: [hang on db]\n{more}"
    )
    experiment = experiment_of(text, str(tmp_path / "x.yml"))
    timeline = timeline_of(experiment)
    plan, book = read_load(experiment, timeline)
    weights = {name: one.weight for name, one in book.scenarios.items()}
    book.unload()
    return outlook(experiment, timeline, plan, weights)


def test_rates_follow_the_weights(tmp_path: Path) -> None:
    found = look(tmp_path)
    rates = {one.name: one.rate for one in found.streams}
    assert rates == {"buy": 40.0, "browse": 36.0, "export, import (together)": 4.0}
    assert found.rate == pytest.approx(80)
    buy = next(one for one in found.streams if one.name == "buy")
    assert buy.power.calls == {"baseline": 800, "fault": 600, "tail": 600}


def test_thin_ones_do_not_matter_while_others_speak_for_their_side(tmp_path: Path) -> None:
    found = look(tmp_path)
    thin = next(one for one in found.streams if "together" in one.name)
    assert thin.advice and not thin.matters
    assert found.long_enough and not found.cautions and not found.problems


def test_they_matter_on_a_side_of_their_own(tmp_path: Path) -> None:
    found = look(tmp_path, more="uses: {db: [export, import]}")
    thin = next(one for one in found.streams if "together" in one.name)
    assert thin.matters and not found.long_enough
    assert thin.advice.startswith("export, import (together): 4/s × 15s = 60 calls during the")


def test_a_higher_rate_is_enough(tmp_path: Path) -> None:
    assert not look(tmp_path, "profile: hold 4/s").long_enough
    assert look(tmp_path, "profile: hold 400/s").long_enough


def test_a_bound_that_flatters_is_told(tmp_path: Path) -> None:
    load = "profile: hold 80/s, timeout: 5s, max_in_flight: {}"
    (text,) = look(tmp_path, load.format(599)).cautions
    assert "at most 599 visits may be under way" in text
    assert "let max_in_flight be 600 or more" in text
    assert not look(tmp_path, load.format(600)).cautions


def test_short_phases_are_told(tmp_path: Path) -> None:
    phases = "{warm-up: 5s, baseline: 10s, fault: 5s, recovery: 20s}"
    texts = look(tmp_path, phases=phases).cautions
    assert [text.split(",")[0] for text in texts] == [
        "warm-up lasts 5s",
        "baseline lasts 10s",
        "fault lasts 5s",
        "recovery lasts 20s",
    ]
    slow = look(tmp_path, "profile: hold 80/s, timeout: 20s").cautions
    assert any("recovery lasts 45s, 60s are the least: three time-outs" in one for one in slow)


def test_a_dependency_that_nobody_uses_can_prove_nothing(tmp_path: Path) -> None:
    (text,) = look(tmp_path, more="uses: {cache: [buy]}").problems
    assert text.startswith("no flow uses db, which the faults strike")
    both = "uses: {cache: [buy]}\nrecipe: cache-down on cache"
    found = look(tmp_path, more=both)
    assert not found.problems
    assert any(text.startswith("no flow uses db") for text in found.cautions)


def test_nobody_says_who_uses_what(tmp_path: Path) -> None:
    (text,) = look(tmp_path, more="learn: no").cautions
    assert "(cascading) cannot be found" in text
