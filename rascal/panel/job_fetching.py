"""Fetching: a job's files are put into a folder, and nothing of them runs.

No hooks, no filters, no submodules, no links, no history; git sees no configuration but ours, asks
nobody for passwords, and speaks the one transport of the URL. Time, bytes and number of files are
bounded, the latter before anything is unpacked.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rascal.control._problems import Problem
from rascal.panel.folders import LEFT_OUT
from rascal.panel.job_process import Cancelled, Working, environment
from rascal.panel.job_source import REF, Source

SECONDS = 120.0
"""For each step of git."""
LARGEST = 256 << 20
"""Bytes of a job's files, packed and unpacked together twice as much."""
MOST = 20_000
"""Files."""


def git_environment(source: Source) -> dict[str, str]:
    """Git's: no configuration of anybody, nothing asked, one way of transport."""
    return environment(
        {
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "GIT_ALLOW_PROTOCOL": urlsplit(source.url).scheme,
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=15 "
            "-o StrictHostKeyChecking=yes -o PermitLocalCommand=no -o ForwardAgent=no",
        }
    )


GIT = (
    "git", "-c", "core.hooksPath=/dev/null", "-c", "core.symlinks=false",
    "-c", "core.fsmonitor=false", "-c", "core.attributesFile=/dev/null",
    "-c", "core.excludesFile=/dev/null", "-c", "core.autocrlf=false", "-c", "core.protectNTFS=true",
    "-c", "core.protectHFS=true", "-c", "submodule.recurse=false",
    "-c", "fetch.recurseSubmodules=false", "-c", "gc.auto=0", "-c", "maintenance.auto=false",
    "-c", "protocol.version=2", "-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=30",
    "-c", "credential.helper=", "-c", "init.defaultBranch=main", "-c", "advice.detachedHead=false",
)  # fmt: skip


def fetch(source: Source, folder: Path, working: Working) -> dict[str, Any]:
    """Put the source's files into a folder that is not there yet; what is known of its commit.

    Raises Problem, Cancelled.
    """
    shutil.rmtree(folder, ignore_errors=True)
    if source.kind == "folder":
        return _copied(Path(source.url), folder, working)
    folder.mkdir(mode=0o700)
    env = git_environment(source)

    def git(*words: str, what: str, out: Path | None = None, seconds: float = SECONDS) -> str:
        return working.run(
            [*GIT, *words], seconds=seconds, what=what, env=env, cwd=str(folder), watch=folder,
            largest=2 * LARGEST, out=out,
        )  # fmt: skip

    git("init", "--quiet", "--template=", ".", what="making a folder")
    git(
        "fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--",
        source.url, source.ref or "HEAD", what=f"fetching {source.ref or 'its usual branch'}",
    )  # fmt: skip
    commit = _commit(git, folder.parent / "commit.out")
    _count(git, commit["id"], folder.parent / "tree.out")
    git("checkout", "--quiet", "--detach", commit["id"], "--", what="unpacking")
    shutil.rmtree(folder / ".git", ignore_errors=True)
    return commit


def _commit(git: Any, out: Path) -> dict[str, Any]:
    """What was fetched: its number, author, time and first line."""
    form = "--format=%H%x00%an%x00%at%x00%s"
    git("log", "-1", "--no-show-signature", "--no-color", form, "FETCH_HEAD", "--",
        what="reading the commit", out=out)  # fmt: skip
    parts = out.read_bytes()[:8192].decode("utf-8", "replace").strip("\n").split("\0")
    out.unlink()
    if len(parts) != 4 or not re.fullmatch(r"[0-9a-f]{40,64}", parts[0]):
        raise Problem(409, "failed", "what was fetched is no commit")
    number, author, at, subject = parts
    return {
        "id": number,
        "author": author[:120],
        "at": int(at) if at.isdigit() and len(at) < 12 else None,
        "subject": subject[:200],
    }


def _count(git: Any, commit: str, out: Path) -> None:
    """Refuse what would unpack to more than is allowed. Raises Problem."""
    git("ls-tree", "-r", "-l", "-z", commit, what="listing its files", out=out)
    files = total = 0
    for line in out.read_bytes().split(b"\0"):
        facts = line.partition(b"\t")[0].split()
        if len(facts) == 4:
            files += 1
            total += int(facts[3]) if facts[3].isdigit() else 0
    out.unlink()
    _few_enough(files, total)


def _few_enough(files: int, total: int) -> None:
    if files > MOST:
        raise Problem(409, "too-large", f"more than {MOST:,} files")
    if total > LARGEST:
        raise Problem(409, "too-large", f"its files are larger than {LARGEST >> 20} MiB")


def _copied(source: Path, folder: Path, working: Working) -> dict[str, Any]:
    """Copy a folder as it is now, without what is made, hidden or linked."""
    files = total = 0
    folder.mkdir(mode=0o700)
    for where, folders, names in os.walk(source):
        folders[:] = [
            one for one in folders
            if one not in LEFT_OUT and not one.startswith(".")
            and not os.path.islink(os.path.join(where, one))
            and not os.path.exists(os.path.join(where, one, "pyvenv.cfg"))
        ]  # fmt: skip
        into = folder / os.path.relpath(where, source)
        into.mkdir(exist_ok=True)
        for name in names:
            path = Path(where) / name
            if path.is_symlink() or not path.is_file():
                continue
            if working.cancelled:
                raise Cancelled
            files, total = files + 1, total + path.stat().st_size
            _few_enough(files, total)
            shutil.copyfile(path, into / name, follow_symlinks=False)
    return head_of(source)


def head_of(folder: Path) -> dict[str, Any]:
    """The commit that a working folder stands on, read without running git in it."""
    git = folder / ".git"
    with suppress(OSError, UnicodeDecodeError):
        head = (git / "HEAD").read_text("utf-8")[:300].strip()
        name = head.removeprefix("ref: ")
        if name != head:
            if not REF.fullmatch(name) or ".." in name:
                return {}
            head = _ref_of(git, name)
        if re.fullmatch(r"[0-9a-f]{40,64}", head):
            return {"id": head, "author": "", "at": None, "subject": "", "as_it_is": True}
    return {}


def _ref_of(git: Path, name: str) -> str:
    with suppress(OSError):
        return (git / name).read_text("utf-8")[:100].strip()
    for line in (git / "packed-refs").read_text("utf-8").splitlines():
        number, _, known = line.partition(" ")
        if known == name:
            return number
    return ""
