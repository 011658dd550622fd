"""`rascal load import`: files as browsers and people write them, and what cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rascal.cli.app import rascal
from rascal.load.book import load_book

FILES = Path(__file__).parents[1] / "load/importing/files"
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`rascal load import …` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str, given: str | bytes = "") -> Result:
        runner = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1"})
        return runner.invoke(rascal, ["load", "import", *words], input=given, prog_name="rascal")

    return call


def test_a_har_file_becomes_a_scenario(run: Run) -> None:
    done = run(str(FILES / "shop.har"), "--output", "shop.py")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "shop.py: 1 scenario, 2 requests, to http://127.0.0.1:8080",
        "  left out: 1 images, styles, scripts and the like",
        "  cookies are kept as the target sets them: log in first, see once_per_user",
        "next, one request after the other, without load:",
        "  rascal load run shop.py --target http://127.0.0.1:8080 --once --authorization …",
    ]
    text = Path("shop.py").read_text()
    assert "eyJhbGciOi" not in text and "3f2a9c" not in text
    assert "rascal load run shop.py --target http://127.0.0.1:8080" in text
    book = load_book("shop.py", {"authorization": "Bearer mine"})
    assert list(book.scenarios) == ["recorded"]
    assert list(book.parameters) == ["authorization"]
    book.unload()


def test_everything_of_a_har_file(run: Run) -> None:
    done = run(str(FILES / "shop.har"), "--everything", "-o", "shop.py")
    assert "3 requests" in done.stdout and "left out" not in done.stdout
    assert "/favicon.ico" in Path("shop.py").read_text()


def test_openapi_and_the_methods_of_it(run: Run) -> None:
    file = str(FILES / "shop.openapi.yml")
    done = run(file, "-o", "api.py")
    assert done.stdout.startswith("api.py: 2 scenarios, 2 requests, to http://127.0.0.1:8080\n")
    assert "  left out: 1 POST (--method post takes them)\n" in done.stdout
    assert run(file, "-o", "api.py", "--method", "post", "--force").exit_code == 0
    text = Path("api.py").read_text()
    assert "It is too slow" in text and "/hello?lang=en" in text
    book = load_book("api.py", {})
    assert len(book.scenarios) == 3
    book.unload()
    assert "'fetch' is not a method" in run(file, "--method", "fetch").stderr


def test_without_an_output_it_is_shown(run: Run) -> None:
    done = run(str(FILES / "copied.curl"))
    assert done.exit_code == 0
    Path("shown.py").write_text(done.stdout)
    book = load_book("shown.py", {})
    assert len(book.scenarios) == 1
    book.unload()
    assert '"X-Tenant": "acme"' in done.stdout
    assert done.stderr.splitlines()[-1].endswith(
        "run scenario.py --target http://127.0.0.1:8080 --once"
    )


def test_the_standard_input(run: Run) -> None:
    done = run("-", given="$ curl https://shop.example/items\n")
    assert 'await user.get("/items"' in done.stdout
    assert done.stderr.endswith(
        "--target https://shop.example --once --allow shop.example\n"
    )  # load leaves this machine only where that is allowed
    assert "standard input:1: " in run("-", "--from", "curl", given="wget http://h/").stderr
    har = (FILES / "shop.har").read_text()
    for given in (har.encode("utf-16"), har.encode("utf-8-sig")):
        assert 'name="GET /hello"' in run("-", given=given).stdout


def test_a_file_that_is_there_is_kept(run: Run) -> None:
    Path("mine.py").write_text("mine")
    done = run(str(FILES / "copied.curl"), "-o", "mine.py")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "mine.py is there already: give another name, or --force to replace it" in done.stderr
    assert Path("mine.py").read_text() == "mine"
    assert run(str(FILES / "copied.curl"), "-o", "mine.py", "--force").exit_code == 0
    assert "@scenario" in Path("mine.py").read_text()


@pytest.mark.parametrize(
    ("words", "given", "said"),
    [
        (("nowhere.har",), "", "'nowhere.har' cannot be read: no such file or directory"),
        ((".",), "", "'.' cannot be read: is a directory"),
        (("-",), b"\xff\x00\xff", "'-' is not text in UTF-8"),
        (("-",), "", "neither a HAR file nor an OpenAPI 3 description nor curl command lines"),
        (("-", "--from", "har"), "{}", "standard input: this HAR file has no log.entries"),
        (("-", "--from", "postman"), "{}", "'postman' is not one of 'har', 'openapi', 'curl'"),
        (("-", "-o", "no/where.py"), "curl http://h/", "cannot be written: No such file"),
    ],
)
def test_what_cannot_be_read(run: Run, words: tuple[str, ...], given: str, said: str) -> None:
    done = run(*words, given=given)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
