"""Every command against a real service in front of a real Redis: what it does and says."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from control.live import free_port, service
from served import talk  # type: ignore[attr-defined]

from rascal.cli.app import COMMANDS, rascal

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not shutil.which("redis-server"), reason="there is no redis-server"),
]

LOCAL = {"check", "kinds", "protocols", "recipes", "demo", "token", "completion", "import"}
LOCAL |= {"load", "agents", "runs", "experiment", "wrap"}
"""Commands that ask no service, and have tests of their own."""

SAME = (
    (re.compile(r"\b\d\d:\d\d:\d\d(\.\d+)?\b"), "CLOCK"),
    (re.compile(r"\b\d+(\.\d+)?(ms|s)\b(?!\))"), "TIME"),
    (re.compile(r"[\w.-]+@[\w.-]+"), "SOMEBODY"),
)


def same(text: str) -> str:
    for pattern, word in SAME:
        text = pattern.sub(word, text)
    return "\n".join(re.sub(r" +", " ", line).strip() for line in text.splitlines())


# ---- what is said

GOLDEN: list[tuple[str, str]] = [
    (
        "proxies",
        """
        PROXY PROTOCOL LISTENS UPSTREAM OPEN EXCHANGES FAULTS
        cache redis 127.0.0.1:CACHE 127.0.0.1:REDIS 0 0 0
        db mysql 127.0.0.1:DB 127.0.0.1:NOTHING 0 0 0
        """,
    ),
    ("faults", "there is no fault; add one: rascal add PROXY delay 2s"),
    (
        "add db error deadlock match statement=UPDATE count 2",
        "db/error error(deadlock) match statement=UPDATE count 2 armed",
    ),
    (
        "add cache 20% delay(2s) --match command=GET --for 20s --name slow --disabled",
        "cache/slow 20% delay(2s) match command=GET for TIME enabled no name slow disabled",
    ),
    (
        "add cache roulette = 10% delay 1s, 5% error oom",
        "cache/roulette roulette 10% delay(1s), 5% error(oom) armed",
    ),
    (
        "script cache pass 2, error oom --match command=SET",
        "cache/script script pass 2, error(oom) match command=SET armed",
    ),
    (
        "faults",
        """
        FAULT ARMED IN WORDS MATCHED FIRED SKIPPED
        cache/slow no 20% delay(2s) match command=GET for TIME enabled no name slow 0 0
        cache/roulette yes roulette 10% delay(1s), 5% error(oom) 0 0
        cache/script yes script pass 2, error(oom) match command=SET 0 0
        db/error yes error(deadlock) match statement=UPDATE count 2 0 0
        """,
    ),
    (
        "change cache/slow delay=3s --count 3 --without for",
        "cache/slow 20% delay(3s) match command=GET count 3 enabled no name slow disabled",
    ),
    ("enable cache slow", "cache/slow 20% delay(3s) match command=GET count 3 name slow armed"),
    (
        "disable cache/slow db/error",
        """
        cache/slow 20% delay(3s) match command=GET count 3 enabled no name slow disabled
        db/error error(deadlock) match statement=UPDATE count 2 enabled no disabled
        """,
    ),
    ("restart db/error", "db/error error(deadlock) match statement=UPDATE count 2 armed"),
    (
        "change cache slow hang match key=1",
        "cache/slow hang match key=1 enabled no name slow disabled",
    ),
    (
        "recipe overloaded-database on db for 60s",
        "db/overloaded-database 3 faults armed, lifts itself in 1m",
    ),
    (
        "remove cache --all",
        """
        cache/slow hang match key=1 enabled no name slow removed: matched 0, fired 0
        cache/roulette roulette 10% delay(1s), 5% error(oom) removed: matched 0, fired 0
        cache/script script pass 2, error(oom) match command=SET removed: matched 0, fired 0
        """,
    ),
    (
        "status",
        """
        http://127.0.0.1:CONTROL ready
        proxies 2 proxies, 0 open connections
        faults 4 faults, 4 armed
        panic lever not pulled
        seed 42
        """,
    ),
    ("seed 7", "7"),
    ("seed", "7"),
    (
        "counters",
        """
        PROXY CONNECTIONS OPEN EXCHANGES MATCHED FIRED NOT THE PROTOCOL
        cache 0 0 0 0 0 0
        db 0 0 0 0 0 0
        """,
    ),
    (
        "panic --by me",
        "everything is stopped: 4 faults removed; none can be added until: rascal release",
    ),
    ("release", "released: faults can be added again (the lever was pulled by me at CLOCK)"),
    ("release", "the lever was not pulled"),
    ("connections", "nobody is connected"),
    ("kill cache --all", "cache 0 connections reset"),
    ("proxy disable db", "db mysql does not listen, upstream 127.0.0.1:NOTHING"),
    ("proxy enable db", "db mysql listens on 127.0.0.1:DB, upstream 127.0.0.1:NOTHING"),
    (
        "proxy change db upstream=127.0.0.1:1 connect_timeout=2s",
        "db mysql listens on 127.0.0.1:DB, upstream 127.0.0.1:1",
    ),
    (
        "proxy show db",
        "db mysql listens on 127.0.0.1:DB, upstream 127.0.0.1:1\nconnect_timeout = TIME",
    ),
    (
        "proxy change db upstream=127.0.0.1:NOTHING connect_timeout=",
        "db mysql listens on 127.0.0.1:DB, upstream 127.0.0.1:NOTHING",
    ),
    ("reload", "reload: no change"),
]


def words_of(line: str) -> list[str]:
    """As a shell would cut it; parentheses need no quotes here."""
    return line.split()


def test_what_the_commands_say(clean: Any) -> None:
    for line, expected in GOLDEN:
        done = clean.run(*words_of(line.replace("NOTHING", str(clean.ports["nothing"]))))
        said = same(clean.shown(done.stdout + done.stderr))
        assert (line, said) == (line, same("\n".join(expected.strip().splitlines())))
        assert done.exit_code == 0


def test_every_command_is_driven() -> None:
    text = Path(__file__).read_text()
    for name in set(COMMANDS) - LOCAL:
        assert re.search(rf'"{name}[ "]', text), name


# ---- what is done


def test_a_fault_that_was_added_strikes_and_is_proven(clean: Any) -> None:
    made = clean.json("add", "cache", "error", "oom", "match", "command=SET", "count", "1")
    assert made["text"] == "error(oom) match command=SET count 1"
    assert clean.talk("SET a 1", "SET a 2")[0].startswith("-OOM")
    one = clean.json("faults", "cache")["cache"]["faults"]["error"]
    assert (one["matched"], one["fired"], one["armed"]) == (1, 1, False)
    row = clean.run("faults", "cache").stdout.splitlines()[1].split()
    assert row[:2] == ["cache/error", "no"] and row[-2:] == ["1", "1"]
    assert clean.json("remove", "cache/error")["cache/error"]["fired"] == 1
    assert clean.json("faults") == {
        name: {"faults": {}, "scripts": {}, "recipes": {}} for name in ("cache", "db")
    }


def test_flags_are_the_same_clauses(clean: Any) -> None:
    flags = ["--match", "key=a and command=GET", "--count", "2", "--every", "3", "--skip", "1"]
    flags += ["--for", "20s", "--at", "reply", "--on-remove", "close", "--probability", "20%"]
    made = clean.json("add", "cache", "delay", "2s", "--name", "d", *flags)
    clean.run("remove", "cache/d")
    words = "20% delay(2s) match key=a and command=GET at reply skip 1 every 3 count 2 for 20s "
    words += "on_remove close name d"
    again = clean.json("add", "cache", *words.split())
    left = [one.pop("expires_in") for one in (made, again)]  # the clock goes on between
    assert again == made
    assert all(15 < one <= 20 for one in left)
    later = clean.json("add", "cache", "hang", "--enable-in", "60s", "--lease", "run-7")
    assert later["lease"] == "run-7" and 50 < later["enables_in"] <= 60
    assert (
        "armed in 1m"
        in clean.run("disable", "cache/d").stdout
        + clean.run("change", "cache/hang", "--enable-in", "1m").stdout
    )


def test_what_quotes_keep_together_stays_together(clean: Any) -> None:
    made = clean.json("add", "db", "delay", "2s", "match", "sql~for update")
    assert made["structure"]["match"] == [{"field": "sql", "op": "~", "value": "for update"}]
    whole = clean.json("add", "db", 'delay 2s match sql~"for update"')
    assert whole["structure"]["match"] == made["structure"]["match"]


def test_a_script_is_waited_for_until_all_was_used(clean: Any) -> None:
    out: list[Any] = []

    def wait() -> None:
        words = ["script", "cache", "pass", "2,", "error", "oom,", "error", "busy", "count", "2"]
        out.append(clean.run(*words, "--match", "command=SET", "--wait", "--timeout", "20s"))

    thread = threading.Thread(target=wait)
    thread.start()
    clean.client.wait_until(lambda: clean.client.faults("cache", "scripts"), seconds=10)
    clean.talk("SET a 1", "SET a 2", "SET a 3", "SET a 4", "SET a 5")
    thread.join(30)
    done = out[0]
    assert done.exit_code == 0, done.output
    assert same(done.stdout) == (
        "cache/script 5 of 5 steps used in TIME: pass 2 ✓, error(oom) ✓, error(busy) count 2 ✓"
    )
    assert clean.client.faults("cache", "scripts") == {}


def test_a_script_that_is_not_used_ends_with_1(clean: Any) -> None:
    done = clean.run("script", "cache", "pass,", "error", "oom", "--wait", "--timeout", "300ms")
    assert done.exit_code == 1
    assert same(done.stdout) == (
        "cache/script 0 of 2 steps used in TIME: pass ✗ unused, error(oom) ✗ unused"
    )
    found = clean.json(
        "script", "cache", "pass", "--name", "s", "--wait", "--timeout", "0s", status=1
    )
    assert found["unused"] == [1]
    assert clean.client.faults("cache", "scripts") == {}


def test_recipes_are_lifted_as_a_whole(clean: Any) -> None:
    made = clean.json("recipe", "cold-cache", "on", "cache")
    assert made["form"] == "recipe"
    (part,) = made["parts"]
    done = clean.run("remove", f"cache/{part}")
    assert done.exit_code == 2
    assert f"'{part}' belongs to the recipe 'cold-cache'" in done.stderr
    assert clean.run("disable", "cache/cold-cache").exit_code == 0
    assert not clean.client.get("cache", part)["armed"]
    assert clean.run("remove", "cache/cold-cache").exit_code == 0
    assert clean.client.faults("cache") == {}


def test_connections_are_listed_and_killed(clean: Any) -> None:
    clean.client.add("cache", "hang match command=GET")
    with clean.connect() as one, clean.connect() as other:
        one.sendall(b"GET a\r\n")
        other.sendall(b"PING\r\n")
        assert other.recv(100) == b"+PONG\r\n"
        clean.client.wait_until(lambda: clean.client.get("cache", "hang")["waiting"] == 1)
        found = clean.json("connections", "cache")["cache"]
        held = [number for number, facts in found.items() if facts["held_by"] == ["hang"]]
        assert len(found) == 2 and len(held) == 1
        lines = clean.run("connections").stdout.splitlines()
        assert lines[0].split()[:3] == ["CONNECTION", "CLIENT", "AGE"]
        assert any(line.startswith(f"cache/{held[0]} ") and "hang" in line for line in lines)
        assert "WAITING" in clean.run("faults", "cache").stdout
        done = clean.run("kill", f"cache/{held[0]}")
        assert (done.exit_code, done.stdout) == (0, "cache  1 connection reset\n")
        with pytest.raises(ConnectionResetError):
            one.recv(100)
        number = next(each for each in found if each != held[0])
        assert list(clean.json("kill", "cache", number, "--close")) == [number]
        assert other.recv(100) == b""
    gone = clean.run("kill", "cache", "999999")
    assert gone.exit_code == 2 and "there is no connection '999999'" in gone.stderr


def test_a_proxy_comes_and_goes(clean: Any) -> None:
    redis = clean.ports["redis"]
    made = clean.json("proxy", "add", "jobs", "redis", "127.0.0.1:0", f"127.0.0.1:{redis}")
    port = int(made["addresses"][0].rpartition(":")[2])
    assert talk(port, "PING") == ["+PONG"]
    assert clean.json("proxy", "disable", "jobs")["enabled"] is False
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 2)
    clean.client.add("jobs", "hang")
    assert clean.run("proxy", "remove", "jobs").stdout == (
        "jobs  removed, with 1 fault and 0 connections\n"
    )
    assert "jobs" not in clean.json("proxies")
    taken = clean.run("proxy", "add", "cache", "redis", "127.0.0.1:0", "127.0.0.1:1")
    assert taken.exit_code == 4 and "'cache' is the name of another proxy" in taken.stderr
    assert clean.json("proxy", "show", "cache")["protocol"] == "redis"


def test_an_export_is_a_file_that_is_well(clean: Any, tmp_path: Path) -> None:
    clean.run("add", "cache", "20% delay(normal(80ms, 20ms)) match key^=session: name slow")
    file = tmp_path / "out.ini"
    assert clean.run("export", "-o", str(file)).stdout == f"{file}: written\n"
    assert file.read_text() == clean.run("export").stdout
    assert "20% delay(normal(80ms, 20ms)) match key^=session: name slow" in file.read_text()
    assert clean.run("check", str(file)).exit_code == 0
    assert clean.json("export")["proxies"]["cache"]["faults"]["slow"]["enabled"]
    assert clean.run("export", "-o", str(tmp_path / "no" / "x")).exit_code == 2


def test_a_reload_that_cannot_be_had_changes_nothing(clean: Any) -> None:
    text = clean.file.read_text()
    try:
        clean.file.write_text(text + "colour = red\n")
        done = clean.run("reload")
        assert done.exit_code == 2
        line = text.count("\n") + 1
        assert f"proxies.ini:{line}:1: [proxy:db] has no option 'colour'" in done.stderr
    finally:
        clean.file.write_text(text)
    assert clean.json("reload")["summary"] == "no change"


def test_seeds_and_counters(clean: Any) -> None:
    assert clean.json("seed") == {"seed": 42}
    drawn = clean.json("seed", "--draw")["seed"]
    assert clean.json("seed") == {"seed": drawn}
    assert clean.run("seed", "x").exit_code == 2
    clean.talk("PING", "PING")
    assert clean.json("counters", "--reset")["cache"]["connections"] == 1
    assert clean.json("counters")["cache"]["connections"] == 0


def test_the_lever(clean: Any) -> None:
    clean.run("add", "cache", "hang")
    assert clean.json("panic", "--by", "me")["by"] == "me"
    refused = clean.run("add", "cache", "hang")
    assert refused.exit_code == 4
    assert "release" in refused.stderr
    assert "pulled by me" in clean.run("status").stdout
    assert clean.json("status")["panic"]["on"]
    assert not clean.json("release")["on"]


def test_tail_shows_what_happens_and_filters(clean: Any) -> None:
    clean.client.add("cache", "error(oom) match command=SET")
    command = clean.command("tail", "cache", "--command", "set", "--times", "2")
    with subprocess.Popen(
        command, env=clean.environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as tail:
        deadline = time.monotonic() + 20
        while tail.poll() is None and time.monotonic() < deadline:
            clean.talk("GET a", "SET a 1")
            time.sleep(0.1)
        out, err = tail.communicate(timeout=20)
    assert tail.returncode == 0, err
    lines = out.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert re.match(
            r"\d\d:\d\d:\d\d\.\d{3}  cache#\d+ +SET +[\d.]+ms  answered  by error  .*key=a", line
        ), line


def test_tail_begins_earlier_if_asked(clean: Any) -> None:
    clean.client.add("cache", "error(oom) match command=SET")
    clean.talk("SET a 1", "SET b 1")
    words = ["tail", "--proxy", "cache", "--last", "2", "--fault", "error", "--times", "2"]
    done = clean.run(*words, "--json", "--outcome", "answered", "--struck")
    assert done.exit_code == 0
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["fields"]["key"] for one in found] == ["a", "b"]
    assert {one["proxy"] for one in found} == {"cache"}


def test_watch_writes_lines_where_nobody_looks(clean: Any) -> None:
    clean.client.add("cache", "error(oom) match command=SET")
    clean.talk("SET a 1")
    done = clean.run("watch", "cache", "--times", "2", "--every", "10ms")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r"\d\d:\d\d:\d\d  cache  open \d  exchanges \d+  error 1 of 1", lines[0])
    found = [
        json.loads(one) for one in clean.run("watch", "--times", "1", "--json").stdout.splitlines()
    ]
    assert found[0]["proxies"]["cache"]["faults"]["error"]["fired"] == 1


# ---- what is wrong

BAD: list[tuple[str, int, str]] = [
    (
        "add db delay dealy=2s",
        2,
        """
        error: delay has no option 'dealy'; options: buffer, delay, fin. Did you mean 'delay'?
          delay dealy=2s
                ^^^^^
        """,
    ),
    (
        "add db delay 2",
        2,
        """
        error: '2' has no unit: write 2s or 2ms (units: us, ms, s, m, h, d)
          delay 2
                ^
        """,
    ),
    (
        "add db hang --match sqll~^UPDATE",
        2,
        """
        error: mysql has no match field 'sqll'; fields: client, command, …. Did you mean 'sql'?
          hang match sqll~^UPDATE
                     ^^^^
        """,
    ),
    ("add dbb hang", 2, "error: there is no proxy 'dbb'; proxies: cache, db. Did you mean 'db'?"),
    ("add db hnag", 2, "error: kind 'hnag' is not known; allowed: …\n  hnag\n  ^^^^"),
    (
        "add db error deadlok",
        2,
        "error: mysql has no error 'deadlok'; …\n  error deadlok\n        ^^^^^^^",
    ),
    ("remove db/nothing", 2, "error: db has no fault 'nothing'; faults: none"),
    ("remove db", 2, "error: name the fault: PROXY/NAME or PROXY NAME"),
    ("remove /x", 2, "error: name the fault: PROXY/NAME or PROXY NAME"),
    ("remove dbb/x", 2, "error: there is no proxy 'dbb'; …"),
    ("change db/nothing delay 2s", 2, "error: db has no fault 'nothing'; faults: none"),
    ("kill db", 2, "error: say which: numbers (rascal connections db), or --all"),
    (
        "recipe cold-cash on cache",
        2,
        "error: recipe 'cold-cash' is not known; …\n  recipe cold-cash\n         ^^^^^^^^^",
    ),
    ("recipe cold-cache", 2, "error: say where: 'on' and the name of a proxy; proxies: cache, db"),
    ("recipe cold-cache on db", 2, "error: recipe 'cold-cache' is for …"),
    (
        "script cache pass 2, eror oom",
        2,
        "error: kind 'eror' is not known; …\n  pass 2, eror oom\n          ^^^^",
    ),
    ("proxy add x", 2, "Usage: …"),
    (
        "proxy add x redis 127.0.0.1 127.0.0.1:1",
        2,
        "error: '127.0.0.1' …\n  127.0.0.1\n  ^^^^^^^^^",
    ),
    ("proxy add x reddis 127.0.0.1:0 127.0.0.1:1", 2, "error: …'reddis'…Did you mean 'redis'?"),
    (
        "proxy change db upstream",
        2,
        "error: 'upstream' is no NAME=VALUE, such as connect_timeout=2s",
    ),
    ("proxy change db upstrem=127.0.0.1:1", 2, "error: …'upstrem'…Did you mean 'upstream'?"),
    ("seed -- -1", 2, "error: a seed is a whole number, or --draw; found '-1'"),
    ("watch nothing --times 1", 2, "error: there is no proxy 'nothing'; …"),
    ("watch --every 2", 2, "Usage: …'2' has no unit: …"),
    ("tail nothing", 2, "error: there is no proxy 'nothing'; …"),
    ("faults nothing", 2, "error: there is no proxy 'nothing'; …"),
    ("faultz", 2, "Usage: …there is no command 'faultz'; …Did you mean 'faults'?"),
    ("--url ftp://x status", 2, "error: 'ftp://x' is no URL of a service; …"),
    ("--url http://127.0.0.1:1 status", 3, "error: http://127.0.0.1:1: connection refused\n…"),
    ("status --url unix:/nowhere/x", 3, "error: unix:/nowhere/x: no such file or directory\n…"),
]


@pytest.mark.parametrize(("line", "status", "expected"), BAD, ids=lambda one: str(one)[:40])
def test_bad_input_gets_one_clear_line(place: Any, line: str, status: int, expected: str) -> None:
    before = place.client.state()
    done = place.run(*words_of(line))
    assert done.exit_code == status, done.output
    assert done.stdout == ""
    text = textwrap.dedent(expected).strip()
    pattern = ".*".join(re.escape(part) for part in text.split("…"))
    assert re.fullmatch(pattern, done.stderr.strip(), re.DOTALL), done.stderr
    assert place.client.state() == before
    assert "Traceback" not in done.output


# ---- tokens


def test_tokens_come_from_the_environment_or_a_file(tmp_path: Path) -> None:
    port = free_port()
    file, held = tmp_path / "proxies.ini", tmp_path / "token"
    secret = "s3cret-of-ours-0123456789"
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    file.write_text(
        f"[rascal]\ncontrol = 127.0.0.1:{port}\ntokens =\n    viewer sha256:{hashed} eve\n"
    )
    held.write_text(secret + "\n")
    url = f"http://127.0.0.1:{port}"

    def run(*words: str, **environ: str) -> Any:
        return CliRunner(env={"RASCAL_URL": url, **environ}).invoke(rascal, list(words))

    with service(file, url):
        assert run("proxies", RASCAL_TOKEN=secret).exit_code == 0
        assert run("proxies", RASCAL_TOKEN_FILE=str(held)).exit_code == 0
        role = run("panic", RASCAL_TOKEN_FILE=str(held))
        assert role.exit_code == 4 and "needs the role operator" in role.stderr
        nobody = run("proxies")
        assert nobody.exit_code == 4 and "a token is needed" in nobody.stderr
        wrong = run("proxies", RASCAL_TOKEN="wrong-" * 4)
        assert wrong.exit_code == 4 and "not known" in wrong.stderr
        missing = run("proxies", RASCAL_TOKEN_FILE=str(tmp_path / "none"))
        assert missing.exit_code == 2 and "cannot be read" in missing.stderr
        assert secret not in nobody.output + role.output + wrong.output
    assert "--token" not in run("proxies", "--help").output


def test_a_token_is_made_and_hashed() -> None:
    done = CliRunner().invoke(rascal, ["token", "operator", "ci", "--json"])
    found = json.loads(done.stdout)
    digest = hashlib.sha256(found["token"].encode()).hexdigest()
    assert found["line"] == f"operator sha256:{digest} ci"
    lines = CliRunner().invoke(rascal, ["token", "viewer"]).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["token", "line"]
    given = CliRunner().invoke(rascal, ["token", "admin", "--hash"], input="0123456789abcdef\n")
    assert given.stdout == f"admin sha256:{hashlib.sha256(b'0123456789abcdef').hexdigest()}\n"
    short = CliRunner().invoke(rascal, ["token", "admin", "--hash"], input="abc\n")
    assert short.exit_code == 2 and "at least 16" in short.stderr
    assert CliRunner().invoke(rascal, ["token", "king"]).exit_code == 2
    assert os.environ.get("RASCAL_TOKEN") is None


def test_the_fingerprint_of_the_shared_token(tmp_path: Path) -> None:
    """The line is what a run looks for on its target; nothing of the token is in it."""
    from rascal.load.targets import PROOF, fingerprint

    secret = "kettle-and-whistle"
    (tmp_path / "token").write_text(f"{secret}\n")
    given = CliRunner().invoke(
        rascal, ["token", "fingerprint", "--token-file", str(tmp_path / "token")]
    )
    assert given.stdout.splitlines() == [f"file   {PROOF}", f"line   {fingerprint(secret)}"]
    told = CliRunner().invoke(
        rascal, ["token", "fingerprint", "--json"], env={"RASCAL_TOKEN": secret}
    )
    assert json.loads(told.stdout) == {"file": PROOF, "line": fingerprint(secret)}
    none = CliRunner().invoke(rascal, ["token", "fingerprint"])
    assert none.exit_code == 2 and "--token-file FILE" in none.stderr
    short = CliRunner().invoke(rascal, ["token", "fingerprint"], env={"RASCAL_TOKEN": "short"})
    assert short.exit_code == 2 and "at least 16" in short.stderr


# ---- what programs read


def schema_of(method: str, path: str) -> Any:
    """The schema of the answer that the OpenAPI document promises."""
    import jsonschema_rs

    from rascal.control._openapi import described

    document = described()
    responses = document["paths"][path][method]["responses"]
    said = next(responses[status] for status in ("200", "201") if status in responses)
    schema = said["content"]["application/json"]["schema"]
    return jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})


FAULT = ("get", "/api/v1/proxies/{proxy}/faults/{name}")
SCRIPT = ("get", "/api/v1/proxies/{proxy}/scripts/{name}")
RECIPE = ("get", "/api/v1/proxies/{proxy}/recipes/{name}")
PROXY = ("get", "/api/v1/proxies/{proxy}")

PROMISED: list[tuple[str, str, str, str]] = [
    ("proxies", *("get", "/api/v1/proxies"), ""),
    ("add cache error oom match command=SET", *FAULT, ""),
    ("change cache/error --count 2", *FAULT, ""),
    ("disable cache/error", *FAULT, "cache/error"),
    ("enable cache/error", *FAULT, "cache/error"),
    ("restart cache/error", *FAULT, "cache/error"),
    ("script cache pass, error oom --match command=SET --name s", *SCRIPT, ""),
    ("recipe cold-cache on cache for 60s", *RECIPE, ""),
    ("faults cache", *("get", "/api/v1/proxies/{proxy}/faults"), "cache faults"),
    ("faults cache", *("get", "/api/v1/proxies/{proxy}/scripts"), "cache scripts"),
    ("faults cache", *("get", "/api/v1/proxies/{proxy}/recipes"), "cache recipes"),
    ("remove cache/error", *FAULT, "cache/error"),
    ("connections cache", *("get", "/api/v1/proxies/{proxy}/connections"), "cache"),
    ("counters", *("get", "/api/v1/counters"), ""),
    ("export", *("get", "/api/v1/state"), ""),
    ("seed", *("get", "/api/v1/seed"), ""),
    ("reload", *("post", "/api/v1/reload"), ""),
    ("panic --by me", *("get", "/api/v1/panic"), ""),
    ("release", *("get", "/api/v1/panic"), ""),
    ("proxy show cache", *PROXY, ""),
    ("proxy disable db", *PROXY, ""),
    ("proxy enable db", *PROXY, ""),
    ("proxy add x tcp 127.0.0.1:0 127.0.0.1:1", *PROXY, ""),
    ("proxy change x upstream=127.0.0.1:2", *PROXY, ""),
    ("proxy remove x", *PROXY, ""),
]


def test_json_is_what_the_document_promises(clean: Any) -> None:
    pytest.importorskip("jsonschema_rs")
    with clean.connect() as sock:
        sock.sendall(b"PING\r\n")
        assert sock.recv(100) == b"+PONG\r\n"
        for line, method, path, part in PROMISED:
            found = clean.json(*words_of(line))
            for name in part.split():
                found = found[name]
            wrong = [str(error.message) for error in schema_of(method, path).iter_errors(found)]
            assert (line, wrong) == (line, [])
