"""Which files are taken for those of the Toxiproxy server."""

from __future__ import annotations

from pathlib import Path

import pytest

from rascal.config.toxiproxy import is_toxiproxy


@pytest.mark.parametrize(
    ("name", "text", "is_one"),
    [
        ("proxies.ini", "[rascal]\nseed = 1\n", False),
        ("proxies.ini", "\n# by hand\n[proxy:db]\n", False),
        ("proxies.ini", "", False),
        ("config", '[{"name": "db"}]', True),
        ("config", '\n [\n  {"name": "db"}]', True),
        ("config", "[ ]", True),
        ("toxiproxy.json", "", True),
    ],
)
def test_is_toxiproxy(name: str, text: str, is_one: bool, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(text)
    assert is_toxiproxy(str(file)) is is_one


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert not is_toxiproxy(str(tmp_path / "absent"))
