"""Scenario files in the panel: found, read outside of it, and the form that starts load."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from panel_process import SCENARIO, PanelProcess, target

from rascal.control._problems import Problem
from rascal.language import parse
from rascal.panel.folders import MOST, Folder, digest_of
from rascal.panel.helpers import Helpers
from rascal.panel.inspecting import described
from rascal.panel.load_plan import planned
from rascal.panel.pages.scenarios import brief, field_of, first_sentence
from rascal.panel.scenario_files import dumps, is_scenario, once_words

SHOP = '''\
"""What visitors do: they look, and some buy. More is said later.

In a second paragraph.
"""

from rascal.load import Option, scenario

items = Option("items", int, 3, "How many things.", minimum=1, maximum=50)
patience = Option("patience", "duration", "2s", "How long.", minimum="100ms")
currency = Option("currency", ["EUR", "USD"], "EUR")
user_name = Option("user_name", "name", help="Who.")


@scenario("browse", weight=9)
async def browse(user):
    """Opens a page."""


@scenario("buy", deadline="10s")
async def buy(user):
    pass
'''
SECOND = {"draw": {"shape": "steady", "level": "20", "for": "60"}, "target": "http://127.0.0.1:80"}
HANGS = "from rascal.load import scenario\nimport time\nprint('x' * 100000)\ntime.sleep(600)\n"


@pytest.fixture
def about(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "shop.py").write_text(SHOP)
    return described(str(tmp_path / "shop.py"), str(tmp_path))


# ---- reading


def test_what_a_file_declares_and_what_its_form_says(about: dict[str, Any]) -> None:
    assert about["findings"] == []
    assert first_sentence(about["doc"]) == "What visitors do"
    assert about["scenarios"]["browse"] | {"line": 0} == {
        "weight": 9.0, "doc": "Opens a page.", "tags": [], "deadline": None, "line": 0,
    }  # fmt: skip
    assert about["scenarios"]["buy"]["deadline"] == 10.0
    fields = {one["name"]: field_of(one) for one in about["parameters"]}
    assert fields["items"]["about"] == "How many things · a whole number · 1 to 50 · usually 3"
    assert fields["patience"]["about"].endswith("at least 100ms · usually 2s")
    assert fields["currency"]["choice"] and fields["currency"]["type"] == ["EUR", "USD"]
    assert fields["user_name"]["required"], "a file whose option needs a value is whole"


def test_mistakes_stand_at_their_line_within_the_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub" / "bad.py"
    path.write_text("from rascal.load import scenario\nimport treqq\n")
    (found,) = described(str(path), str(tmp_path))["findings"]
    assert (found["file"], found["line"]) == ("sub/bad.py", 2)
    assert "treqq" in found["message"]


def test_code_that_is_no_scenario_is_never_run() -> None:
    assert is_scenario(b"from rascal.load import scenario")
    assert is_scenario(b"from rascal import load\nscenario = load.scenario")
    assert not is_scenario(b"raise SystemExit('setup')")
    assert not is_scenario(b"from rascal.load import Option")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (HANGS, "takes longer than 0.7 s"),
        ("from rascal.load import scenario\nimport os\nos._exit(3)", "status 3"),
        ("from rascal.load import scenario\nraise SystemExit(4)", "SystemExit: 4"),
        ("from rascal.load import scenario\nimport os\nos.kill(os.getpid(), 9)", "status -9"),
    ],
)
def test_a_broken_file_ends_its_own_process_only(tmp_path: Path, code: str, says: str) -> None:
    (tmp_path / "bad.py").write_text(code)
    helpers = Helpers(None)
    seconds = 0.7 if code is HANGS else 20.0
    began = time.monotonic()
    (found,) = helpers.look(str(tmp_path / "bad.py"), str(tmp_path), seconds)["findings"]
    assert says in found["message"]
    assert found["file"] == "bad.py"
    assert not helpers._children
    assert time.monotonic() - began < 20


def test_what_a_file_forks_is_ended_with_it(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(
        "from rascal.load import scenario\nimport subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "@scenario\nasync def browse(user): pass\n"
    )
    found = Helpers(None).look(str(tmp_path / "bad.py"), str(tmp_path), 20.0)
    assert list(found["scenarios"]) == ["browse"]
    pid = int((tmp_path / "pid").read_text())
    ends = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and _state(pid) != "Z":
        assert time.monotonic() < ends, "it lives on"
        time.sleep(0.02)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


# ---- names and folders


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    base = tmp_path / "files"
    base.mkdir()
    (tmp_path / "secret.py").write_text("from rascal.load import scenario")
    (base / "a.py").write_text("from rascal.load import scenario")
    return Folder(str(base), (".py",), is_scenario)


@pytest.mark.parametrize(
    "name",
    ["../secret.py", "/etc/passwd", "a.py/../../secret.py", "..", "", "a.txt", "./a.py", "a\0.py",
     "<script>alert(1)</script>.py", ".hidden.py", "x/" * 9 + "a.py", "a\n.py", "-a.py"],
)  # fmt: skip
def test_names_lead_nowhere_else(folder: Folder, name: str) -> None:
    with pytest.raises(Problem) as caught:
        folder.find(name)
    assert caught.value.status == 404
    with pytest.raises(Problem):
        folder.write(name, "text", None)


def test_links_out_of_the_folder_are_not_followed(folder: Folder) -> None:
    (folder.base / "link.py").symlink_to(folder.base.parent / "secret.py")
    (folder.base / "out").symlink_to(folder.base.parent)
    assert [one.name for one in folder.files()] == ["a.py"]
    for name in ("link.py", "out/secret.py"):
        with pytest.raises(Problem):
            folder.find(name)
        with pytest.raises(Problem):
            folder.write(name, "text", None)


def test_only_what_belongs_is_listed_and_not_too_much(folder: Folder) -> None:
    for name in ("venv", "__pycache__", ".git", "mine"):
        (folder.base / name).mkdir()
        (folder.base / name / "s.py").write_text("from rascal.load import scenario")
    env = folder.base / "myenv"
    env.mkdir()
    (env / "pyvenv.cfg").touch()
    (env / "s.py").write_text("from rascal.load import scenario")
    (folder.base / "setup.py").write_text("raise SystemExit")
    assert [one.name for one in folder.files()] == ["a.py", "mine/s.py"]
    for number in range(MOST + 5):
        (folder.base / f"n{number}.py").write_text("from rascal.load import scenario")
    assert len(folder.files()) == MOST


def test_nobody_overwrites_what_they_have_not_read(folder: Folder) -> None:
    digest = folder.write("b.py", "one", None)
    os.chmod(folder.base / "b.py", 0o640)
    with pytest.raises(Problem, match="already") as taken:
        folder.write("b.py", "two", None)
    assert taken.value.status == 409
    assert folder.write("b.py", "two", digest) == digest_of(b"two")
    with pytest.raises(Problem, match="somebody else") as changed:
        folder.write("b.py", "three", digest)
    assert (changed.value.status, changed.value.code) == (409, "changed")
    assert (folder.base / "b.py").read_text() == "two"
    assert (folder.base / "b.py").stat().st_mode & 0o777 == 0o640
    (folder.base / "b.py").unlink()
    with pytest.raises(Problem, match="deleted"):
        folder.write("b.py", "three", digest_of(b"two"))
    assert sorted(one.name for one in folder.base.iterdir()) == ["a.py"]


# ---- the form


@pytest.mark.parametrize(
    ("draw", "profile", "total"),
    [
        ({"level": "200", "for": "1m"}, "hold 200/s for 1m", 12_000),
        ({"level": "200/s", "ramp": "10s", "for": "60"},
         "ramp 0..200/s for 10s, hold 200/s for 1m", 13_000),
        ({"level": "1,200", "for": "10s", "ramp": "0s"}, "hold 1200/s for 10s", 12_000),
        ({"model": "closed", "level": "50", "for": "1m"}, "hold 50 users for 1m", 3_000),
        ({"shape": "steps", "level": "10", "peak": "50", "for": "50s", "model": "closed"},
         "steps 10..50 users for 50s count 5", 1_500),
        ({"shape": "spike", "level": "10", "peak": "50", "for": "30s", "every": "5s"},
         "hold 10/s for 30s, spike 50/s for 5s, hold 10/s for 30s", 850),
        ({"shape": "wave", "level": "10", "peak": "50", "for": "2m", "every": "1m"},
         "wave 10..50/s for 2m every 1m", 3_600),
        ({"shape": "words", "words": "hold 5/s for 10s, pause 5s"},
         "hold 5/s for 10s, pause 5s", 50),
    ],
)  # fmt: skip
def test_shapes_become_profiles_and_points(
    about: dict[str, Any], draw: dict[str, str], profile: str, total: int
) -> None:
    found = planned(about, "shop.py", {**SECOND, "draw": draw, "options": {"user_name": "ann"}})
    assert found["errors"] == {}
    assert found["profile"] == profile
    parse("profile", found["profile"])
    assert found["total"] == total
    points = found["points"]
    assert points[0][0] == 0 and points[-1][0] == found["seconds"]
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(points))
    assert area == pytest.approx(total, rel=0.01)


@pytest.mark.parametrize(
    ("given", "field", "says"),
    [
        ({"target": "127.0.0.1"}, "target", "no base URL"),
        ({"target": ""}, "target", "which target"),
        ({"draw": {"level": "abc", "for": "1m"}}, "draw.level", "a level such as"),
        ({"draw": {"level": "20", "for": ""}}, "draw.for", "how long"),
        ({"draw": {"level": "20 users", "for": "5s"}}, "draw.level", "write 200/s"),
        ({"draw": {"level": "9/s", "for": "5s", "model": "closed"}}, "draw.level", "of users"),
        ({"draw": {"shape": "words", "words": "hold 5"}}, "draw.words", ""),
        ({"draw": {"shape": "odd"}}, "draw.shape", "shapes are"),
        ({"draw": {"shape": "steps", "level": "1", "peak": "2", "for": "5s", "count": "x"}},
         "draw.count", "2 to 100"),
        ({"options": {"items": "99", "user_name": "a"}}, "options.items", "at most 50"),
        ({"options": {"currency": "DM", "user_name": "a"}}, "options.currency", "EUR, USD"),
        ({"options": {}}, "options.user_name", ""),
        ({"options": {"itmes": "3", "user_name": "a"}}, "options.itmes", "Did you mean 'items'?"),
        ({"objectives": "p95 < 300"}, "objectives", "unit"),
        ({"only": ["bowse"]}, "only", "Did you mean 'browse'?"),
        ({"timeout": "5"}, "timeout", "unit"),
        ({"agents": "-1"}, "agents", "whole number"),
        ({"target": {"a": 1}}, "target", "a text on one line"),
        ({"labels": [["a"]]}, "labels", "a list of texts"),
    ],
)  # fmt: skip
def test_each_mistake_stands_at_its_field(
    about: dict[str, Any], given: dict[str, Any], field: str, says: str
) -> None:
    found = planned(about, "shop.py", {**SECOND, "options": {"user_name": "ann"}, **given})
    assert says in found["errors"][field]
    assert "command" not in found


def test_the_command_line_says_the_same(about: dict[str, Any]) -> None:
    given = {**SECOND, "options": {"user_name": "ann", "items": "4", "currency": "EUR"},
             "objectives": "p95 < 300ms\nfailed < 1%", "only": ["buy"], "agents": "2"}  # fmt: skip
    found = planned(about, "shop.py", given)
    assert found["values"]["options"] == {"items": "4", "user_name": "ann"}, "defaults stay away"
    assert found["command"] == (
        "rascal load run shop.py buy --target http://127.0.0.1:80 --profile 'hold 20/s for 1m' "
        "--option items=4 --option user_name=ann --objective 'p95 < 300ms' "
        "--objective 'failed < 1%' --agents 2"
    )
    assert ["load", "hold 20/s for 1m by buy"] in found["words"]
    assert "1,200 users arrive in 1m" in found["sentence"]


def test_what_is_right_is_drawn_while_something_else_is_wrong(about: dict[str, Any]) -> None:
    found = planned(about, "shop.py", {**SECOND, "target": "?", "options": {"user_name": "ann"}})
    assert list(found["errors"]) == ["target"]
    assert found["top"] == 20.0
    endless = planned(about, "shop.py", {"draw": {"shape": "words", "words": "hold 5/s"}})
    assert endless["seconds"] is None
    assert endless["drawn"] > 0


def test_hostile_texts_stay_texts() -> None:
    assert "<" not in dumps({"a": "</script><script>alert(1)</script>&"})
    assert json.loads(dumps({"a": "</script>&"})) == {"a": "</script>&"}
    words = once_words("a.py", {"target": "--help", "options": {"a": "--x"}, "only": ["-v"]}, [])
    assert "--target=--help" in words
    assert words[words.index("--") :] == ["--", "a.py", "-v"]
    assert brief("load has no 'profil'; names: a, b. Did you mean 'profile'?") == (
        "load has no 'profil'. Did you mean 'profile'?"
    )


# ---- a whole panel


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[PanelProcess]:
    made = PanelProcess(tmp_path, nodes="http://127.0.0.1:9")  # nobody is there
    try:
        yield made
    finally:
        made.stop()


def page(panel: PanelProcess, path: str) -> tuple[int, str, float]:
    """Status, HTML, and seconds until it began to come."""
    connection = http.client.HTTPConnection("127.0.0.1", panel.port, timeout=30)
    try:
        began = time.monotonic()
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), time.monotonic() - began
    finally:
        connection.close()


@pytest.mark.integration
def test_a_hanging_file_does_not_hurt_the_panel(panel: PanelProcess) -> None:
    (panel.folder / "shop.py").write_text(SCENARIO)
    (panel.folder / "hangs.py").write_text(HANGS)
    (panel.folder / "evil.py").write_text(
        '"""<script>alert(1)</script>"""\nfrom rascal.load import Option, scenario\n'
        'Option("a", str, "<img src=x>", "<b>bold</b>")\n'
        "@scenario\nasync def visit(user):\n    '<script>alert(2)</script>'\n"
    )
    panel.start()
    status, text, _ = page(panel, "/scenarios")
    assert status == 200
    assert "data-pending" in text, "it says that it still reads"
    times = []
    for _ in range(5):
        began = time.monotonic()
        assert panel.call("GET", "/api/v1/queue")[0] == 200
        times.append(time.monotonic() - began)
    assert min(times) < 0.5
    found = panel.call("GET", "/api/v1/scenarios")[1]["scenarios"]
    assert sorted(found) == ["evil.py", "hangs.py", "shop.py"]
    assert "takes longer than 10 s" in found["hangs.py"]["findings"][0]["message"]
    assert list(found["shop.py"]["scenarios"]) == ["browse"]
    for path in ("/scenarios", "/scenarios/evil.py"):
        status, text, _ = page(panel, path)
        assert status == 200, path
        assert "<script>alert" not in text, path
        assert "<b>bold" not in text, path
        assert "<img" not in text.replace('<img src="/static', ""), path
    assert "hangs.py" in page(panel, "/scenarios/hangs.py")[1]


@pytest.mark.integration
def test_a_visit_and_load_from_the_form(panel: PanelProcess) -> None:
    (panel.folder / "shop.py").write_text(SCENARIO)
    panel.start()
    one = "/api/v1/scenarios/shop.py"
    with target() as url:
        given = {"target": url, "draw": {"level": "20", "for": "1s"}}
        status, plan = panel.call("POST", f"{one}/plan", given)
        assert (status, plan["errors"], plan["total"]) == (200, {}, 20)
        status, trace = panel.call("POST", f"{one}/once", given)
        assert (status, trace["well"]) == (200, True), trace
        assert "GET /  front" in trace["text"]
        assert "GET /  front" in page(panel, "/scenarios/shop.py")[1], "it is kept"
        run = panel.started({"load": {**plan["values"], "file": "shop.py"}})
        panel.until_ended(run)
    assert f'href="/runs/{run}"' in page(panel, "/scenarios/shop.py")[1]
    status, problem = panel.call("POST", f"{one}/once", {"target": "http://192.0.2.1"})
    assert status == 200 and not problem["well"], "where load is not allowed no visit is"
    assert "not allowed" in problem["text"] or "allow" in problem["text"]
    assert panel.call("POST", f"{one}/once", {"target": "x"})[0] == 422
    for name in ("..%2f..%2fetc%2fpasswd", "nothing.py", "%3Cscript%3E.py"):
        status, text, _ = page(panel, f"/scenarios/{name}")
        assert status == 404
        assert "<script>." not in text
    audited = [line for line in panel.log().splitlines() if "audit" in line]
    assert any("/once" in line for line in audited)
    assert not any("/plan" in line for line in audited), "questions are no changes"


@pytest.mark.integration
def test_an_empty_folder_shows_the_smallest_scenario(panel: PanelProcess) -> None:
    panel.start()
    status, text, _ = page(panel, "/scenarios")
    assert status == 200
    if "data-pending" in text:  # a busy machine: the list came later than the page
        assert panel.call("GET", "/api/v1/scenarios")[1] == {"scenarios": {}}
        text = page(panel, "/scenarios")[1]
    assert "from rascal.load import scenario" in text
    assert "data-copy" in text
