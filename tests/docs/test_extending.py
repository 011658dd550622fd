"""docs/extending.md builds a protocol and a kind from nothing: here its very files run.

The package is a folder on sys.path with the metadata that an installer would write. A fresh
interpreter looks at it, and a real proxy uses it as the page says.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import socketserver
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rascal.demo.children import Children, free_port, listening
from rascal.demo.node import twistd

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
LINES = 60
"""A protocol and a kind have fewer."""

LOOK = """
import json
import random

from rascal.errors import ProtocolError
from rascal.faults.build import broken, build_fault, kinds, tables
from rascal.language import parse
from rascal.wire import protocols
from rascal.wire.types import HEAD_BYTES
from wire.books import Books, bytewise, cuts

parrot = protocols()["parrot"]
long = b"x" * (HEAD_BYTES + 9)
asked = b"ECHO hello\\nTIME\\r\\n\\necho " + long + b"\\nECHO \\xff\\nECHO unfin"
told = b"OK hello\\nOK 12:00\\nERR what\\nOK " + long + b"\\nOK \\xff\\nOK nobody\\nOK unfin"
asked_heads = ["ECHO hello", "TIME ", " ", f"ECHO {long.decode()}"[:HEAD_BYTES], "ECHO \\ufffd"]
chance = random.Random(1)

def places(data):
    return [chance.randrange(len(data)) for _ in range(chance.randrange(1, 40))]

def drive(skims, up, down):
    books = Books(parrot, skims=skims)
    books.up(*up)
    books.down(*down)
    return books

def messages(books):
    return [(one.head, one.data, one.ended) for one in books.requests + books.replies]

whole = drive(False, [asked], [told])
said = [f"{one.head.command} {one.head.text}" for one in whole.requests]
assert said == asked_heads, said
assert [one.head.command for one in whole.replies] == ["OK", "OK", "ERR", "OK", "OK", "OK"]
assert [one.head.push for one in whole.replies] == [False] * 5 + [True]
assert b"".join(one.data for one in whole.requests) + b"ECHO unfin" == asked
assert b"".join(one.data for one in whole.replies) + b"OK unfin" == told
chunkings = [(bytewise(asked), bytewise(told))]
chunkings += [(cuts(asked, *places(asked)), cuts(told, *places(told))) for _ in range(100)]
for up, down in chunkings:
    one = drive(False, up, down)
    assert messages(one) == messages(whole)
    assert one.place() == whole.place()
    assert drive(True, up, down).place() == whole.place()

books = Books(parrot)
books.up(b"ECHO " + long)
assert books.to_upstream.codec.under_way() == "message"
books.up(b"\\n")
assert books.to_upstream.codec.under_way() == ""
books.down(b"OK\\n", long)
assert books.to_client.codec.under_way() == "aside"

def fault(text):
    read = parse("fault", text, kinds=tables(parrot), fields=parrot.fields, protocol="parrot")
    return build_fault(read, parrot)

shout = fault('shout(mark="?!", times=2) match command=ECHO and text~loudly')
act = shout.kind.act(shout.options, None, "reply", None, None)
busy = fault("error(busy) match command=TIME").options.call
print(json.dumps({
    "protocols": list(protocols()),
    "kinds": list(kinds()),
    "broken": list(broken()),
    "elsewhere": "shout" in tables(protocols()["redis"]),
    "text": shout.text,
    "at": shout.at,
    "act": type(act).__name__,
    "limit": act.limit,
    "changed": [repr(act.change(None, reply)) for reply in (b"OK hey\\r\\n", b"ERR busy\\n")],
    "busy": parrot.answer(None, None, busy).reply.decode(),
}))
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def code() -> dict[str, str]:
    """The files of the package; the page says before each where it stands."""
    found = re.findall(
        r"^[^\n]*`rascal_parrot/(\w+)\.py`:\n\n```python\n(.*?)^```$",
        PAGE,
        re.DOTALL | re.MULTILINE,
    )
    return dict(found)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the page's package is installed."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "rascal_parrot").mkdir()
    (folder / "rascal_parrot/__init__.py").touch()
    for name, text in code().items():
        (folder / f"rascal_parrot/{name}.py").write_text(text, encoding="utf-8")
    (text,) = blocks("toml")
    project = tomllib.loads(text)["project"]
    named, version = project["name"], project["version"]
    info = folder / f"{named.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {named}\nVersion: {version}\n")
    points = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("".join(points))
    return folder


def run(site: Path, *words: str) -> str:
    path = os.pathsep.join(map(str, (site, ROOT / "tests", ROOT)))
    done = subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_each_is_one_short_file() -> None:
    assert list(code()) == ["protocol", "shout"]
    assert list(code().values()) == blocks("python")
    assert [name for name, text in code().items() if len(text.splitlines()) >= LINES] == []


def test_they_are_found_and_lose_no_byte(site: Path) -> None:
    found: dict[str, Any] = json.loads(run(site, "-c", LOOK))
    assert found["protocols"][-1] == "parrot"
    assert {"shout", "error", "delay"} <= set(found["kinds"])
    assert found["broken"] == []
    assert found["elsewhere"] is False
    assert found["text"] == "shout(?!, times=2) match command=ECHO and text~loudly"
    assert found["at"] == ["reply"]
    assert (found["act"], found["limit"]) == ("Edit", 65536)
    assert found["changed"] == [repr(b"OK HEY?!?!\n"), "None"]
    assert found["busy"] == "ERR busy\n"


def test_the_commands_that_the_page_shows(site: Path) -> None:
    shown = re.findall(r"^\$ rascal (.+)$", PAGE, re.MULTILINE)
    assert shown == ["protocols parrot", "kinds shout"]
    main = "from rascal.cli import main; main()"
    protocol, kind = (run(site, "-c", main, *words.split()) for words in shown)
    assert "busy" in protocol and "shout" in protocol
    assert "times" in kind and "leaned on the wrong key" in kind


class Server(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            word, _, text = line.rstrip(b"\n").partition(b" ")
            self.wfile.write(b"OK %s\n" % (text if word == b"ECHO" else b"12:00"))


@contextlib.contextmanager
def parrot() -> Iterator[int]:
    """A server that speaks it."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.integration
def test_a_client_sees_what_the_page_shows(site: Path, tmp_path: Path) -> None:
    (ini,) = blocks("ini")
    session = re.search(r"^\$ printf '(.+)' \| nc .+\n((?:[^`\n]+\n)+)", PAGE, re.MULTILINE)
    assert session is not None
    typed, seen = session[1].replace(r"\n", "\n"), session[2].splitlines(keepends=True)
    assert seen[-1] == "ERR busy\n"
    listen = free_port()
    with parrot() as upstream, Children(tmp_path) as children:
        ini = ini.replace("127.0.0.1:7070", f"127.0.0.1:{listen}")
        ini = ini.replace("127.0.0.1:7071", f"127.0.0.1:{upstream}")
        (tmp_path / "proxies.ini").write_text(f"[rascal]\ncontrol = off\n{ini}")
        child = children.start(
            "rascal-proxy",
            [*twistd(), "-n", "--pidfile=", "rascal-proxy", "--config", "proxies.ini"],
            ready=listening(("127.0.0.1", listen)),
            environment={"PYTHONPATH": os.pathsep.join(map(str, (site, ROOT)))},
        )
        with socket.create_connection(("127.0.0.1", listen), 30) as client:
            client.sendall(typed.encode())
            with client.makefile("r", encoding="utf-8") as replies:
                assert [replies.readline() for _ in seen] == seen
                client.sendall(b"TIME\n")  # once was enough
                assert replies.readline() == "OK 12:00\n"
        assert "Traceback" not in child.text, child.text
