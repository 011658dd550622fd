"""`rascal wrap`: what it writes, what it says, and that it overwrites nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rascal.cli.app import rascal
from rascal.config import check, load
from rascal.config.tokens import hash_token
from rascal.experiment.reading import read_experiment

PROJECTS = Path(__file__).parent / "projects"
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `rascal wrap …` in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("COMPOSE_FILE", "HTTP_PORT", "POSTGRES_PASSWORD", "API_PORT", "BLOG_PORT"):
        monkeypatch.delenv(name, raising=False)

    def call(*words: str, status: int = 0) -> Result:
        found = CliRunner().invoke(rascal, ["wrap", *words], catch_exceptions=False)
        assert found.exit_code == status, found.output
        return found

    return call


def take(name: str) -> Path:
    """A project, in the folder where the test is."""
    shutil.copytree(PROJECTS / name, name)
    return Path(name)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("name", "proxies", "experiments"),
    [
        ("django", ["web", "db", "cache"], ["web", "db", "cache"]),
        ("php", ["database", "memcached"], ["database", "memcached"]),
        ("worker", ["broker"], ["broker"]),
    ],
)
def test_a_project_is_wrapped_and_its_files_stay(
    run: Run, name: str, proxies: list[str], experiments: list[str]
) -> None:
    folder = take(name)
    before = tree(folder)
    run(name)
    after = tree(folder)
    assert {path: after[path] for path in before} == before
    made = set(after) - set(before)
    assert made == {
        "docker-compose.rascal.yml", "rascal/proxies.ini", "rascal/token", "rascal/.gitignore",
        "rascal/scenario.py", *(f"rascal/{one}.yml" for one in experiments),
    }  # fmt: skip
    found = load(str(folder / "rascal/proxies.ini"), {})
    assert list(found.proxies) == proxies
    secret = (folder / "rascal/token").read_text().strip()
    assert [one.secret for one in found.tokens] == [hash_token(secret)]
    assert (folder / "rascal/token").stat().st_mode & 0o777 == 0o600
    assert (folder / "rascal/proxies.ini").stat().st_mode & 0o777 == 0o644
    assert secret not in (folder / "docker-compose.rascal.yml").read_text()
    for one in experiments:
        experiment = read_experiment(str(folder / f"rascal/{one}.yml"))
        assert experiment.nodes == {"main": "http://127.0.0.1:8474"}
        assert experiment.target.startswith("http://127.0.0.1:8")
    assert "all well" in check(str(folder / "rascal/proxies.ini"), {})


def test_no_secret_of_the_environment_gets_into_the_file(run: Run) -> None:
    folder = take("django")
    run(str(folder))
    text = (folder / "docker-compose.rascal.yml").read_text()
    assert "correct-horse" not in text
    assert "${POSTGRES_PASSWORD:?set it in .env}" in text


def test_nothing_is_overwritten_without_force(run: Run) -> None:
    folder = take("php")
    (folder / "rascal").mkdir()
    (folder / "rascal/database.yml").write_text("mine")
    before = tree(folder)
    said = run("php", status=2).stderr
    assert "php/rascal/database.yml is there already: --force to overwrite it" in said
    assert tree(folder) == before
    run("php", "--force")
    token = (folder / "rascal/token").read_text()
    assert (folder / "rascal/database.yml").read_text() != "mine"
    (folder / "rascal/scenario.py").write_text("# my own work\n")
    run("php", "--force")
    assert (folder / "rascal/scenario.py").read_text() == "# my own work\n"
    assert (folder / "rascal/token").read_text() == token


def test_check_explains_and_writes_nothing(run: Run) -> None:
    folder = take("worker")
    before = tree(folder)
    said = run("--check", "worker").output
    assert tree(folder) == before
    for words in (
        "image rabbitmq:3.10; BROKER_URL",
        "tcp (AMQP)",
        "broker: on default 'broker' is the proxy; the server itself is 'broker-behind'",
        "an application: nothing here needs it; waits for rascal-proxy",
        "the application, for experiments: http://127.0.0.1:8100",
    ):
        assert words in " ".join(said.split())


def test_check_tells_what_cannot_be_wrapped(run: Run) -> None:
    Path("compose.yml").write_text("services: {db: {image: mysql, network_mode: host}}")
    said = " ".join(run("--check", status=1).output.split())
    assert "db network_mode: host: it listens on the host itself" in said
    assert "there is nothing to put a proxy before" in run(status=2).stderr


def test_check_as_json(run: Run) -> None:
    take("django")
    found: Any = json.loads(run("--check", "--json", "django").output)
    assert found["nodes"] == {"rascal-proxy": "http://127.0.0.1:8474"}
    assert found["services"]["cache"]["proxies"] == [
        {
            "name": "cache", "node": "rascal-proxy", "protocol": "redis", "spoken": "redis",
            "port": 6379, "why": "image redis:7",
        }
    ]  # fmt: skip
    assert found["services"]["nginx"]["wrapped"] is False


def test_findings_name_file_and_line(run: Run) -> None:
    Path("compose.yml").write_text("services:\n  a: {image: redis, ports: [x]}\n  b: {<<: 1}\n")
    said = run(status=2).stderr
    assert "compose.yml:3:11: what is merged here" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("none.yml",), "none.yml: cannot be read"),
        ((), "there is no Compose file in"),
        (("a.yml", "b.yml"), "several Compose files are given by -f"),
        (("a.yml", "db=mysql://h"), "are two things: one at a time"),
        (("h:1", "--to", "/tmp/x"), "must lie in the project's folder"),
        (("h:1", "--control", "0"), "--control: a port is a number from 1 to 65535"),
    ],
)
def test_what_cannot_be_done(run: Run, words: tuple[str, ...], says: str) -> None:
    assert says in run(*words, status=2).stderr


def test_what_as_says_must_be_meant(run: Run) -> None:
    Path("compose.yml").write_text("services: {a: {image: x}}")
    said = run("--as", "a=htp:80", "--as", "a", status=2).stderr
    assert "there is no protocol 'htp'" in said and "Did you mean 'http'?" in said
    assert "'a' is not NAME=PROTOCOL" in said
    run("--as", "a=http:80")
    assert load("rascal/proxies.ini", {}).proxies["a"].protocol.name == "http"


def test_the_panel_comes_on_request(run: Run) -> None:
    folder = take("php")
    run("php", "--panel", "--image", "registry.example/rascal:1")
    text = (folder / "docker-compose.rascal.yml").read_text()
    assert "rascal-panel:" in text and text.count("image: registry.example/rascal:1") == 2
    assert (folder / "rascal/panel.env").stat().st_mode & 0o777 == 0o600
    from rascal.panel.settings import settings_of

    found = settings_of(str(folder / "rascal/panel.ini"), {}, {})
    assert dict(found.nodes) == {"main": "http://rascal-proxy:8474"}


def test_servers_without_docker(run: Run) -> None:
    said = run("db=mysql://shop@10.0.0.5", "cache=memcached://10.0.0.6", "--target", "http://s:1")
    assert "mysql://10.0.0.5:3306" in said.output and "mysql://127.0.0.1:3307" in said.output
    found = load("rascal/proxies.ini", {})
    assert {name: str(one.upstream) for name, one in found.proxies.items()} == {
        "db": "10.0.0.5:3306", "cache": "10.0.0.6:11211",
    }  # fmt: skip
    assert read_experiment("rascal/cache.yml").target == "http://s:1"
    before = tree(Path("."))
    run("db=mysql://10.0.0.5", status=2)
    assert tree(Path(".")) == before
    assert "127.0.0.1:3307" in run("db=mysql://10.0.0.5", "--check").output


def test_a_starter_experiment_says_when_nothing_told_the_target(run: Run) -> None:
    run("cache=redis://h")
    assert "NOTHING SAID WHERE THE APPLICATION IS" in Path("rascal/cache.yml").read_text()
