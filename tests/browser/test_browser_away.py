"""What goes away and comes back: the panel in the middle of a run, and the proxies."""

from __future__ import annotations

import re
from typing import Any

from browser_place import Place, until
from playwright.sync_api import expect

SECONDS = """async () => {
  const stamp = document.querySelector("meta[name=stamp]").content;
  const { store } = await import(`/static/${stamp}/store.js`);
  return Array.from(store.columns.t);
}"""
"""The seconds that the charts of a live page have."""


def test_a_killed_panel_comes_back_on_the_open_page_and_loses_no_second(
    page: Any, place: Place, watch: Any
) -> None:
    watch.allow("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED", "ERR_EMPTY_RESPONSE",
                "ERR_CONNECTION_RESET", "ERR_NETWORK")  # fmt: skip
    run = place.load(**{"for": "25s"})
    page.goto(f"/runs/{run}/live")
    until(lambda: len(page.evaluate(SECONDS)) >= 3, "three seconds are drawn")
    place.kill_panel()
    lost = page.get_by_text(re.compile("connection (is )?lost|reconnecting", re.I)).first
    expect(lost).to_be_visible()
    place.restart_panel()
    expect(lost).to_be_hidden()
    before = len(page.evaluate(SECONDS))
    until(lambda: len(page.evaluate(SECONDS)) > before + 1, "it goes on by itself")
    found = place.until_ended(run)
    assert found["outcome"] == "completed"
    series = place.ask("GET", f"/api/v1/runs/{run}/series")[1]
    stored = [row[0] for row in series["rows"]]
    assert stored == list(range(len(stored)))
    assert len(stored) >= 25
    until(lambda: page.evaluate(SECONDS) == stored, "the page has every second of the store")
