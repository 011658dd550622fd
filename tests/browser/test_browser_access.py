"""Every page for everybody: axe finds nothing serious, light or dark, wide or narrow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from browser_place import PAGES, Place
from conftest import NARROW, WIDE, opened, settled
from playwright.sync_api import expect

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def two_runs(place: Place) -> dict[str, str]:
    """Something to look at: an experiment to its verdict and a load run, and a fault that is on."""
    run = place.experiment()
    place.until_ended(run)
    other = place.load(**{"for": "3s"})
    place.until_ended(other)
    place.node.add("cache", "delay 5ms")
    for _ in range(3):
        place.customer()
    return {"run": run, "other": other}


@pytest.fixture(scope="module")
def axe() -> str:
    """The script."""
    path = os.environ.get("RASCAL_AXE")
    if not path:
        spec = find_spec("axe_playwright_python")
        if spec is None or spec.origin is None:
            pytest.skip("axe-core is not here")
        path = str(Path(spec.origin).with_name("axe.min.js"))
    return Path(path).read_text("utf-8")


@pytest.fixture
def audited(browser: Any, place: Place, watch: Any, axe: str) -> Iterator[Any]:
    """A page into which axe may be put: the policy would forbid it."""
    for made in opened(browser, place, watch, bypass_csp=True):
        made.add_init_script(axe)
        yield made


def serious(page: Any) -> list[str]:
    """What axe finds, a line each."""
    settled(page)
    found = page.evaluate(
        "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", RULES
    )
    return [
        f"{one['impact']} {one['id']}: {one['help']}: {node['target']} {node['html'][:120]}"
        for one in found["violations"]
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("name", PAGES)
def test_no_page_shuts_anybody_out(
    audited: Any, watch: Any, two_runs: dict[str, str], name: str
) -> None:
    if name == "nowhere":
        watch.allow("status of 404")
    reply = audited.goto(PAGES[name].format(**two_runs))
    assert reply.status == (404 if name == "nowhere" else 200)
    audited.wait_for_load_state("load")
    assert audited.title().endswith("· Rascal")
    expect(audited.get_by_role("heading", level=1)).to_have_count(1)
    section = audited.get_by_role("navigation", name="Main").locator("[aria-current=page]")
    expect(section).to_have_count(0 if name == "jobs" else 1)
    problems = []
    for scheme, (width, height) in (("light", WIDE), ("dark", WIDE), ("light", NARROW)):
        audited.emulate_media(color_scheme=scheme)
        audited.set_viewport_size({"width": width, "height": height})
        problems += [f"{scheme} {width}: {one}" for one in serious(audited)]
    assert not problems, "\n".join(problems)
