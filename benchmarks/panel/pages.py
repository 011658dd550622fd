"""How fast the panel's pages are in a real Chromium, and what those cost that are left open.

    python benchmarks/panel/pages.py [--rounds 5] [--minutes 5] [--viewers 20] [--only PART…]
                                     [--write]

Parts: pages, viewers, heap. It starts the system of tests/browser: a shop, Redis, proxies before
both, the panel; runs an experiment and a load run, so that there is something to see; then opens
every page in a fresh browser context, without a cache, and asks the browser itself (navigation
and resource timing). Nothing is asserted; `--write` writes docs/panel-speed.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import attrs
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "browser"))

from browser_place import PAGES, Place  # noqa: E402
from browser_viewers import left_open, viewers_cost  # noqa: E402

PARTS = ("pages", "viewers", "heap")
PAGE = ROOT / "docs" / "panel-speed.md"
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
FIRST, WEIGHT, READY = 50, 250, 500
"""Milliseconds until the first byte, kilobytes, milliseconds until a page can be used: the aims."""
DRAWN = {"live": ".u-over", "run": ".u-over", "compare": ".u-over"}
"""Pages that can be used once something is there, beside what the browser knows."""

LOOK = Path(__file__).with_name("look.js")


@attrs.frozen
class Row:
    """A page: medians of all rounds."""

    name: str
    address: str
    first: float
    paint: float
    ready: float
    sent: float
    whole: float
    requests: int
    shift: float
    busy: float


def measured(browser: Any, place: Place, names: dict[str, str], rounds: int) -> list[Row]:
    """All pages that there are."""
    rows = []
    for name, pattern in PAGES.items():
        address = pattern.format(**names)
        found = [looked(browser, place.url + address, DRAWN.get(name)) for _ in range(rounds + 1)]
        if found[0] is None:
            continue
        some = found[1:]  # the first one also warms the panel
        middle = {key: statistics.median(one[key] for one in some) for key in some[0]}
        middle["ready"] = max(middle["ready"], middle.pop("drawn"))
        rows.append(Row(name=name, address=pattern, **middle))
    return rows


def looked(browser: Any, url: str, until: str | None) -> Any:
    """One visit with nothing in the cache; None if there is no such page."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True)
    page = context.new_page()
    script = LOOK.read_text("utf-8")
    page.add_init_script(f"const UNTIL = {json.dumps(until or '')};\n{script}")
    try:
        reply = page.goto(url)
        if reply.status >= 400 and not url.endswith("99999"):
            return None
        page.wait_for_load_state("load")
        if until:
            page.wait_for_selector(until)
        page.wait_for_timeout(300)
        return page.evaluate("window.looked()")
    finally:
        context.close()


def table(rows: list[Row]) -> list[str]:
    """As Markdown."""
    lines = [
        "| page | first byte | first paint | usable | sent | unpacked | requests | layout shift |",
        "| --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    lines += [
        f"| `{row.address}` | {row.first:.0f} ms | {row.paint:.0f} ms | {row.ready:.0f} ms "
        f"| {row.sent / 1000:.0f} kB | {row.whole / 1000:.0f} kB | {row.requests:.0f} "
        f"| {row.shift:.3f} |"
        for row in rows
    ]
    return lines


def over(rows: list[Row]) -> list[str]:
    """What misses the aims, a line each."""
    found = []
    for row in rows:
        for value, aim, text in (
            (row.first, FIRST, "first byte {:.0f} ms"),
            (row.sent / 1000, WEIGHT, "{:.0f} kB"),
            (row.ready, READY, "usable after {:.0f} ms"),
        ):
            if value > aim:
                found.append(f"{row.address}: {text.format(value)} (aim: {aim})")
    return found


def started(place: Place) -> dict[str, str]:
    """Something to look at."""
    run, other = place.experiment(), None
    place.until_ended(run)
    other = place.load(**{"for": "3s"})
    place.until_ended(other)
    return {"run": run, "other": other}


def main() -> None:
    """Measure, print, and write if that is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=5.0, help="of the page that is left open")
    parser.add_argument("--speed", type=int, default=60, help="how fast its stream is")
    parser.add_argument("--viewers", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        parser.error("there is no chromium")
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        place = Place(Path(folder))
        browser = playwright.chromium.launch(executable_path=path, args=ARGS)
        try:
            names = started(place)
            if "pages" in given.only:
                rows = measured(browser, place, names, given.rounds)
                lines += [*table(rows), "", *(f"- over the aim: {one}" for one in over(rows)), ""]
            if "viewers" in given.only:
                lines += [*viewers(place, given.viewers), ""]
            if "heap" in given.only:
                lines += heap_lines(browser, place, names["other"], given)
            machine = f"{platform.machine()}, {os.cpu_count()} cores, Chromium {browser.version}"
        finally:
            browser.close()
            place.close()
    print(f"Measured on {machine}, Python {platform.python_version()}.\n")
    print("\n".join(lines))
    if given.write:
        write(machine, lines)


def viewers(place: Place, count: int) -> list[str]:
    """What so many cost the panel in the middle of a run: half at the run, half at the overview."""
    run = place.load(**{"for": "60s"})
    paths = [f"/api/v1/runs/{run}/events", "/api/v1/events"] * (count // 2)
    alone, watched, sent = viewers_cost(place.port, place.panel.pid, paths)
    place.ask("POST", f"/api/v1/runs/{run}/stop", {"now": True})
    place.until_ended(run)
    return [
        f"{count} open pages while a run goes on: the panel needs {watched:.1%} of a core, "
        f"{alone:.1%} without them; it sends them {sent / 1000:.1f} kB/s."
    ]


def heap_lines(browser: Any, place: Place, run: str, given: Any) -> list[str]:
    """A live page whose stream runs fast."""
    kind, snapshot = next(place.events(f"/api/v1/runs/{run}/events"))
    assert kind == "snapshot"
    snapshot["state"] = {**snapshot["state"], "status": "running"}
    snapshot["run"] = {**snapshot["run"], "state": "running"}
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, bypass_csp=True, base_url=place.url
    )
    try:
        found = left_open(
            context.new_page(), f"/runs/{run}/live", snapshot,
            seconds=60 * given.minutes, speed=given.speed,
        )  # fmt: skip
    finally:
        context.close()
    return [
        f"A live page left open, its stream {given.speed} times as fast:", "",
        "| hours of the stream | heap | nodes |", "| --: | --: | --: |",
        *(f"| {at / 3600:.2f} | {size / 1e6:.1f} MB | {count} |" for at, size, count in found),
    ]  # fmt: skip


def write(machine: str, lines: list[str]) -> None:
    """The page of the documentation."""
    text = [
        "# How fast the panel is",
        "",
        "`python benchmarks/panel/pages.py --write` opens every page of the panel in a real "
        "Chromium, each time with an empty cache, and writes this page. The aims: the first byte "
        f"within {FIRST} ms, at most {WEIGHT} kB sent for all of a page, usable within {READY} ms. "
        "*Usable* is when all scripts have run, and on pages with charts when they are drawn.",
        "",
        f"Measured on {machine}; the panel, the proxies, Redis, the shop and the browser share "
        "the machine.",
        "",
        *lines,
    ]
    PAGE.write_text("\n".join(text).rstrip() + "\n", "utf-8")


if __name__ == "__main__":
    main()
