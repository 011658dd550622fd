"""What `rascal load import` writes runs as it is, against a real nginx: --once, and as load."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from nginx_server import NGINX, nginx

pytestmark = pytest.mark.skipif(not NGINX, reason="there is no nginx")
FILES = Path(__file__).parents[1] / "load/importing/files"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with nginx(tmp_path_factory.mktemp("nginx")) as port:
        yield port


def rascal(folder: Path, *words: str) -> str:
    """A command in a process of its own; what it says."""
    known = {name: text for name, text in os.environ.items() if not name.startswith("RASCAL_")}
    done = subprocess.run(
        [sys.executable, "-c", "from rascal.cli import main; main()", "load", *words],
        cwd=folder,
        env=known | {"RASCAL_STORE": str(folder / "runs.db"), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("name", "more", "paths"),
    [
        ("shop.har", ("--authorization", "Bearer mine"), ("/index.html", "/hello?item=4711")),
        ("shop.openapi.yml", (), ("/hello?lang=en", "/index.html")),
        ("copied.curl", (), ("/hello?page=2", "/index.html")),
    ],
)
def test_what_is_written_runs(
    server: int, tmp_path: Path, name: str, more: tuple[str, ...], paths: tuple[str, ...]
) -> None:
    target = f"http://127.0.0.1:{server}"
    file = tmp_path / name
    file.write_text((FILES / name).read_text().replace("http://127.0.0.1:8080", target))
    said = rascal(tmp_path, "import", name, "--output", "shop.py")
    command = said.splitlines()[-1].split()  # the very one that is suggested
    assert command[:5] == ["rascal", "load", "run", "shop.py", "--target"]
    once = [word for word in command[2:] if word not in ("…", "--authorization")]
    said = rascal(tmp_path, *once, *more)
    for path in paths:
        assert f"GET {path}  " in said
    assert said.count("200 in ") == len(paths)
    assert "went well" in said and "✗" not in said
    said = rascal(
        tmp_path, "run", "shop.py", "--target", target, "--rate", "20/s", "--for", "1s", *more
    )
    assert "completed" in said and "FAILURES" not in said
    assert re.search(r"^(all|GET \S+) +\S+/s +\S+/s +0\.0 %", said, re.MULTILINE)
