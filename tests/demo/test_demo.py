"""The demo runs to its end and every failure is seen; its stand-ins do what clients expect."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rascal.demo import servers
from rascal.demo.__main__ import parser
from rascal.demo.children import ChildError, Children, free_port
from rascal.demo.node import Counters
from rascal.demo.report import Report, attempt
from rascal.demo.show import Screen
from rascal.demo.steps import STEPS, eventually

STAND_INS = (
    "import sys; from rascal.demo import servers; from rascal.demo.__main__ import main; "
    "find = servers.find; "
    "servers.find = lambda name: find(name) if name.startswith(('redis', 'valkey')) else None; "
    "sys.exit(main(sys.argv[1:]))"
)


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    with Children(tmp_path) as made:
        yield made


def run(*words: str, code: str | None = None) -> subprocess.CompletedProcess[str]:
    start = [sys.executable, "-c", code] if code else [sys.executable, "-m", "rascal.demo"]
    return subprocess.run([*start, *words], capture_output=True, text=True, timeout=120)


@pytest.mark.integration
def test_all_failures_are_seen() -> None:
    done = run("--quick")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(STEPS)} of {len(STEPS)} failures went as they should" in done.stdout
    assert "pymysql.err.OperationalError: (1213, 'Deadlock found" in done.stdout
    assert "pymysql.err.OperationalError: (2013, 'Lost connection" in done.stdout
    assert "\033" not in done.stdout
    assert done.stderr == ""


@pytest.mark.integration
def test_all_failures_are_seen_with_stand_ins() -> None:
    done = run("--quick", code=STAND_INS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mysql-mimic on SQLite" in done.stdout
    assert "a small memcached" in done.stdout


@pytest.mark.integration
def test_the_same_seed_turns_the_same_charges_away() -> None:
    found = []
    for _ in range(2):
        done = run("--only", "5")
        assert done.returncode == 0, done.stdout + done.stderr
        found += re.findall(r"\d+ × 503", done.stdout)
    assert len(found) == 2
    assert found[0] == found[1]


@pytest.mark.integration
def test_an_interrupt_stops_everything(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "rascal.demo", "--only", "3", "--keep"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
    )
    assert demo.stdout is not None
    text = ""
    try:
        for line in demo.stdout:
            text += line
            if "Ctrl-C" in line:
                break
        ports = [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", text)]
        assert len(ports) == 9, text
        assert all(open_to(port) for port in ports)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(30) == 130
    finally:
        demo.kill()
        demo.wait()
        demo.stdout.close()
    assert not any(open_to(port) for port in ports)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.integration
@pytest.mark.skipif(sys.platform != "linux", reason="needs the kernel's help")
def test_nothing_outlives_a_killed_demo(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "rascal.demo", "--only", "3", "--keep"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
    )
    assert demo.stdout is not None
    text = ""
    for line in demo.stdout:
        text += line
        if "Ctrl-C" in line:
            break
    demo.kill()
    demo.wait()
    demo.stdout.close()
    ports = [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", text)]
    assert ports, text
    assert eventually(lambda: not any(open_to(port) for port in ports), 10)


def open_to(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def test_the_small_memcached_serves_a_stock_client(
    children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    client_module = pytest.importorskip("pymemcache.client.base")
    monkeypatch.setattr(servers, "find", lambda name: None)
    server = servers.memcached(children)
    assert server.stand_in
    client = client_module.Client(server.address, timeout=5, default_noreply=False)
    assert client.set("a", b"1")
    assert client.add("a", b"2") is False
    assert client.replace("b", b"2") is False
    assert client.append("a", b"0")
    assert client.prepend("a", b"2")
    assert client.get_many(["a", "b"]) == {"a": b"210"}
    assert client.incr("a", 5) == 215
    assert client.decr("a", 1000) == 0
    assert client.incr("b", 1) is None
    value, unique = client.gets("a")
    assert value == b"0"
    assert client.cas("a", b"1", unique) is True
    assert client.cas("a", b"2", unique) is False
    assert client.cas("b", b"2", unique) is None
    assert client.touch("a", 100) is True
    assert client.set("gone", b"x", expire=-1)
    assert client.get("gone") is None
    assert client.delete("a") is True
    assert client.delete("a") is False
    client.set("quiet", b"\r\nEND\r\n", noreply=True)
    assert client.get("quiet") == b"\r\nEND\r\n"
    with pytest.raises(client_module.MemcacheClientError, match="non-numeric"):
        client.incr("quiet", 1)
    with pytest.raises(client_module.MemcacheServerError, match="too large"):
        client.set("big", bytes(servers_item_bytes() + 1))
    assert client.flush_all()
    assert client.get("quiet") is None
    assert client.version().startswith(b"1.6")
    client.close()


def servers_item_bytes() -> int:
    from rascal.demo.memcached import ITEM_BYTES

    return ITEM_BYTES


def test_the_mysql_stand_in_has_real_transactions(
    children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mysql_mimic")
    pymysql = pytest.importorskip("pymysql")
    monkeypatch.setattr(servers, "find", lambda name: None)
    server = servers.mysql(children)
    assert server.stand_in

    def connect(password: str = servers.PASSWORD) -> Any:
        host, port = server.address
        return pymysql.connect(
            host=host, port=port, user=servers.USER, password=password, autocommit=True
        )

    with pytest.raises(pymysql.err.OperationalError, match="1045"):
        connect("wrong")
    with connect() as one, connect() as other, one.cursor() as mine, other.cursor() as theirs:
        mine.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        mine.execute("BEGIN")
        mine.execute("INSERT INTO t VALUES (1)")
        assert one.server_status & 1
        theirs.execute("SELECT COUNT(*) FROM t")
        assert theirs.fetchone() == (0,)
        mine.execute("ROLLBACK")
        assert not one.server_status & 1
        mine.execute("START TRANSACTION")
        mine.execute("INSERT INTO t VALUES (2)")
        mine.execute("COMMIT")
        theirs.execute("SELECT id FROM t")
        assert theirs.fetchall() == ((2,),)
        with pytest.raises(pymysql.err.MySQLError):
            mine.execute("SELEKT")


def test_a_child_that_does_not_start_says_why(children: Children) -> None:
    with pytest.raises(ChildError, match=r"ended with 3; it said:\n  no luck"):
        children.start(
            "bad",
            [sys.executable, "-c", "import sys; print('no luck'); sys.exit(3)"],
            ready=lambda: False,
        )
    with pytest.raises(ChildError, match="does not start"):
        children.start("worse", ["/no/such/program"])


def test_a_child_that_ignores_its_end_is_killed(children: Children) -> None:
    code = "import signal, sys; signal.signal(15, signal.SIG_IGN); print('up', flush=True); "
    child = children.start("stubborn", [sys.executable, "-c", code + "signal.pause()"])
    child.wait_ready(lambda: "up" in child.text)
    began = time.monotonic()
    assert child.stop(0.2) == -signal.SIGKILL
    assert time.monotonic() - began < 5


def test_a_report_is_good_only_if_every_check_is() -> None:
    report = Report("Title", "What it is.")
    assert not report.good
    report.check("this", True)
    assert report.good
    report.check("that", False)
    assert not report.good


def test_an_attempt_keeps_what_was_raised() -> None:
    seen = attempt(lambda: 1 // 0)
    assert isinstance(seen.error, ZeroDivisionError)
    assert str(seen).startswith("builtins.ZeroDivisionError: ")
    assert attempt(lambda: 7).value == 7


def test_counters_add_up_or_not() -> None:
    good = Counters(matched=3, fired=1, reserved=1, waiting=0, skipped={"probability": 1})
    assert good.add_up
    assert str(good) == "matched 3, fired 1, skipped 1 (probability)"
    assert not Counters(matched=3, fired=1, reserved=0, waiting=0, skipped={}).add_up


def test_colours_only_where_they_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    seen = [Terminal(), io.StringIO()]
    report = Report("Title", "What it is.", seconds=1)
    report.check("this", False)
    for stream in seen:
        Screen(stream).report(1, report)
    assert "\033[31;1mthis\033[0m" in seen[0].getvalue()
    assert "\033" not in seen[1].getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    Screen(plain).report(1, report)
    assert plain.getvalue() == seen[1].getvalue()


def test_a_poor_terminal_gets_plain_characters() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Screen(stream).title("Title")
    Screen(stream).item("it saw", "3 × 503 … größer")
    text = raw.getvalue().decode()
    assert "Title ---" in text
    assert "3 x 503 ... gr??er" in text


def test_long_lines_are_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    stream = io.StringIO()
    Screen(stream).item("it saw", "word " * 40)
    assert max(map(len, stream.getvalue().splitlines())) <= 60


def test_a_step_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--only", str(len(STEPS) + 1)])
    assert "--only" in capsys.readouterr().err


def test_free_ports_are_free() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", free_port()))
