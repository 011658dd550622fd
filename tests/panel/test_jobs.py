"""Jobs: sources that are fetched without running anything, rascal.yml, and whole lives of jobs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from panel_process import PATIENCE, SCENARIO, PanelProcess, free_port, target

from rascal.control._problems import Problem
from rascal.panel import job_fetching, job_file
from rascal.panel.job_environment import JobEnvironments
from rascal.panel.job_fetching import fetch
from rascal.panel.job_file import read_job
from rascal.panel.job_process import Cancelled, Working, environment
from rascal.panel.job_source import Source, source_of
from rascal.panel.job_work import check, fetch_and_read

JOB = """\
name: checkout
target: TARGET
labels: [nightly]
scenarios:
  - {file: checks/shop.py, profile: hold 20/s for 1s}
"""


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=Ann", "-c", "user.email=ann@example.org", *words],
        cwd=folder, check=True, capture_output=True, text=True,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
    )  # fmt: skip
    return done.stdout.strip()


def commit(folder: Path, files: dict[str, str], text: str = "Say what to run") -> str:
    """A repository with these files; the number of its commit."""
    if not (folder / ".git").exists():
        folder.mkdir(parents=True, exist_ok=True)
        git(folder, "init", "-q", "-b", "main", ".")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", text)
    return git(folder, "rev-parse", "HEAD")


def source(folder: Path, ref: str = "") -> Source:
    return Source(kind="git", url=folder.as_uri(), ref=ref)


# ---- what may be asked for


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("--upload-pack=touch /tmp/x", "not by"),
        ("ext::sh -c 'touch /tmp/x'", "not by 'ext'"),
        ("http://example.org/x.git", "not by 'http'"),
        ("git://example.org/x.git", "not by 'git'"),
        ("ssh://-oProxyCommand=touch/x", "is no host"),
        ("ssh://git@-oProxyCommand=touch/x", "is no host"),
        ("ssh://-oX=y@example.org/x", "is no user"),
        ("-oProxyCommand=x@example.org:x", "not by"),
        ("https://ann:secret@example.org/x.git", "use ssh"),
        ("https://ann@example.org/x.git", "use ssh"),
        ("ssh://git:secret@example.org/x.git", "use ssh"),
        ("https://example.org", "names no repository"),
        ("https://example.org/-x", "names no repository"),
        ("https://example.org/x?y=1", "names no repository"),
        ("https://example.org:0/x", "is no host"),
        ("https://[::1/x", "is no URL"),
        ("https://exa mple.org/x", "is no host"),
        ("https://example.org/x\n--upload-pack=y", "one line of text"),
        ("file:///etc", "lies in none of"),
        ("file://example.org/srv", "names a folder of this machine"),
        ("/srv/checks", "not by"),
    ],
)
def test_hostile_urls(url: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(Problem, match=said) as caught:
        source_of({"url": url}, [str(tmp_path)])
    assert caught.value.more["pointer"] == "/url"
    assert "secret" not in json.dumps(caught.value.json())


@pytest.mark.parametrize(
    "ref",
    ["--upload-pack=x", "-b", "a..b", "a:b", "+main", "main^", "main~1", "a b", "HEAD@{1}",
     "x.lock", "refs//heads", "*", "main\\", "a/", "x/.y"],
)  # fmt: skip
def test_hostile_refs(ref: str, tmp_path: Path) -> None:
    with pytest.raises(Problem, match="is no branch, tag or whole commit") as caught:
        source_of({"url": "https://example.org/x.git", "ref": ref}, [])
    assert caught.value.more["pointer"] == "/ref"


def test_what_may_be_asked_for(tmp_path: Path) -> None:
    assert source_of({"url": "git@example.org:team/shop.git", "ref": "v1.2"}, []) == Source(
        kind="git", url="ssh://git@example.org/team/shop.git", ref="v1.2"
    )
    assert source_of({"url": "https://example.org:8443/x"}, []).url == "https://example.org:8443/x"
    assert source_of({"url": tmp_path.as_uri()}, [str(tmp_path)]).url == tmp_path.as_uri()
    with pytest.raises(Problem, match="closed to jobs: 'repository_folders'"):
        source_of({"url": tmp_path.as_uri()}, [])
    with pytest.raises(Problem, match="closed to jobs"):
        source_of({"folder": str(tmp_path)}, [])
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "out").symlink_to("/etc")
    with pytest.raises(Problem, match="lies in none of"):
        source_of({"folder": str(inside / "out")}, [str(inside)])
    with pytest.raises(Problem, match="lies in none of"):
        source_of({"folder": f"{inside}/../"}, [str(inside)])
    assert source_of({"folder": str(inside)}, [str(tmp_path)]).kind == "folder"
    with pytest.raises(Problem, match="a folder is taken as it is"):
        source_of({"folder": str(inside), "ref": "main"}, [str(tmp_path)])
    for given in ({}, {"url": "https://a/b", "folder": "/srv"}, {"url": ""}):
        with pytest.raises(Problem, match="which repository"):
            source_of(given, [])
    with pytest.raises(Problem, match="'depth' is not known"):
        source_of({"url": "https://a/b", "depth": "1"}, [])
    with pytest.raises(Problem, match="one line of text"):
        source_of({"url": ["x"]}, [])


# ---- fetching


def test_a_commit_is_fetched_and_nothing_of_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    shop = tmp_path / "shop"
    files = {
        "rascal.yml": JOB, "checks/shop.py": f"open({str(ran)!r}, 'w')\n{SCENARIO}",
        ".gitattributes": "*.py filter=evil\n",
        ".gitmodules": f'[submodule "x"]\n\tpath = x\n\turl = {tmp_path.as_uri()}/x\n',
    }  # fmt: skip
    commit(shop, files)
    (shop / "secret").symlink_to("/etc/passwd")
    number = commit(shop, {})
    # Hooks and filters of whoever runs the panel, and of the repository, are as good as not there.
    home = tmp_path / "home"
    hooks = home / "hooks"
    hooks.mkdir(parents=True)
    for name in ("post-checkout", "reference-transaction", "post-merge"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {ran}\n")
        (hooks / name).chmod(0o755)
    (home / ".gitconfig").write_text(
        f'[core]\n\thooksPath = {hooks}\n[filter "evil"]\n\tsmudge = touch {ran}\n'
    )
    (shop / ".git" / "hooks" / "post-upload-pack").write_text(f"#!/bin/sh\ntouch {ran}\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", f"'core.hooksPath'='{hooks}'")
    into = tmp_path / "into"
    into.mkdir()
    found = fetch_and_read(source(shop, "main"), into / "files", Working())
    assert found["commit"]["id"] == number
    assert found["commit"]["author"] == "Ann"
    assert found["commit"]["subject"] == "Say what to run"
    assert [one["file"] for one in found["items"]] == ["checks/shop.py"]
    assert not ran.exists()
    assert not (into / "files" / ".git").exists()
    link = into / "files" / "secret"
    assert not link.is_symlink()
    assert link.read_text() == "/etc/passwd"  # where it led to, no more
    assert list(into.iterdir()) == [into / "files"]


def test_branches_tags_and_commits(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    first = commit(shop, {"rascal.yml": "name: one\n"})
    git(shop, "tag", "v1")
    git(shop, "checkout", "-q", "-b", "other")
    second = commit(shop, {"rascal.yml": "name: two\n"})
    git(shop, "checkout", "-q", "main")
    third = commit(shop, {"rascal.yml": "name: three\n"})
    for number, (ref, wanted) in enumerate(
        {"": third, "v1": first, "other": second, first: first, "refs/heads/other": second}.items()
    ):
        assert fetch(source(shop, ref), tmp_path / f"f{number}", Working())["id"] == wanted
    with pytest.raises(Problem, match=r"fetching nowhere: .*nowhere"):
        fetch(source(shop, "nowhere"), tmp_path / "none", Working())
    with pytest.raises(Problem, match="fetching its usual branch"):
        fetch(source(tmp_path / "missing"), tmp_path / "none", Working())


def test_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = tmp_path / "shop"
    commit(shop, {"rascal.yml": "name: x\n", "big": "0" * 3_000_000, "one": "", "two": ""})
    monkeypatch.setattr(job_fetching, "LARGEST", 1 << 20)
    # 3 MB of zeros are packed into a few kB: refused before they are unpacked.
    with pytest.raises(Problem, match="its files are larger than 1 MiB"):
        fetch(source(shop), tmp_path / "files", Working())
    assert not (tmp_path / "files" / "big").exists()
    with pytest.raises(Problem, match="larger than 1 MiB"):
        fetch(Source(kind="folder", url=str(shop)), tmp_path / "copy", Working())
    monkeypatch.setattr(job_fetching, "LARGEST", 1 << 30)
    monkeypatch.setattr(job_fetching, "MOST", 3)
    with pytest.raises(Problem, match="more than 3 files"):
        fetch(source(shop), tmp_path / "files", Working())


def test_a_process_that_writes_too_much_or_takes_too_long(tmp_path: Path) -> None:
    folder = tmp_path / "grows"
    folder.mkdir()
    write = (
        "import itertools\nfor n in itertools.count(): open(f'grows/{n}', 'w').write('x' * 99999)"
    )
    env = environment()
    given: dict[str, Any] = {"what": "growing", "env": env, "cwd": str(tmp_path), "watch": folder}
    with pytest.raises(Problem, match="growing: larger than 1 MiB, given up"):
        Working().run([sys.executable, "-c", write], seconds=30, largest=1 << 20, **given)
    with pytest.raises(Problem, match=r"growing: not done after 0\.2 s"):
        Working().run(["sleep", "60"], seconds=0.2, **given)
    with pytest.raises(Problem, match="growing: no such thing"):
        Working().run(["sh", "-c", "echo 'fatal: no such thing' >&2; exit 3"], seconds=9, **given)
    with pytest.raises(Problem, match="cannot be started"):
        Working().run(["/no/such/program"], seconds=9, **given)


def test_a_folder_is_copied_as_it_is(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    number = commit(shop, {"rascal.yml": JOB, "checks/shop.py": SCENARIO, ".hidden/x": ""})
    (shop / "checks" / "new.py").write_text("# not in the commit")
    (shop / "checks" / "link.py").symlink_to("/etc/passwd")
    (shop / "node_modules").mkdir()
    found = fetch(Source(kind="folder", url=str(shop)), tmp_path / "copy", Working())
    assert found["id"] == number
    assert found["as_it_is"] is True
    names = sorted(
        one.relative_to(tmp_path / "copy").as_posix() for one in (tmp_path / "copy").rglob("*")
    )
    assert names == ["checks", "checks/new.py", "checks/shop.py", "rascal.yml"]


# ---- rascal.yml


def told(folder: Path) -> list[str]:
    found = read_job(str(folder))
    return [
        f"{one.get('file', '')}:{one.get('line', '')}: {one['message']}"
        for one in found["findings"]
    ]


def test_a_whole_rascal_yml(tmp_path: Path) -> None:
    (tmp_path / "rascal.yml").write_text(
        "name: checkout\ntarget: http://127.0.0.1:8080/\nrequires: [faker>=24, 'six==1.16']\n"
        "labels: nightly\nscenarios:\n  - {file: shop.py, users: 5, for: 1m, options: {n: 3}}\n"
        "  - evening.yml\nexperiments:\n  - {file: slow.yml, seed: 4}\n"
    )
    (tmp_path / "shop.py").write_text("raise SystemExit('never run while reading')")
    (tmp_path / "evening.yml").write_text("scenarios: shop.py\nrate: 20/s\nfor: 1m\n")
    (tmp_path / "slow.yml").write_text(
        "recipe: overloaded-database on db\ntarget: http://127.0.0.1:8080\n"
        "load: {scenarios: shop.py, profile: hold 200/s}\n"
    )
    found = read_job(str(tmp_path))
    assert found["findings"] == []
    assert found["name"] == "checkout"
    assert found["target"] == "http://127.0.0.1:8080"
    assert found["requires"] == ["faker>=24", "six==1.16"]
    assert found["labels"] == ["nightly"]
    slow, shop, evening = found["items"]
    assert (slow["kind"], slow["file"], slow["values"]) == ("experiment", "slow.yml", {"seed": "4"})
    assert shop["values"] == {"users": "5", "for": "1m", "options": {"n": "3"}}
    assert (evening["of"], evening["file"]) == ("evening.yml", "shop.py")
    assert evening["values"] == {"rate": "20/s", "for": "1m"}
    json.dumps(found)


def test_everything_that_is_wrong_comes_at_once(tmp_path: Path) -> None:
    (tmp_path / "rascal.yml").write_text(
        "nmae: checkout\n"
        "target: ftp://x\n"
        "requires: ['git+https://evil.example/x', '-r /etc/passwd', {a: b}]\n"
        "experiments:\n"
        "  - ../../etc/passwd.yml\n"
        "  - /etc/passwd.yml\n"
        "  - slow.yml\n"
        "scenarios:\n"
        "  - shap.py\n"
        "  - {file: shop.py, profil: x}\n"
        "  - link.py\n"
        "  - broken.yml\n"
        "allow: [prod.example.org]\n"
    )
    (tmp_path / "shop.py").write_text(SCENARIO)
    (tmp_path / "link.py").symlink_to("/etc/hosts")
    (tmp_path / "broken.yml").write_text("scenarios: ../shop.py\nrate: 20/s\nfro: 1m\n")
    (tmp_path / "slow.yml").write_text("recipe: nothing on db\n")
    said = told(tmp_path)
    for wanted in (
        "rascal.yml:1: 'nmae' is not known in a job; names: name, target, requires, experiments, "
        "scenarios, labels. Did you mean 'name'?",
        "rascal.yml:2: the target 'ftp://x' is no base URL",
        "rascal.yml:3: 'git+https://evil.example/x' is not a plain requirement",
        "rascal.yml:3: '-r /etc/passwd' is not a plain requirement",
        "rascal.yml:3: requires is a list of texts, found lines with names",
        "rascal.yml:5: '../../etc/passwd.yml' lies outside",
        "rascal.yml:6: '/etc/passwd.yml' lies outside",
        "slow.yml:",
        "rascal.yml:9: there is no file 'shap.py'. Did you mean 'shop.py'?",
        "rascal.yml:10: 'profil' is not known in a run",
        "rascal.yml:10: how much load for shop.py?",
        "rascal.yml:11: 'link.py' lies outside",
        "broken.yml:3: 'fro' is not known here",
        "rascal.yml:13: 'allow' does not stand in a job",
    ):
        assert any(one.startswith(wanted) for one in said), (wanted, said)
    assert not any("root:" in one for one in said)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "a job is a list of 'name: value' lines"),
        ("- a\n", "a job is a list of 'name: value' lines"),
        ("name: [\n", "this is not YAML"),
        ("a: &x 1\nb: *x\n", "an alias"),
        ("name: !!python/object/apply:os.system ['x']\n", "tags are not used here"),
        ("name: x\n", "nothing to run"),
        ("name: {a: b}\nscenarios: []\n", "name is a text"),
        ("scenarios: [{profile: x}]\n", "scenarios: which file?"),
        ("scenarios: [notes.txt]\n", "is no .py or .yml or .yaml file"),
        ("#" * 70_000, "it is longer than 64 KiB"),
        ("\0", "this is not YAML"),
        ("scenarios: ['a\\0b.py']\n", "there is no file"),
        ("a: " * 5000, "this is not YAML"),
        ("[" * 5000, "this is not YAML"),
    ],
)
def test_hostile_files(tmp_path: Path, text: str, wanted: str) -> None:
    (tmp_path / "rascal.yml").write_text(text)
    assert any(wanted in one for one in told(tmp_path)), told(tmp_path)


def test_files_that_are_none(tmp_path: Path) -> None:
    assert told(tmp_path) == [
        "rascal.yml:: there is no rascal.yml in it: write one that names experiments or scenarios"
    ]
    (tmp_path / "rascal.yml").symlink_to("/etc/passwd")
    found = read_job(str(tmp_path))
    assert found["text"] == ""
    assert "root:" not in json.dumps(found)
    (tmp_path / "rascal.yml").unlink()
    (tmp_path / "rascal.yml").write_bytes(b"name: \xff\n")
    assert told(tmp_path) == ["rascal.yml:: it is not UTF-8"]


def test_an_old_marteau_yml(tmp_path: Path) -> None:
    text = (
        "name: salmon\nscript: loadtest.py\ntest: T.test_x\nnodes: 2\ncycles: 10:20\n"
        "duration: 30\ndeps: [six]\nemail: ann@example.org\nlib: x\ndurations: 3\n"
    )
    (tmp_path / ".marteau.yml").write_text(text)
    (tmp_path / "loadtest.py").write_text("import unittest\n")
    found = read_job(str(tmp_path))
    assert found["file"] == ".marteau.yml"
    notes = {one["key"]: one["text"] for one in found["notes"]}
    assert "no equivalent" in notes["lib"]
    assert "'mail' in the panel's settings" in notes["email"]
    assert 'profile: "hold 10 users for 30s, hold 20 users for 30s"' in found["suggestion"]
    said = [one["message"] for one in found["findings"]]
    assert said[0] == "'durations' was no key of .marteau.yml. Did you mean 'duration'?"
    assert said[1].startswith("'loadtest.py' is no scenario file")
    # The suggestion is a rascal.yml that is read without a finding.
    (tmp_path / "rascal.yml").write_text(found["suggestion"])
    (tmp_path / "loadtest.py").write_text(SCENARIO)
    new = read_job(str(tmp_path))
    assert (new["file"], new["findings"], new["requires"]) == ("rascal.yml", [], ["six"])
    # A script that is a scenario file already runs as it is.
    (tmp_path / "rascal.yml").unlink()
    (tmp_path / ".marteau.yml").write_text(text.replace("durations: 3\n", ""))
    old = read_job(str(tmp_path))
    assert old["findings"] == []
    assert old["items"][0]["values"] == {**new["items"][0]["values"]}


def test_the_file_of_the_page_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text()
    text = page.partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "rascal.yml").write_text(text)
    checks = tmp_path / "checks"
    checks.mkdir()
    (checks / "shop.py").write_text(SCENARIO)
    (checks / "evening.yml").write_text("scenarios: shop.py\nrate: 20/s\nfor: 1m\n")
    for name in ("slow-database", "cold-cache"):
        (checks / f"{name}.yml").write_text(
            "recipe: overloaded-database on db\ntarget: http://127.0.0.1:8080\n"
            "load: {scenarios: shop.py, profile: hold 200/s}\n"
        )
    found = read_job(str(tmp_path))
    assert found["findings"] == []
    assert len(found["items"]) == 4
    for name in (*job_file.TOP, *job_file.EXPERIMENT):
        assert f"`{name}`" in page, name


# ---- environments


def wheel(folder: Path, name: str = "shopping") -> str:
    """The address of a package that pip can install without an index."""
    import zipfile

    path = folder / f"{name}-1.0-py3-none-any.whl"
    about = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", "BASKET = 3\n")
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{about}/RECORD", "")
    return str(path)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages instead of an index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_an_environment_is_made_once_and_has_rascal_in_it(tmp_path: Path, index: Path) -> None:
    environments = JobEnvironments(tmp_path / "environments")
    assert environments.python([], Working()) == sys.executable
    python = environments.python(["shopping"], Working())
    program = "import shopping, rascal.cli.child, twisted; print(shopping.BASKET)"
    done = subprocess.run([python, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "3\n"
    mark = Path(python).parent.parent / "complete"
    before = mark.stat().st_ino
    assert environments.python(["shopping "], Working()) == python
    assert mark.stat().st_ino == before
    with pytest.raises(Problem, match="installing no-such-thing"):
        environments.python(["no-such-thing"], Working())
    assert len(list((tmp_path / "environments").iterdir())) == 1
    environments.tidy([python])
    assert mark.exists()


def test_an_installation_is_called_off(tmp_path: Path, index: Path) -> None:
    working, environments = Working(), JobEnvironments(tmp_path / "environments")
    seen: list[int] = []

    def began(pid: int) -> None:
        seen.append(pid)
        if len(seen) == 2:  # pip
            threading.Timer(0.1, working.cancel).start()

    working.began = began
    with pytest.raises(Cancelled):
        environments.python(["shopping"], working)
    for pid in seen:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert list((tmp_path / "environments").iterdir()) == []
    with pytest.raises(Cancelled):
        environments.python(["shopping"], working)


# ---- whole lives, in a panel of its own


@pytest.fixture
def server() -> Iterator[str]:
    with target() as url:
        yield url


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[PanelProcess]:
    made = panel_of(tmp_path)
    try:
        made.start()
        yield made
    finally:
        end(made)


def panel_of(tmp_path: Path, **more: str) -> PanelProcess:
    lines = {"repositories": "yes", "repository_folders": str(tmp_path / "shop"), **more}
    text = "[panel]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items())
    (tmp_path / "panel.ini").write_text(text)
    return PanelProcess(tmp_path, config=str(tmp_path / "panel.ini"))


def end(made: PanelProcess) -> None:
    if made.process is None:
        return
    if made.process.poll() is not None:
        made.start()
    for run in made.call("GET", "/api/v1/runs")[1]["runs"].values():
        if run["state"] == "running":
            with suppress(ProcessLookupError):
                os.kill(run["pid"], signal.SIGKILL)
    made.stop()


def until(
    panel: PanelProcess, job: str, reached: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    ends = time.monotonic() + PATIENCE
    found: dict[str, Any] = {}
    while time.monotonic() < ends:
        found = panel.call("GET", f"/api/v1/jobs/{job}")[1]
        if reached(found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"{found}\n{panel.log()[-2000:]}")


def in_state(*states: str) -> Callable[[dict[str, Any]], bool]:
    return lambda found: found["state"] in states


def started(panel: PanelProcess, body: dict[str, Any]) -> str:
    status, found = panel.call("POST", "/api/v1/jobs", body)
    assert status == 202, found
    return str(found["id"])


def shop(tmp_path: Path, server: str, **files: str) -> str:
    given = {"rascal.yml": JOB.replace("TARGET", server), "checks/shop.py": SCENARIO, **files}
    return commit(tmp_path / "shop", given)


@pytest.mark.integration
def test_off_unless_the_operator_says_so(tmp_path: Path) -> None:
    made = PanelProcess(tmp_path)
    try:
        made.start()
        status, problem = made.call("POST", "/api/v1/jobs", {"url": "https://example.org/x.git"})
        assert (status, problem["type"]) == (403, "/problems/off")
        assert "'repositories = yes' in [panel]" in problem["title"]
        assert made.call("GET", "/api/v1/jobs") == (200, {"on": False, "jobs": {}})
        page = subprocess.run(
            ["curl", "-s", f"http://127.0.0.1:{made.port}/jobs"], capture_output=True, text=True
        ).stdout
        assert "repositories = yes" in page
        assert "Fetch and show" not in page
    finally:
        made.stop()


@pytest.mark.integration
def test_fetch_check_run_and_replay(panel: PanelProcess, server: str, tmp_path: Path) -> None:
    number = shop(tmp_path, server)
    job = started(panel, {"url": (tmp_path / "shop").as_uri(), "ref": "main"})
    found = until(panel, job, in_state("read", "failed"))
    assert (found["state"], found["commit"]["id"], found["findings"]) == ("read", number, [])
    assert "hold 20/s for 1s" in found["text"]
    assert panel.call("POST", f"/api/v1/jobs/{job}/check")[0] == 202
    found = until(panel, job, lambda one: one["checked"] and one["state"] == "checked")
    assert found["items"][0]["findings"] == []
    assert panel.call("GET", "/api/v1/runs")[1]["runs"] == {}  # nothing has run
    assert panel.call("POST", f"/api/v1/jobs/{job}/run", {})[0] == 202
    assert panel.call("POST", f"/api/v1/jobs/{job}/run", {})[0] == 409  # it is busy
    found = until(panel, job, in_state("ended", "failed"))
    assert found["state"] == "ended", found
    item = found["items"][0]
    assert (item["state"], item["outcome"]) == ("ended", "completed")
    run = panel.call("GET", f"/api/v1/runs/{item['run']}")[1]
    assert set(run["labels"]) == {"nightly", f"job-{job}", f"commit-{number[:10]}"}
    assert run["name"] == "checkout shop"
    status, problem = panel.call("POST", f"/api/v1/jobs/{job}/run", {})
    assert (status, problem["type"]) == (409, "/problems/has-run")
    # The branch goes on; the replay does not.
    shop(tmp_path, server, **{"rascal.yml": "name: changed\n"})
    status, again = panel.call("POST", f"/api/v1/jobs/{job}/replay")
    assert (status, again["again"]) == (202, job)
    found = until(panel, again["id"], in_state("ended", "failed"))
    assert (found["state"], found["commit"]["id"]) == ("ended", number), found
    assert found["items"][0]["run"] != item["run"]
    assert panel.call("DELETE", f"/api/v1/jobs/{job}")[0] == 204
    assert panel.call("GET", f"/api/v1/jobs/{job}")[0] == 404
    assert panel.call("GET", f"/api/v1/runs/{item['run']}")[0] == 200


@pytest.mark.integration
def test_what_is_wrong_is_not_run(panel: PanelProcess, server: str, tmp_path: Path) -> None:
    shop(tmp_path, server, **{"checks/shop.py": f"{SCENARIO}\nboom\n"})
    job = started(panel, {"folder": str(tmp_path / "shop"), "then": "run"})
    found = until(panel, job, lambda one: bool(one["why"]))
    assert found["state"] == "checked"
    finding = found["items"][0]["findings"][0]
    assert (finding["file"], finding["line"]) == ("checks/shop.py", 8)
    assert "boom" in finding["message"]
    assert found["why"] == "not run: something is wrong with checks/shop.py"
    shop(tmp_path, server, **{"rascal.yml": "nmae: x\n"})
    job = started(panel, {"folder": str(tmp_path / "shop"), "then": "run"})
    found = until(panel, job, in_state("read"))
    assert found["findings"][0]["line"] == 1
    status, problem = panel.call("POST", f"/api/v1/jobs/{job}/run", {})
    assert (status, problem["type"]) == (409, "/problems/not-well")
    assert panel.call("GET", "/api/v1/runs")[1]["runs"] == {}
    for path, body, pointer in (
        ("/api/v1/jobs", {"url": "ext::sh -c x"}, "/url"),
        ("/api/v1/jobs", {"url": "https://a/b", "then": "rm"}, "/then"),
        (f"/api/v1/jobs/{job}/run", {"items": ["x"]}, "/items"),
        (f"/api/v1/jobs/{job}/run", {"target": "nowhere"}, "/target"),
    ):
        status, problem = panel.call("POST", path, body)
        assert (status, problem["pointer"]) == (422, pointer)
    assert panel.call("POST", "/api/v1/jobs", [])[0] == 400


@pytest.mark.integration
def test_a_scenario_that_hangs_is_called_off(
    panel: PanelProcess, server: str, tmp_path: Path
) -> None:
    hang = "import time\nopen('HERE', 'w').close()\ntime.sleep(600)\n"
    here = tmp_path / "hangs"
    shop(tmp_path, server, **{"checks/shop.py": hang.replace("HERE", str(here)) + SCENARIO})
    job = started(panel, {"folder": str(tmp_path / "shop"), "then": "run"})
    ends = time.monotonic() + PATIENCE
    while not here.exists():
        assert time.monotonic() < ends, panel.log()
        time.sleep(0.05)
    assert panel.call("POST", f"/api/v1/jobs/{job}/cancel")[0] == 202
    found = until(panel, job, in_state("cancelled"))
    assert any("called off by admin" in one["text"] for one in found["log"])
    assert panel.call("POST", f"/api/v1/jobs/{job}/cancel")[0] == 409
    pid = json.loads((tmp_path / "runs.jobs" / job / "job.json").read_text())["job"]["pid"]
    assert pid == 0


@pytest.mark.integration
def test_a_killed_panel_goes_on_with_its_jobs(server: str, tmp_path: Path) -> None:
    """Killed while checking, and again while one run goes on and one waits."""
    slow, gate = "import os, time\nwhile not os.path.exists('GATE'): time.sleep(0.05)\n", "gate"
    two = JOB.replace("TARGET", server).replace("for 1s", "for 4s")
    two += "  - {file: checks/shop.py, profile: hold 10/s for 1s}\n"
    files = {"rascal.yml": two, "checks/shop.py": slow.replace("GATE", str(tmp_path / gate))}
    files["checks/shop.py"] += SCENARIO
    number = shop(tmp_path, server, **files)
    panel = panel_of(tmp_path)
    try:
        panel.start()
        job = started(panel, {"url": (tmp_path / "shop").as_uri(), "then": "run"})
        until(panel, job, in_state("checking"))
        panel.kill()
        (tmp_path / gate).touch()
        panel.start()
        found = until(panel, job, lambda one: any(i.get("run") for i in one["items"]))
        assert found["commit"]["id"] == number
        waiting = [one for one in found["items"] if one["state"] == "waiting"]
        assert len(waiting) == 1
        assert panel.call("GET", "/api/v1/queue")[1]["waiting"][0]["position"] == 1
        panel.kill()
        panel.start()
        found = until(panel, job, in_state("ended", "failed"))
        assert found["state"] == "ended", found
        assert [one["outcome"] for one in found["items"]] == ["completed", "completed"]
        assert len({one["run"] for one in found["items"]}) == 2
        assert len(panel.call("GET", "/api/v1/runs")[1]["runs"]) == 2
    finally:
        end(panel)


@pytest.mark.integration
def test_calling_off_ends_what_runs_and_what_waits(
    panel: PanelProcess, server: str, tmp_path: Path
) -> None:
    text = JOB.replace("TARGET", server).replace("for 1s", "for 60s")
    text += "  - {file: checks/shop.py, profile: hold 10/s for 60s}\n"
    shop(tmp_path, server, **{"rascal.yml": text})
    job = started(panel, {"folder": str(tmp_path / "shop"), "then": "run"})
    until(panel, job, lambda one: any(i.get("state") == "running" for i in one["items"]))
    assert panel.call("POST", f"/api/v1/jobs/{job}/cancel")[0] == 202
    found = until(panel, job, in_state("cancelled"))
    first, second = found["items"]
    assert (first["state"], first["outcome"]) == ("ended", "interrupted")
    assert (second["state"], second.get("run")) == ("cancelled", None)
    assert panel.call("GET", "/api/v1/queue")[1]["waiting"] == []


@pytest.mark.integration
def test_what_it_requires_is_there_when_it_runs(server: str, tmp_path: Path, index: Path) -> None:
    text = JOB.replace("TARGET", server) + "requires: [shopping]\n"
    shop(tmp_path, server, **{"rascal.yml": text, "checks/shop.py": f"import shopping\n{SCENARIO}"})
    panel = panel_of(tmp_path)
    try:
        panel.start()
        job = started(panel, {"url": (tmp_path / "shop").as_uri(), "then": "run"})
        found = until(panel, job, in_state("ended", "failed", "checked"))
        assert found["state"] == "ended", found
        assert found["items"][0]["outcome"] == "completed"
        with pytest.raises(ImportError):
            import shopping  # noqa: F401
    finally:
        end(panel)


EXPERIMENT = """\
target: http://127.0.0.1:1
load: {scenarios: shop.py, profile: hold 20/s, timeout: 1s}
phases: {warm-up: 1s, baseline: 4s, fault: 4s, recovery: 6s}
faults: [delay 300ms on front name slow]
objectives: ['goodput_kept >= 90%']
learn: no
"""
PROXIES = """\
[rascal]
control = 127.0.0.1:{control}
[proxy:front]
protocol = http
listen = 127.0.0.1:{listen}
upstream = {upstream}
"""


def test_an_experiment_is_checked_with_its_scenarios(tmp_path: Path) -> None:
    item = {"kind": "experiment", "file": "slow.yml", "values": {}}
    (tmp_path / "slow.yml").write_text(EXPERIMENT)

    def said() -> list[str]:
        found = check(item, "", sys.executable, tmp_path, Working())
        return [
            f"{one.get('file')}:{one.get('line')}: {one['message']}" for one in found["findings"]
        ]

    assert any("shop.py" in one for one in said())  # it is not there
    (tmp_path / "shop.py").write_text(SCENARIO)
    assert said() == []
    (tmp_path / "slow.yml").write_text(EXPERIMENT.replace("hold 20/s", "ramp 0..20/s for 60s"))
    assert said()
    for code, wanted in (
        ("import os\nos._exit(7)\n", "it ends the process that reads it (status 7)"),
        ("raise SystemExit(3)\n", "3"),
        ("def f(:\n", "shop.py:1"),
    ):
        (tmp_path / "shop.py").write_text(code)
        assert any(wanted in one for one in said()), said()


@pytest.mark.integration
def test_an_experiment_of_a_repository_to_its_verdict(server: str, tmp_path: Path) -> None:
    control, listen = free_port(), free_port()
    upstream = server.removeprefix("http://")
    (tmp_path / "proxies.ini").write_text(
        PROXIES.format(control=control, listen=listen, upstream=upstream)
    )
    text = f"name: checkout\ntarget: http://127.0.0.1:{listen}\nexperiments: [checks/slow.yml]\n"
    files = {"checks/slow.yml": EXPERIMENT, "checks/shop.py": SCENARIO, "rascal.yml": text}
    number = commit(tmp_path / "shop", files)
    panel = panel_of(tmp_path, nodes=f"main=http://127.0.0.1:{control}")
    with (tmp_path / "proxy.log").open("wb") as log:
        proxy = subprocess.Popen(
            [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n",
             "--pidfile=", "rascal-proxy", "--config", str(tmp_path / "proxies.ini")],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        panel.start()
        ends = time.monotonic() + PATIENCE
        while panel.call("GET", "/api/v1/nodes")[1]["main"]["state"] != "up":
            assert time.monotonic() < ends, panel.log()
            time.sleep(0.1)
        job = started(panel, {"url": (tmp_path / "shop").as_uri(), "then": "run"})
        found = until(panel, job, in_state("ended", "failed", "checked"))
        assert found["state"] == "ended", found
        (item,) = found["items"]
        assert item["word"], found
        run = panel.call("GET", f"/api/v1/runs/{item['run']}")[1]
        assert run["kind"] == "experiment"
        assert run["spec"]["target"] == f"http://127.0.0.1:{listen}"
        assert f"commit-{number[:10]}" in run["labels"]
    finally:
        end(panel)
        proxy.terminate()
        proxy.wait(30)
