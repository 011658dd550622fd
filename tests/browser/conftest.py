"""A real Chromium that looks at a real panel; what its console says fails the test."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs
import pytest
from browser_place import Place

ROOT = Path(__file__).parents[2]
SHOTS = Path(os.environ.get("RASCAL_SHOTS") or ROOT / "build" / "shots")
"""Where the journeys leave their screenshots."""
collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]
"""Without the group `browser` there is nothing to drive a browser with."""
STRANGE = "rascal.example"
"""A name that leads to this machine, as an attacker's would."""
ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    f"--host-resolver-rules=MAP {STRANGE} 127.0.0.1",
]  # fmt: skip
WIDE, NARROW = (1280, 900), (390, 844)
SCHEMES = ("light", "dark")
PATIENCE = 15_000
"""Milliseconds that a page is given for anything: a busy machine is no finding."""


def chromium() -> str | None:
    """Where it is."""
    names = (os.environ.get("RASCAL_CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One Chromium for all."""
    from playwright.sync_api import expect, sync_playwright

    path = chromium()
    if path is None:
        pytest.skip("chromium is not here")
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not here")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=ARGS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The system of a module."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not here")
    made = Place(tmp_path_factory.mktemp("place"))
    try:
        yield made
    finally:
        made.close()


@attrs.define(slots=False)  # playwright notes something on whoever listens
class Watch:
    """What a page complained of: console, errors of scripts, policy reports, dialogs, strangers."""

    home: str
    found: list[str] = attrs.Factory(list)
    allowed: list[str] = attrs.Factory(list)

    def allow(self, *patterns: str) -> None:
        """Complaints that the test provokes."""
        self.allowed += patterns

    def look(self, page: Any) -> None:
        """Begin to watch."""
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.found.append(f"error: {error}"))
        page.on("dialog", self._asked)
        page.on("request", self._sent)

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            place = message.location.get("url", "")
            self.found.append(f"console: {message.text} ({place})")

    def _asked(self, dialog: Any) -> None:
        self.found.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _sent(self, request: Any) -> None:
        if not request.url.startswith((self.home, "data:", "blob:", "about:")):
            self.found.append(f"a stranger is asked: {request.url}")

    @property
    def problems(self) -> list[str]:
        """Those that nobody provoked."""
        return [one for one in self.found if not any(re.search(p, one) for p in self.allowed)]


@pytest.fixture
def watch(place: Place) -> Watch:
    """What the test's pages complain of."""
    return Watch(place.url + "/")


@pytest.fixture
def page(browser: Any, place: Place, watch: Watch) -> Iterator[Any]:
    """A page at 1280 × 900 that may not complain."""
    yield from opened(browser, place, watch)


def opened(browser: Any, place: Place, watch: Watch, **options: Any) -> Iterator[Any]:
    """A page in a context of its own; what it complained of fails the test."""
    size = {"width": WIDE[0], "height": WIDE[1]}
    options = {"viewport": size, "base_url": place.url, "reduced_motion": "reduce", **options}
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE)
    made = context.new_page()
    watch.look(made)
    try:
        yield made
    finally:
        context.close()
    if any("status of 500" in one for one in watch.problems):
        watch.found.append(place.panel.text[-3000:])
    assert not watch.problems, "\n".join(watch.problems)


@pytest.fixture
def shoot() -> Callable[..., None]:
    """shoot(page, name): light and dark, wide and narrow; nothing may stick out sideways."""
    SHOTS.mkdir(parents=True, exist_ok=True)

    def take(page: Any, name: str, *, full: bool = True) -> None:
        outside = []
        for width, height in (WIDE, NARROW):
            page.set_viewport_size({"width": width, "height": height})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                settled(page)
                page.screenshot(path=SHOTS / f"{name}-{scheme}-{width}.png", full_page=full)
            needs = page.evaluate("document.documentElement.scrollWidth")
            if needs > width:
                outside.append(f"{name}: {needs} px wide in a window of {width}")
        page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
        page.emulate_media(color_scheme="light")
        assert not outside, outside

    return take


def settled(page: Any) -> None:
    """Two frames have been drawn since."""
    page.evaluate("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
