"""docs/wrap.md says what the commands in it say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from rascal.cli.app import rascal

PAGE = (Path(__file__).parents[2] / "docs" / "wrap.md").read_text()


def test_the_page_says_what_the_commands_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("COLUMNS", "COMPOSE_FILE", "DB_PASSWORD", "RASCAL_URL"):
        monkeypatch.delenv(name, raising=False)
    (compose,) = re.findall(r"```yaml\n# docker-compose.yml\n(.*?)```", PAGE, re.DOTALL)
    Path("docker-compose.yml").write_text(compose)
    consoles = re.findall(r"```console\n\$ rascal (.*?)\n(.*?)```", PAGE, re.DOTALL)
    assert len(consoles) == 3
    for words, said in consoles:
        found = CliRunner().invoke(rascal, words.split(), catch_exceptions=False)
        assert found.exit_code == 0
        assert found.output == said
