"""Loading scenario files: from a folder, from memory, and all that can be wrong with them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rascal.errors import ConfigErrors
from rascal.load import modules as loading
from rascal.load.book import Book, load_book, load_bundle

SHOP = """
from rascal.load import feeder, scenario
import helpers
from pages import front
import pages.back as back
rows = feeder("data/items.csv")

@scenario("look", tags=["read"])
async def look(user):
    import late
    return helpers.NAME, front.NAME, back.NAME, late.NAME

@scenario("buy", tags=["money"])
async def buy(user): pass
"""
FILES = {
    "shop.py": SHOP,
    "helpers.py": "import json, deeper\nNAME = deeper.NAME",
    "deeper.py": "NAME = 'deeper'",
    "late.py": "from latest import NAME",
    "latest.py": "NAME = 'latest'",
    "pages/__init__.py": "",
    "pages/front.py": "from . import names\nNAME = names.FRONT",
    "pages/names.py": "FRONT = 'front'\nBACK = 'back'",
    "pages/back.py": "from .names import BACK as NAME",
    "data/items.csv": "id\n1\n",
    "unused.py": "raise SystemExit",
    "secret.txt": "x",
}
NEEDED = set(FILES) - {"unused.py", "secret.txt"}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "shop.py"


def names(book: Book) -> tuple[str, ...]:
    coroutine = book.scenarios["look"].function(None)
    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)
    found: tuple[str, ...] = ended.value.value
    return found


def said(tmp_path: Path, text: str, **values: str) -> list[str]:
    path = write(tmp_path, {"shop.py": text, "helpers.py": "X = 1"})
    with pytest.raises(ConfigErrors) as found:
        load_book(path, values)
    return [str(finding).replace(str(tmp_path) + "/", "") for finding in found.value.findings]


def test_a_book_holds_what_an_agent_needs_and_no_more(tmp_path: Path) -> None:
    book = load_book(write(tmp_path, FILES))
    assert set(book.files) == NEEDED
    assert names(book) == ("deeper", "front", "back", "latest")
    copy = load_bundle(book.files, "shop.py")
    assert set(copy.files) == NEEDED
    assert names(copy) == names(book)


def test_two_books_in_one_process_do_not_mix() -> None:
    first = load_bundle({name: text.encode() for name, text in FILES.items()}, "shop.py")
    other = FILES | {"deeper.py": "NAME = 'other'", "latest.py": "NAME = 'newest'"}
    second = load_bundle({name: text.encode() for name, text in other.items()}, "shop.py")
    assert names(first) == ("deeper", "front", "back", "latest")
    assert names(second) == ("other", "front", "back", "newest")
    assert "helpers" not in sys.modules


def test_nothing_is_left_of_a_book_that_was_unloaded(tmp_path: Path) -> None:
    before, finders = set(sys.modules), list(sys.meta_path)
    load_book(write(tmp_path, FILES)).unload()
    with pytest.raises(ConfigErrors):
        load_bundle({"shop.py": b"import helpers\n1/0", "helpers.py": b""}, "shop.py")
    assert set(sys.modules) - before == set()
    assert sys.meta_path == finders


def test_the_folder_comes_before_what_is_installed_but_not_before_rascal() -> None:
    files = {
        "rascal.py": b"1 / 0",
        "json.py": b"NAME = 'mine'",
        "shop.py": b"import json, rascal.load\nfrom rascal.load import scenario\n"
        b"@scenario('a')\nasync def a(user): return json.NAME, rascal.load\n",
    }
    book = load_bundle(files, "shop.py")
    assert book.scenarios["a"].function.__globals__["json"].NAME == "mine"


def test_a_folder_without_init_comes_after_what_is_installed() -> None:
    files = {
        "json/x.py": b"",
        "plain/x.py": b"NAME = 'mine'",
        "shop.py": b"import json, plain.x\nfrom plain import x\nfrom rascal.load import scenario\n"
        b"json.dumps(1)\n@scenario('a')\nasync def a(user): pass\nassert plain.x is x\n",
    }
    book = load_bundle(files, "shop.py")
    assert book.scenarios["a"].function.__globals__["x"].NAME == "mine"


def test_a_name_with_dots_and_dashes_loads() -> None:
    text = b"from rascal.load import scenario\n@scenario\ndef a(user): pass\n"
    assert load_bundle({"my-shop.v2.py": text}, "my-shop.v2.py").scenarios.keys() == {"a"}


def test_loading_a_scenario_file_needs_no_reactor() -> None:
    code = (
        "import sys, rascal.load, rascal.load.book as b\n"
        "b.load_bundle({'a.py': b'from rascal.load import *\\n@scenario\\ndef a(u): 0'}, 'a.py')\n"
        "import rascal.load\nassert not [m for m in sys.modules if m.startswith('twisted')]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("async def a(:\n", "shop.py:1: invalid syntax"),
        ("import time\n", "shop.py: there is no scenario: write @scenario("),
        ("", "shop.py: there is no scenario"),
        ("x = 1\ny = x / 0\n", "shop.py:2: ZeroDivisionError: division by zero"),
        ("import helper\n", "shop.py:1: there is no module 'helper', neither beside the scena"),
        ("import helpers.deep\n", "shop.py:1: there is no module 'helpers.deep', neither"),
        ("from helpers import Y\n", "shop.py:1: ImportError: cannot import name 'Y' from 'help"),
        ("\nraise SystemExit('no')\n", "shop.py:2: SystemExit: no"),
        ("x = '\\ud800'.encode()\n", "shop.py:1: UnicodeEncodeError: "),
        ("\0", "shop.py"),
    ],
)
def test_one_clear_line_for_a_file_that_does_not_load(tmp_path: Path, text: str, says: str) -> None:
    (found,) = said(tmp_path, text)
    assert found.startswith(says) and "\n" not in found and "_rascal_book" not in found


def test_a_module_beside_it_that_does_not_parse_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"bad.py": "x = 1\nif x\n"})
    assert said(tmp_path, "import bad\n")[0].startswith("bad.py:2: expected ':'")


def test_what_is_near_is_suggested(tmp_path: Path) -> None:
    assert said(tmp_path, "import helper\n")[0].endswith("installed. Did you mean 'helpers'?")


def test_files_outside_the_folder_do_not_travel(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("id\n1\n")
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "link.csv").symlink_to(tmp_path / "secret.csv")
    for name in ("../secret.csv", str(tmp_path / "secret.csv"), "link.csv"):
        text = f"from rascal.load import *\nrows = feeder({name!r})\n"
        found = said(inside, text)
        assert f"'{name}' is outside the scenario's folder" in found[0]
        assert found[0].startswith("shop.py:2: ")


def test_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "MAX_BYTES", 1000)
    (tmp_path / "big.csv").write_text("id\n" + "1\n" * 1000)
    found = said(tmp_path, "from rascal.load import *\nrows = feeder('big.csv')\n")
    assert "with 'big.csv' the scenario's files are 2,0" in found[0]
    assert "1,000 may travel to agents" in found[0]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match=r"shop.py: the scenario file does not exist"):
        load_book(tmp_path / "shop.py")
    with pytest.raises(ConfigErrors, match=r"the scenario file is a folder"):
        load_book(tmp_path)
    with pytest.raises(ConfigErrors, match=r"the bundle has no file 'shop.py'"):
        load_bundle({}, "shop.py")


def test_files_that_a_plan_names_belong_to_the_book(tmp_path: Path) -> None:
    path = write(tmp_path, FILES)
    book = load_book(path, {}, ("secret.txt",))
    assert book.files["secret.txt"] == b"x"
    assert load_bundle(book.files, "shop.py").files["secret.txt"] == b"x"
    with pytest.raises(ConfigErrors, match=r"there is no file 'secre\.txt' .*Did you mean 'secret"):
        load_book(path, {}, ("secre.txt",))


def test_scenarios_are_chosen_by_name_and_tag(tmp_path: Path) -> None:
    book = load_book(write(tmp_path, FILES))
    assert book.chosen() == ("look", "buy")
    assert book.chosen(["buy"]) == ("buy",)
    assert book.chosen([], ["read"]) == ("look",)
    assert book.chosen(["look"], ["money"]) == ("look", "buy")
    with pytest.raises(ConfigErrors, match=r"no scenario 'loook'; scenarios: buy, look. Did you"):
        book.chosen(["loook"])
    with pytest.raises(ConfigErrors, match=r"no tag 'mony'; tags: money, read. Did you"):
        book.chosen([], ["mony"])


def test_messages_name_the_file_as_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "in", {"shop.py": "from rascal.load import *\nfeeder('a.csv')\n"})
    write(tmp_path / "in", {"a.csv": "id\n1,2\n"})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigErrors) as found:
        load_book("in/shop.py")
    assert str(found.value) == "in/a.csv:2: 2 values for 1 columns (id)"
