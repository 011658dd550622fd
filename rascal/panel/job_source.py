"""Where jobs come from: a git repository (URL and ref), or a folder of this machine.

What is fetched is files, and nothing of it runs: no hooks, no filters, no submodules, no links;
git sees no configuration but ours, asks nobody for passwords, and only speaks https and ssh (and
file, for repositories in the folders that the operator allows). Time, bytes and number of files
are bounded, the latter before anything is unpacked.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs

from rascal.control._problems import Problem
from rascal.panel.folders import LEFT_OUT

SECONDS = 120.0
"""For each step of git."""
LARGEST = 256 << 20
"""Bytes of a job's files, packed and unpacked together twice as much."""
MOST = 20_000
"""Files."""
LOOK = 0.05
MEASURE = 0.25
URL = 1000
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+@-]{0,199}")
_SHORT = re.compile(r"([A-Za-z0-9_][\w.-]*)@([A-Za-z0-9][\w.-]*):(?!/)([\w.~][^:\s]*)")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_USER = re.compile(r"[A-Za-z0-9_][\w.-]{0,63}")
_PASSED = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE",
           "SSL_CERT_DIR", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY",
           "NO_PROXY", "all_proxy", "ALL_PROXY")  # fmt: skip
"""Of the environment; no token of ours is among them."""


class Cancelled(Exception):
    """Somebody wants no more of it."""


@attrs.frozen(kw_only=True)
class Source:
    """Where a job comes from."""

    kind: str
    """git or folder."""
    url: str
    """Of the repository; the path of a folder."""
    ref: str = ""
    """Branch, tag or whole commit; "" for the repository's usual branch."""

    @property
    def title(self) -> str:
        """What it is called as long as nothing else is known."""
        name = self.url.rstrip("/").rpartition("/")[2].removesuffix(".git")
        return name or self.url


# ---- what may be asked for


def source_of(given: Mapping[str, Any], folders: Sequence[str]) -> Source:
    """Check what somebody has asked for. Raises Problem with the field that is wrong.

    Args:
        given: url and ref, or folder.
        folders: where folders and local repositories may lie.
    """
    unknown = sorted(set(given) - {"url", "ref", "folder"})
    if unknown:
        raise _wrong(f"'{unknown[0]}' is not known; a job is a url and a ref, or a folder", "url")
    texts = {name: _text(given.get(name), name) for name in ("url", "ref", "folder")}
    if bool(texts["url"]) == bool(texts["folder"]):
        raise _wrong("which repository? its URL, or else a folder of this machine", "url")
    if texts["folder"]:
        if texts["ref"]:
            raise _wrong("a folder is taken as it is: only repositories have a ref", "ref")
        return Source(kind="folder", url=str(_allowed(texts["folder"], folders, "folder")))
    return Source(kind="git", url=checked_url(texts["url"], folders), ref=checked_ref(texts["ref"]))


def _text(value: Any, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > URL or not value.isprintable():
        raise _wrong(f"{name} is one line of text", name)
    return value.strip()


def checked_url(text: str, folders: Sequence[str]) -> str:
    """The URL as git gets it. Raises Problem."""
    if short := _SHORT.fullmatch(text):
        text = f"ssh://{short[1]}@{short[2]}/{short[3]}"
    try:
        url = urlsplit(text)
        port, host = url.port, url.hostname or ""
    except ValueError:
        raise _wrong(f"'{text}' is no URL", "url") from None
    if url.scheme == "file":
        if host not in ("", "localhost"):
            raise _wrong("a file: URL names a folder of this machine: file:///srv/checks", "url")
        return _allowed(unquote(url.path), folders, "url").as_uri()
    if url.scheme not in ("https", "ssh"):
        kind = url.scheme or text.partition(":")[0]
        raise _wrong(
            f"repositories come by https:// or ssh:// (git@host:path), not by '{kind[:40]}'", "url"
        )
    if url.password is not None or (url.scheme == "https" and url.username is not None):
        raise _wrong(
            "a URL with a name or password in it would be shown to everybody: use ssh, with a key "
            "of the panel's user", "url",
        )  # fmt: skip
    if not _HOST.fullmatch(host) or port == 0:
        raise _wrong(f"'{host[:80]}' is no host", "url")
    if url.username is not None and not _USER.fullmatch(url.username):
        raise _wrong(f"'{url.username[:40]}' is no user", "url")
    path = url.path
    if len(path) < 2 or path.startswith(("/-", "//")) or any(c in text for c in "?#\\ "):
        raise _wrong("the URL names no repository: https://HOST/PATH, without '?' and '#'", "url")
    return text


def checked_ref(text: str) -> str:
    """Branch, tag or commit. Raises Problem."""
    bad = text and (
        not _REF.fullmatch(text)
        or any(one in text for one in ("..", "@{", "//", "/."))
        or text.endswith(("/", ".", ".lock"))
    )
    if bad:
        raise _wrong(f"'{text[:80]}' is no branch, tag or whole commit", "ref")
    return text


def _allowed(text: str, folders: Sequence[str], name: str) -> Path:
    """A folder in one of the operator's."""
    if not folders:
        raise _wrong(
            "folders of this machine are closed to jobs: 'repository_folders' of [panel] names "
            "those that are open", name,
        )  # fmt: skip
    path = Path(text).expanduser()
    if not path.is_absolute() or "\0" in text:
        raise _wrong(f"'{text[:200]}' is no absolute path", name)
    path = path.resolve()
    if not any(path.is_relative_to(Path(one).expanduser().resolve()) for one in folders):
        raise _wrong(f"'{text[:200]}' lies in none of: {', '.join(folders)}", name)
    if not path.is_dir():
        raise _wrong(f"there is no folder '{text[:200]}'", name)
    return path


def _wrong(text: str, name: str) -> Problem:
    return Problem(422, "not-allowed", text, pointer=f"/{name}")


# ---- processes that can be called off


class Working:
    """What is done for one job in a thread; `cancel` may be called from everywhere."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.began: Any = lambda pid: None
        """Called with the number of each process, so that it can be found again."""
        self._over = Event()

    @property
    def cancelled(self) -> bool:
        """Whether it is to end."""
        return self._over.is_set()

    def cancel(self) -> None:
        """End it, and the process that works for it."""
        self._over.set()
        if self.process is not None:
            end_group(self.process.pid)

    def run(
        self,
        words: Sequence[str],
        *,
        seconds: float,
        what: str,
        env: Mapping[str, str],
        cwd: str | None = None,
        watch: Path | None = None,
        largest: int = 2 * LARGEST,
        out: Path | None = None,
    ) -> str:
        """Run a program to its end; what it said, both ways, the last 8 KiB of it.

        Args:
            words: program and arguments.
            seconds: at most.
            what: it does, for errors.
            env, cwd: of the process.
            watch: a folder that must not grow beyond `largest` bytes.
            out: a file for what it writes, instead.

        Raises Problem: it failed, took too long, wrote too much. Raises Cancelled.
        """
        if self.cancelled:
            raise Cancelled
        beside = (watch or Path(cwd or tempfile.gettempdir())).parent
        handle, name = tempfile.mkstemp(prefix=".said-", dir=beside)
        log = Path(name)
        try:
            with open(handle, "wb") as said:
                self.process = process = self._started(words, said, out, env, cwd, what)
            with suppress(OSError, ValueError, AttributeError):
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (largest, largest))
            try:
                self.began(process.pid)
                self._wait(process, seconds, what, watch, largest, out)
            finally:
                end_group(process.pid)
                process.wait()
                self.process = None
            text = tail(log)
        finally:
            log.unlink(missing_ok=True)
        if self.cancelled:
            raise Cancelled
        if process.returncode:
            raise Problem(409, "failed", f"{what}: {told(text, process.returncode)}", text)
        return text

    def _started(
        self,
        words: Sequence[str],
        said: Any,
        out: Path | None,
        env: Mapping[str, str],
        cwd: str | None,
        what: str,
    ) -> subprocess.Popen[bytes]:
        try:
            with out.open("wb") if out else nullcontext(said) as result:
                return subprocess.Popen(
                    list(words), stdin=subprocess.DEVNULL, stdout=result, stderr=said,
                    env=dict(env), cwd=cwd, start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            text = f"{what}: {words[0]} cannot be started: {error.strerror}"
            raise Problem(409, "not-possible", text) from error

    def _wait(
        self,
        process: subprocess.Popen[bytes],
        seconds: float,
        what: str,
        watch: Path | None,
        largest: int,
        out: Path | None,
    ) -> None:
        ends, measured = time.monotonic() + seconds, 0.0
        while process.poll() is None:
            now = time.monotonic()
            if self.cancelled:
                return
            if now > ends:
                raise Problem(409, "too-slow", f"{what}: not done after {seconds:g} s, given up")
            if now - measured > MEASURE:
                measured = now
                self._bound(what, watch, largest, out)
            time.sleep(LOOK)
        self._bound(what, watch, largest, out)

    def _bound(self, what: str, watch: Path | None, largest: int, out: Path | None) -> None:
        if watch is not None and size_of(watch, largest) > largest:
            text = f"{what}: larger than {largest >> 20} MiB, given up"
            raise Problem(409, "too-large", text)
        if out is not None and out.exists() and out.stat().st_size > 32 << 20:
            raise Problem(409, "too-large", f"{what}: more than {MOST:,} files, given up")


def end_group(pid: int) -> None:
    """Kill a process and all that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def tail(path: Path) -> str:
    """The end of a text file."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8192))
        return file.read().decode("utf-8", "replace").strip()
    return ""


def told(text: str, status: int) -> str:
    """The line that says most."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marked = [line for line in lines if re.match(r"(?i)(fatal|error):", line)]
    found = (marked or lines or [f"it ended with status {status}"])[-1]
    return re.sub(r"(?i)^(fatal|error):\s*", "", found)[:300]


def size_of(folder: Path, enough: int) -> int:
    """Bytes in a folder, counted until it is enough."""
    total = 0
    for one in _walk(str(folder)):
        with suppress(OSError):
            total += one.stat(follow_symlinks=False).st_size
        if total > enough:
            break
    return total


def _walk(folder: str) -> Iterator[os.DirEntry[str]]:
    with suppress(OSError), os.scandir(folder) as entries:
        for one in entries:
            yield one
            if one.is_dir(follow_symlinks=False):
                yield from _walk(one.path)


# ---- fetching


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What git and pip see of our environment."""
    found = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return {**found, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", **(more or {})}


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
            out=out,
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
            if not _REF.fullmatch(name) or ".." in name:
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
