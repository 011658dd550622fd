"""The bundle: plan, scenario file and data files, packed for agents, signed, for one run.

    seal ("+" and HMAC-SHA256, or "-") · zlib of: head (one line of JSON) · the files end to end

The head names run and session, when it expires (Redis' time), Rascal's version, the plan, and of
every file name, size and SHA-256. The seal is good for its session only, a session is enlisted
once, and an expired bundle is refused: so none can be played again. Nothing is unpacked before
the seal was checked, and never more than the bounds. Files stay in memory; their names are
checked all the same, as if they were to be written somewhere.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import attrs

from rascal.errors import ConfigError, CoordinationError
from rascal.load.messages import Forged, Seal, dumps, loads
from rascal.load.plan import Plan
from rascal.load.plans_json import plan_from_json, plan_json

LARGEST_PACKED = 64 << 20
LARGEST = 256 << 20
MOST_FILES = 1_000
LONGEST_NAME = 200
LIFE_SECONDS = 900.0
"""After that a bundle is refused: its run has long begun."""
SHORTEST_TOKEN = 16


class BundleError(CoordinationError):
    """A bundle that cannot be made, or is not to be trusted."""


@attrs.frozen(kw_only=True)
class Bundle:
    """What a run needs, as it came out of a bundle."""

    run: str
    plan: Plan
    files: Mapping[str, bytes]


def pack(
    session: str, run: str, plan: Plan, files: Mapping[str, bytes], *, seal: Seal, now: float
) -> bytes:
    """The bundle of a run. The same input gives the same bytes.

    Args:
        session: the coordinator's random name of the run.
        seal: made with domain "bundle".
        now: Redis' time.

    Raises:
        BundleError: it is too large, or has a name that agents would refuse.
    """
    total = sum(map(len, files.values()))
    if total > LARGEST or len(files) > MOST_FILES:
        raise BundleError(
            f"the bundle has {len(files)} files of {total >> 20} MiB together; "
            f"allowed: {MOST_FILES} files, {LARGEST >> 20} MiB"
        )
    from rascal import __version__

    names = sorted(files)
    for name in names:
        check_name(name)
    listed = [[name, len(files[name]), _digest(files[name])] for name in names]
    head = dumps(
        {
            "expires": round(now + LIFE_SECONDS, 3),
            "files": listed,
            "plan": plan_json(plan),
            "run": run,
            "session": session,
            "version": __version__,
        }
    )
    body = zlib.compress(head + b"\n" + b"".join(files[name] for name in names), 6)
    if len(body) > LARGEST_PACKED:
        raise BundleError(
            f"the bundle has {len(body) >> 20} MiB packed; allowed: {LARGEST_PACKED >> 20} MiB"
        )
    return seal.close(f"bundle|{session}", body)


def unpack(data: bytes, session: str, *, seal: Seal, now: float, local: bool) -> Bundle:
    """What a bundle holds, once its seal is right.

    Args:
        seal: made with domain "bundle".
        now: Redis' time.
        local: whether Redis is on this machine: then it need not be signed.

    Raises:
        BundleError: it is not to be trusted, or not whole.
        ConfigErrors: its plan cannot be read.
    """
    if len(data) > LARGEST_PACKED + 64:
        raise BundleError(f"the bundle is too large: {len(data)} bytes")
    if not seal.signs and not local:
        raise BundleError("the bundle is not signed, and Redis is on another machine")
    try:
        body = seal.open(f"bundle|{session}", data)
    except Forged as error:
        raise BundleError(f"the bundle is refused: {error}") from error
    head, content = _unpacked(body)
    if head.get("session") != session:
        raise BundleError("the bundle is another run's")
    expires = head.get("expires")
    if not isinstance(expires, int | float) or now > expires:
        raise BundleError("the bundle has expired")
    return Bundle(
        run=str(head.get("run", "")),
        plan=plan_from_json(head.get("plan")),
        files=_files(head.get("files"), content),
    )


def _unpacked(body: bytes) -> tuple[dict[str, Any], bytes]:
    inflate = zlib.decompressobj()
    try:
        whole = inflate.decompress(body, LARGEST + (4 << 20))
    except zlib.error as error:
        raise BundleError("the bundle is damaged") from error
    if inflate.unconsumed_tail or not inflate.eof:
        raise BundleError("the bundle is damaged, or unpacks to more than is allowed")
    head, _, content = whole.partition(b"\n")
    return loads(head), content


def _files(listed: Any, content: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    at = 0
    if not isinstance(listed, list) or len(listed) > MOST_FILES:
        raise BundleError("the bundle's list of files cannot be read")
    for item in listed:
        match item:
            case [str(name), int(size), str(digest)] if size >= 0:
                check_name(name)
            case _:
                raise BundleError("the bundle's list of files cannot be read")
        data = content[at : at + size]
        at += size
        if name in found or len(data) != size or _digest(data) != digest:
            raise BundleError(f"the bundle's file '{name}' is damaged")
        found[name] = data
    if at != len(content):
        raise BundleError("the bundle holds more than its files")
    return found


def check_name(name: str) -> None:
    """Refuse a name that could leave a folder. Raises BundleError."""
    path = PurePosixPath(name)
    wrong = (
        not path.parts
        or len(name) > LONGEST_NAME
        or path.is_absolute()
        or str(path) != name
        or ".." in path.parts
        or any(char in '\\:*?"<>|' or not char.isprintable() for char in name)
    )
    if wrong:
        raise BundleError(f"'{name[:LONGEST_NAME]}' cannot be the name of a file in a bundle")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read_token(path: str | None, environ: Mapping[str, str]) -> str:
    """The shared token: of a file, or RASCAL_TOKEN; "" if there is none. Raises ConfigError."""
    if path:
        try:
            with open(os.path.expanduser(path), encoding="utf-8") as file:
                token, where = file.read(4096).strip(), f"the file '{path}'"
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"the token's file '{path}' cannot be read: {reason}") from error
        if not token:
            raise ConfigError(f"the token's file '{path}' is empty")
    else:
        token, where = environ.get("RASCAL_TOKEN", "").strip(), "RASCAL_TOKEN"
    if token and len(token) < SHORTEST_TOKEN:
        raise ConfigError(
            f"the token in {where} has {len(token)} characters; at least {SHORTEST_TOKEN}: "
            "take random ones"
        )
    return token
