"""Dependencies of a run: installed once, by pip, and only what may be asked for."""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from within import within

from rascal.load.environments import (
    DependencyError,
    Environments,
    check_requirements,
    key_of,
)


def wheel(folder: Path, name: str = "tinything", version: str = "1.0") -> None:
    """The smallest wheel there can be."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record += f"{path},sha256={digest.decode()},{len(text)}\n"
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


@pytest.fixture
def environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environments:
    """With a package index of one package."""
    from twisted.internet import reactor

    (tmp_path / "index").mkdir()
    wheel(tmp_path / "index")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return Environments(str(tmp_path / "cache"), reactor)


@pytest_twisted.ensureDeferred
async def test_it_is_installed_once_and_found_again(environments: Environments) -> None:
    folder = await within(60, environments.folder(["tinything==1.0"], allowed=True))
    assert (Path(folder) / "tinything.py").read_text() == "VERSION = '1.0'\n"
    assert [one.name for one in environments.cache.iterdir()] == [key_of(["tinything==1.0"])]
    (Path(folder) / "mark").touch()
    again = await within(5, environments.folder([" tinything==1.0 "], allowed=True))
    assert again == folder and (Path(again) / "mark").exists()


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_installed_is_said_and_leaves_nothing(
    environments: Environments,
) -> None:
    with pytest.raises(DependencyError, match=r"tinything>=2 could not be installed: .*tinything"):
        await within(60, environments.folder(["tinything>=2"], allowed=True))
    assert list(environments.cache.iterdir()) == []


@pytest_twisted.ensureDeferred
async def test_an_installation_that_takes_too_long_is_ended(
    environments: Environments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    with pytest.raises(DependencyError, match=r"could not be installed within 0\.5s"):
        await within(10, environments.folder(["tinything"], allowed=True, seconds=0.5))
    assert list(environments.cache.iterdir()) == []
    pid = int((tmp_path / "pid").read_text())
    from within import until

    await until(lambda: not Path(f"/proc/{pid}").exists(), "pip is gone")


@pytest_twisted.ensureDeferred
async def test_only_where_the_operator_has_allowed_it(environments: Environments) -> None:
    with pytest.raises(DependencyError, match="dependencies = yes in \\[agent\\] allows it"):
        await within(5, environments.folder(["tinything"], allowed=False))
    assert not environments.cache.exists()


@pytest.mark.parametrize(
    "text",
    [
        "aiosmtplib",
        "aiosmtplib==3.0.1",
        "Foo.bar_baz[extra,other]>=1.2,<2",
        "foo ~= 1.4 ; python_version < '3.12'",
        "foo!=1.0",
    ],
)
def test_plain_requirements(text: str) -> None:
    assert check_requirements([text]) == [text]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "--index-url=http://evil.test",
        "-r",
        "-e .",
        "./local",
        "/etc",
        "git+https://example.test/x",
        "foo @ https://example.test/x.whl",
        "foo bar",
        "https://example.test/x.whl",
        "foo\n--pre",
        "foo==1.0 --hash=sha256:0",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(DependencyError, match="is not a plain requirement"):
        check_requirements([text])


def test_the_folder_is_named_after_what_was_asked_for() -> None:
    wanted: Any = check_requirements(["b", "a ", "a"])
    assert wanted == ["a", "b"]
    assert key_of(wanted) != key_of(["a"])
    with pytest.raises(DependencyError, match="51 dependencies; allowed: 50"):
        check_requirements([f"p{n}" for n in range(51)])
