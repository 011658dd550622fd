"""The waiting line, and what is asked of it."""

from __future__ import annotations

import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_twisted

from rascal.cli.child import load_flags, words_of
from rascal.control._problems import Problem
from rascal.errors import ConfigErrors
from rascal.panel.asking import Orders
from rascal.panel.queue import LONGEST, Entry, Queue, save


def entry(queue: Queue, title: str, **order: Any) -> Entry:
    return queue.entry(order, title=title, kind="load", by="ann")


def test_first_come_first_served_over_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "queue.json")
    queue = Queue(path)
    assert [queue.add(entry(queue, title, secret="s3cret")) for title in "abc"] == [1, 2, 3]
    queue.held = {"on": True, "by": "ann", "at": 1.0}
    queue.cancel(queue.waiting[1].id)
    save(path, queue.dumps())
    assert stat.S_IMODE((tmp_path / "queue.json").stat().st_mode) == 0o600
    again = Queue(path)
    again.load()
    assert again.held == queue.held
    assert "s3cret" not in str(again.json())
    found = [again.next(), again.next()]
    assert [one.title for one in found if one] == ["a", "c"]
    assert again.next() is None
    assert entry(again, "d").id == "q4"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 7}', '{"version": 1}'])
def test_a_file_that_cannot_be_read_counts_as_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "queue.json"
    path.write_text(text)
    queue = Queue(str(path))
    queue.load()
    assert queue.json() == {"waiting": [], "starting": [], "failed": [], "held": None}


def test_what_cannot_be_cancelled_says_why() -> None:
    queue = Queue()
    with pytest.raises(Problem, match="nothing waits as 'q9'"):
        queue.cancel("q9")
    one = entry(queue, "a")
    queue.starting[one.id] = one
    with pytest.raises(Problem, match="is being started"):
        queue.cancel(one.id)
    queue.fail(one, "no such target")
    assert queue.json()["failed"][0]["why"] == "no such target"
    assert not queue.starting


def test_the_line_is_bounded() -> None:
    queue = Queue()
    for _ in range(LONGEST):
        queue.add(entry(queue, "x"))
    with pytest.raises(Problem, match="cancel some"):
        queue.add(entry(queue, "y"))


class Asked(Orders):
    """Keeps what would be started."""

    def __init__(self, folder: Path) -> None:
        settings = SimpleNamespace(
            scenarios=str(folder), experiments=str(folder), targets=("shop.test",), redis="",
            nodes={"main": "http://127.0.0.1:8474"},
        )  # fmt: skip
        super().__init__(SimpleNamespace(settings=settings, nodes=None, reactor=None))
        self.path = "/store"
        self.found: list[dict[str, Any]] = []

    async def begin(self, order: dict[str, Any], *, title: str, kind: str, by: str) -> Any:
        self.found.append({**order, "title": title})
        return {"run": "1"}


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "shop.py").write_text("")
    (folder / "exp.yml").write_text("")
    (tmp_path / "outside.py").write_text("")
    return Asked(folder)


@pytest_twisted.ensureDeferred
async def test_who_may_be_loaded_is_the_operators_business(asked: Asked) -> None:
    with pytest.raises(ConfigErrors, match="no member 'allow'"):
        await asked.start_load({"file": "shop.py", "target": "http://x", "allow": ["x"]})
    await asked.start_load({"file": "shop.py", "target": "http://x", "rate": "5/s", "agents": "3"})
    (order,) = asked.found
    assert order["values"]["allow"] == ["shop.test"]
    assert order["agents"] == 3
    assert order["title"] == "shop.py → http://x"


@pytest.mark.parametrize(
    "file", ["../outside.py", "/etc/passwd", "exp.yml", "none.py", "", "a\0.py", 7]
)
@pytest_twisted.ensureDeferred
async def test_files_lie_in_their_folder(asked: Asked, file: Any) -> None:
    with pytest.raises(ConfigErrors) as refused:
        await asked.start_load({"file": file, "target": "http://x"})
    assert refused.value.findings[0].pointer == "/file"
    assert not asked.found


@pytest_twisted.ensureDeferred
async def test_experiments_are_files_or_texts(asked: Asked, tmp_path: Path) -> None:
    await asked.start_experiment("exp.yml", seed=7, labels=["ci"], probe=False)
    await asked.start_experiment(None, text="target: x", name="mine")
    file, text = asked.found
    assert file["given"] == {
        "allow": ["shop.test"], "seed": "7", "label": ["ci"], "lenient": False, "no_probe": True,
    }  # fmt: skip
    assert (text["text"], text["name"]) == ("target: x", "mine")
    assert text["folder"] == str(tmp_path / "here")
    with pytest.raises(ConfigErrors, match="letters"):
        await asked.start_experiment(None, text="x", name="../up")
    with pytest.raises(ConfigErrors, match="whole number"):
        await asked.start_experiment("exp.yml", seed="-1")
    with pytest.raises(ConfigErrors, match="no member 'sed'"):
        await asked.start_experiment("exp.yml", sed=1)


def test_the_command_that_is_kept_says_the_same() -> None:
    values = {"target": "http://x", "rate": "5/s", "for": "1m", "options": {"size": "3"},
              "headers": {"Accept": "a"}, "objectives": ["p95 < 1s"], "only": ["buy"]}  # fmt: skip
    assert words_of("shop.py", values) == [
        "shop.py", "buy", "--target", "http://x", "--rate", "5/s", "--for", "1m",
        "--option", "size=3", "--header", "Accept: a", "--objective", "p95 < 1s",
    ]  # fmt: skip


def test_no_flag_of_the_command_is_forgotten() -> None:
    from rascal.cli.load.run import run

    known = {one.name for one in run.params} - {"words", "started_fd"}
    assert set(load_flags()) == known
