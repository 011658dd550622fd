"""Takes the picture of the live page that README.md and docs/panel.md show, from a real run.

    python docs/panel_picture.py

Needs Chromium and redis-server; takes about a minute and a half on a quiet machine.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent
PICTURE = DOCS / "panel-live.png"
sys.path[:0] = [str(DOCS.parent / "tests"), str(DOCS.parent / "tests" / "browser")]

from browser_place import Place, until  # noqa: E402

WIDTH, HEIGHT = 1280, 1010
UNTIL = 66.0
"""The second of the run that is shown."""
EXPERIMENT = """\
name: kettle-shop-without-a-cache
target: {target}
load: {{scenarios: customers.py, profile: hold 80/s, timeout: 1s}}
phases: {{warm-up: 4s, baseline: 20s, fault: 24s, recovery: 30s}}
faults:
  - delay(normal(120ms, 30ms)) on cache
  - hang on cache from fault+7s for 10s
  - 30% delay(60ms) on shop match path=/browse from fault+14s for 8s
uses: {{cache: [order], shop: [browse, order]}}
objectives: ['goodput_kept(order) >= 70%', 'time_to_recover <= 10s']
learn: no
"""


def main() -> None:
    """Run it, and look."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        try:
            file = Path(folder) / "kettle-shop-without-a-cache.yml"
            file.write_text(EXPERIMENT.format(target=place.target))
            status, found = place.ask("POST", "/api/v1/runs", {"experiment": {"file": file.name}})
            assert status == 201, found
            run = found["run"]
            place.first(run)

            def far() -> bool:
                live = place.ask("GET", f"/api/v1/runs/{run}")[1].get("live") or {}
                return float(live.get("t") or 0) >= UNTIL

            until(far, "the run is far enough", 150)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path="/usr/bin/chromium",
                    args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
                )
                page = browser.new_page(
                    viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light"
                )
                page.goto(f"{place.url}/runs/{run}/live")
                page.wait_for_selector(".u-over")
                page.get_by_role("region", name="Verdict").get_by_text("Goodput kept").wait_for()
                page.screenshot(path=PICTURE)
                browser.close()
        finally:
            place.close()
    print(f"wrote {PICTURE.relative_to(DOCS.parent)}")


if __name__ == "__main__":
    main()
