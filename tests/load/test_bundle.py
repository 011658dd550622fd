"""Bundles: the same in and out; what is not signed, not ours, too old or too large is refused."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from rascal.errors import ConfigError
from rascal.language import parse
from rascal.load import bundle as bundles
from rascal.load.bundle import LIFE_SECONDS, BundleError, pack, read_token, unpack
from rascal.load.messages import Seal, dumps, loads
from rascal.load.plan import Plan, Share

TOKEN = "a token that is long enough"
SEAL = Seal(TOKEN, "bundle")
PLAIN = Seal("", "bundle")
FILES = {"shop.py": b"x = 1\n", "data/items.csv": bytes(range(256)), "empty": b""}


def made_plan() -> Plan:
    share = Share(scenarios=("buy",), profile=parse("profile", "ramp 0..20/s for 3s"))
    return Plan(file="shop.py", shares=(share,), target="http://127.0.0.1:1", options={"n": 3})


def packed(seal: Seal = SEAL, files: dict[str, bytes] | None = None) -> bytes:
    return pack("sess", "17", made_plan(), files or FILES, seal=seal, now=100.0)


def opened(data: bytes, session: str = "sess", now: float = 100.0, local: bool = False):
    return unpack(data, session, seal=SEAL, now=now, local=local)


def test_it_comes_back_as_it_was_and_is_always_the_same() -> None:
    found = opened(packed())
    assert (found.run, found.plan, found.files) == ("17", made_plan(), FILES)
    assert packed() == packed(files=dict(reversed(list(FILES.items()))))


def test_unsigned_ones_are_for_this_machine_only() -> None:
    data = packed(PLAIN)
    assert unpack(data, "sess", seal=PLAIN, now=100.0, local=True).files == FILES
    with pytest.raises(BundleError, match="not signed, and Redis is on another machine"):
        unpack(data, "sess", seal=PLAIN, now=100.0, local=False)
    with pytest.raises(BundleError, match="it is not sealed, and a token is set here"):
        opened(data, local=True)
    with pytest.raises(BundleError, match="sealed with a token, and there is none here"):
        unpack(packed(), "sess", seal=PLAIN, now=100.0, local=True)


def test_it_is_good_for_its_session_and_its_time() -> None:
    with pytest.raises(BundleError, match="sealed with another token"):
        opened(packed(), session="other")
    with pytest.raises(BundleError, match="another run's"):
        unpack(packed(PLAIN), "other", seal=PLAIN, now=100.0, local=True)
    assert opened(packed(), now=100.0 + LIFE_SECONDS)
    with pytest.raises(BundleError, match="expired"):
        opened(packed(), now=101.0 + LIFE_SECONDS)
    with pytest.raises(BundleError, match="another token"):
        unpack(packed(), "sess", seal=Seal("some other token", "bundle"), now=100.0, local=True)


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/x", "a/../../x", "a\\x", "c:x", "", ".", "a//b", "a/", "./a", "a\nb", "x" * 201],
)
def test_names_that_could_leave_a_folder_are_refused(name: str) -> None:
    with pytest.raises(BundleError, match="cannot be the name of a file"):
        packed(files={name: b""})
    with pytest.raises(BundleError, match="cannot be the name of a file"):
        opened(rewritten(lambda head: head["files"].__setitem__(0, [name, 0, ""])))


def rewritten(change, content: bytes | None = None) -> bytes:
    """A bundle signed by one who has the token, with another head."""
    body = zlib.decompress(SEAL.open("bundle|sess", packed()))
    line, _, rest = body.partition(b"\n")
    head = loads(line)
    change(head)
    whole = dumps(head) + b"\n" + (rest if content is None else content)
    return SEAL.close("bundle|sess", zlib.compress(whole))


@pytest.mark.parametrize(
    ("change", "content", "why"),
    [
        (lambda head: None, b"", "is damaged"),
        (lambda head: None, b"?" * 400, "is damaged"),
        (lambda head: head["files"].pop(), None, "more than its files|is damaged"),
        (lambda head: head["files"].append(head["files"][0]), None, "is damaged"),
        (lambda head: head.update(files=3), None, "cannot be read"),
        (lambda head: head.update(files=[["a", -1, ""]]), None, "cannot be read"),
        (lambda head: head.update(files=[["a"]]), None, "cannot be read"),
        (lambda head: head.update(expires="x"), None, "expired"),
    ],
)
def test_damage_is_found(change, content: bytes | None, why: str) -> None:
    with pytest.raises(BundleError, match=why):
        opened(rewritten(change, content))


def test_every_byte_of_a_signed_bundle_counts() -> None:
    data = packed()
    for at in range(0, len(data), 7):
        broken = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(BundleError):
            opened(broken)
    with pytest.raises(BundleError):
        opened(data[:-1])


def test_bounds_hold_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    data = packed(files={"zeros": bytes(9 << 20)})  # some kilobytes on the wire
    monkeypatch.setattr(bundles, "LARGEST", 1 << 20)
    with pytest.raises(BundleError, match="more than is allowed"):
        opened(data)
    with pytest.raises(BundleError, match="1 files of 9 MiB together; allowed: 1000 files, 1 MiB"):
        packed(files={"zeros": bytes(9 << 20)})
    monkeypatch.setattr(bundles, "LARGEST_PACKED", 100)
    with pytest.raises(BundleError, match="too large"):
        opened(data)


def test_a_token_comes_from_its_file_or_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    assert read_token(str(path), {"RASCAL_TOKEN": "another one, long enough"}) == TOKEN
    assert read_token(None, {"RASCAL_TOKEN": TOKEN}) == TOKEN
    assert read_token(None, {}) == ""
    with pytest.raises(ConfigError, match="has 5 characters; at least 16"):
        read_token(None, {"RASCAL_TOKEN": "short"})
    with pytest.raises(ConfigError, match="No such file"):
        read_token(str(tmp_path / "none"), {})
    path.write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        read_token(str(path), {})
