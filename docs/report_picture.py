"""Takes the picture of a report that docs/experiments.md shows, from a run of that page.

    python docs/report_picture.py [FILE.html]      a report made before; else the page is run

Needs Chromium.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))

import consoles  # noqa: E402

PAGE, PICTURE = DOCS / "experiments.md", DOCS / "experiment-report.png"
UNTIL = "## The mend"
"""Only the first run is shown."""
WIDTH, HEIGHT = 1100, 1230
NAMES = ("chromium", "chromium-browser", "google-chrome")


def report(folder: Path) -> Path:
    """The report that the page writes."""
    text = PAGE.read_text(encoding="utf-8").partition(UNTIL)[0]
    with consoles.shell(str(Path(sys.executable).parent)) as one:
        consoles.said(text, one)
        return Path(shutil.copy(one.folder / "report.html", folder))


def picture(html: Path) -> None:
    """What a browser shows of it first."""
    browser = next((found for name in NAMES if (found := shutil.which(name))), None)
    if browser is None:
        raise SystemExit("there is no Chromium here")
    subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={PICTURE}", html.resolve().as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )  # fmt: skip


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        picture(Path(sys.argv[1]) if sys.argv[1:] else report(Path(folder)))
    print(PICTURE.name)
