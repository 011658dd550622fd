"""What may be asked for as a job: a git repository (URL and ref), or a folder of this machine.

Everything that git or the file system could take for something else is refused here: options in
the place of URLs and refs, other transports, passwords, folders outside of those that are open.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs

from rascal.control._problems import Problem

URL = 1000
REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+@-]{0,199}")
_SHORT = re.compile(r"([A-Za-z0-9_][\w.-]*)@([A-Za-z0-9][\w.-]*):(?!/)([\w.~][^:\s]*)")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_USER = re.compile(r"[A-Za-z0-9_][\w.-]{0,63}")


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
        not REF.fullmatch(text)
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
