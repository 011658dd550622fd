"""What goes away and comes back: the panel in the middle of a run, and the proxies."""

from __future__ import annotations

import re
from typing import Any

from browser_place import Place, until
from playwright.sync_api import expect

SECONDS = """async () => {
  const stamp = document.querySelector("meta[name=stamp]").content;
  const { store } = await import(`/static/${stamp}/live/store.js`);
  return Array.from(store.data?.get("t") ?? []);
}"""
"""The seconds that the charts of a live page have."""


def whole(place: Place, run: str) -> Any:
    """The rows of a run of 25 s; None until all are there."""
    rows = place.ask("GET", f"/api/v1/runs/{run}/series")[1]["rows"]
    return rows if len(rows) >= 25 else None


def test_a_killed_panel_comes_back_on_the_open_page_and_loses_no_second(
    page: Any, place: Place, watch: Any
) -> None:
    watch.allow("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED", "ERR_EMPTY_RESPONSE",
                "ERR_CONNECTION_RESET", "ERR_NETWORK")  # fmt: skip
    run = place.load(**{"for": "25s"})
    page.goto(f"/runs/{run}/live")
    until(lambda: len(page.evaluate(SECONDS)) >= 3, "three seconds are drawn")
    place.kill_panel()
    lost = page.get_by_text(re.compile("Connection to the panel lost"))
    expect(lost).to_be_visible()
    place.restart_panel()
    expect(lost).to_be_hidden()
    before = len(page.evaluate(SECONDS))
    until(lambda: len(page.evaluate(SECONDS)) > before + 1, "it goes on by itself")
    found = place.until_ended(run)
    assert found["outcome"] == "completed"
    rows = until(lambda: whole(place, run), "all seconds have been read")
    stored = [row[0] for row in rows]
    assert stored == list(range(len(stored)))
    assert sum(row[1] for row in rows) == found["summary"]["total"]["started"]
    until(lambda: page.evaluate(SECONDS) == stored, "the page has every second of the store")


def test_a_node_that_is_away_is_shown_and_nothing_else_stops(
    page: Any, place: Place, watch: Any, shoot: Any
) -> None:
    watch.allow("status of 502", "status of 503", "status of 504")
    shop = f"http://127.0.0.1:{place.shop_port}"
    run = place.load(target=shop, only=["browse"], **{"for": "40s"})
    page.goto("/proxies/cache")
    expect(page.get_by_role("button", name="Add fault")).to_be_enabled()
    place.kill_node()
    expect(page.get_by_text(re.compile("not reachable|away")).first).to_be_visible()
    shoot(page, "away-proxy")
    page.goto("/")
    expect(page.locator("main").get_by_text(re.compile("away|not reachable")).first).to_be_visible()
    shoot(page, "away-overview")
    # What was planned for it goes on without it.
    page.goto(f"/runs/{run}/live")
    expect(page.locator(".u-over").first).to_be_visible()
    before = len(page.evaluate(SECONDS))
    until(lambda: len(page.evaluate(SECONDS)) > before + 1, "the run goes on")
    for path in ("/runs", "/scenarios/customers.py", "/experiments/cache-hangs", "/agents",
                 "/settings/nodes", "/proxies", "/connect"):  # fmt: skip
        reply = page.goto(path)
        assert reply.status == 200, path
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
    page.goto("/proxies/cache")
    place.restart_node()
    add = page.get_by_role("button", name="Add fault")
    expect(add).to_be_enabled(timeout=30_000)
    place.node.add("cache", "hang")
    expect(page.get_by_role("switch", name=re.compile("hang"))).to_be_checked()
    assert place.customer() == 503
    place.ask("POST", f"/api/v1/runs/{run}/stop", {"now": True})
    place.until_ended(run)
