"""Vaurien's files: what they become, that it loads, and that it does the same to a client.

The examples are those of its documentation (index, examples, behaviors) and of its own tests,
command lines written as files.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rascal.cli.app import rascal
from rascal.config import load
from rascal.config.vaurien import Imported, import_vaurien
from rascal.config.vaurien_behaviors import BEHAVIORS
from rascal.errors import ConfigErrors
from rascal.testing import Proxy, proxy
from rascal.wire import protocols

Import = Callable[..., Imported]


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    """Writes the files, imports them, and reads what comes of it."""

    def make(*texts: str, **environ: str) -> Imported:
        paths = []
        for number, text in enumerate(texts, 1):
            path = tmp_path / f"vaurien-{number}.ini"
            path.write_text(text)
            paths.append(str(path))
        found = import_vaurien(paths, environ)
        made = tmp_path / "proxies.ini"
        made.write_text(found.text)
        load(str(made), environ)
        return found

    return make


def body(found: Imported) -> list[str]:
    """The lines below the comment."""
    return found.text.split("\n\n", 1)[1].splitlines()


def findings(make: Import, *texts: str, **environ: str) -> list[str]:
    """`LINE: message` of all that is wrong."""
    with pytest.raises(ConfigErrors) as error:
        make(*texts, **environ)
    return [f"{one.line}: {one.message}" for one in error.value.findings]


# ---- the documentation's examples


def test_the_first_example(imported: Import) -> None:
    found = imported(
        """
[vaurien]
backend = google.com:80
proxy = localhost:8000
protocol = http
behavior = 20:delay

[behavior:delay]
sleep = 2
"""
    )
    assert body(found) == [
        "[proxy:http]",
        "protocol = http",
        "listen = localhost:8000",
        "upstream = google.com:80",
        "host = google.com",
        "faults =",
        "    20% delay(2s)",
    ]


def test_the_first_example_in_its_old_words(imported: Import) -> None:
    found = imported(
        """
[vaurien]
distant = google.com:80
local = localhost:8000
behavior = 20:delay

[handler:delay]
sleep = 2
"""
    )
    assert "listen = localhost:8000" in body(found)
    assert "upstream = google.com:80" in body(found)
    assert body(found)[-1] == "    20% delay(2s) direction to_upstream"


def test_http_errors_are_one_of_four(imported: Import) -> None:
    found = imported(
        """
[vaurien]
proxy = 0.0.0.0:8888
backend = blog.ziade.org:80
protocol = http
behavior = 20:error
"""
    )
    assert body(found)[-5:] == [
        "roulette =",
        "    5% error(500, close=yes)",
        "    5% error(501, close=yes)",
        "    5% error(502, close=yes)",
        "    5% error(503, close=yes)",
    ]


def test_errors_and_delays_make_a_roulette(imported: Import) -> None:
    found = imported(
        """
[vaurien]
proxy = 0.0.0.0:3307
backend = 0.0.0.0:3306
protocol = mysql
stay_connected = true
behavior = 5:error,10:delay
"""
    )
    assert body(found)[-3:] == [
        "roulette =",
        "    5% error(1105) at reply",
        "    10% delay(1s)",
    ]
    assert "upstream = 127.0.0.1:3306" in body(found)
    told = [note.text for note in found.notes]
    assert "stay_connected: connections live as long as their two ends want" in told
    assert "0.0.0.0 is nowhere to connect to: 127.0.0.1" in told
    assert [note.line for note in found.notes] == [6, 4, 7, 7]


def test_smtp_until_its_messages_are_known_and_then(
    imported: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
[vaurien]
proxy = 0.0.0.0:6565
backend = mail.example.com:465
protocol = smtp
behavior = 100:error

[behavior:error]
warmup = 12
"""
    known = {name: one for name, one in protocols().items() if name != "smtp"}
    with monkeypatch.context() as patch:
        patch.setattr("rascal.wire.protocols", lambda: known)
        found = imported(text)
        assert "protocol = tcp" in body(found)
        assert any("smtp: its bytes are relayed (tcp)" in note.text for note in found.notes)
        assert body(found)[-1] == "    corrupt(100%) direction to_client skip 12"
    if "smtp" in protocols():
        found = imported(text)
        assert "protocol = smtp" in body(found)
        assert body(found)[-1] == "    error(451) at reply skip 12"


def test_its_own_test_file_and_its_defaults(imported: Import) -> None:
    found = imported(
        "[vaurien]\nproxy = 0.0.0.0:8181\nbackend = 0.0.0.0:8080\nbehavior = 100:hang\n"
    )
    assert body(found)[-2:] == ["faults =", "    hang"]
    assert body(imported("[vaurien]\nbackend = 10.0.0.7:33\n")) == [
        "[proxy:tcp]",
        "protocol = tcp",
        "listen = localhost:8000",
        "upstream = 10.0.0.7:33",
    ]


def test_a_tunnel_keeps_its_connections(imported: Import) -> None:
    found = imported(
        """
[vaurien]
stay_connected = true
proxy = 0.0.0.0:8887
backend = 192.168.1.27:22
behavior = 100:delay

[protocol:tcp]
keep_alive = true
"""
    )
    assert body(found)[-1] == "    delay(1s)"


# ---- every behaviour on every protocol


@pytest.mark.parametrize("protocol", ["tcp", "http", "memcache", "redis", "mysql", "smtp"])
def test_every_behaviour_loads_alone_and_with_all_others(imported: Import, protocol: str) -> None:
    start = f"[vaurien]\nprotocol = {protocol}\nbehavior = "
    options = "\n[behavior:delay]\nsleep = 0.25\nbefore = no\n[behavior:error]\ninject = true\n"
    for name in BEHAVIORS:
        for share in (100, 7):
            found = imported(f"{start}{share}:{name}\n")
            assert ("%" in found.text or share == 100) or name == "dummy"
            imported(f"{start}{share}:{name}{options}")
    every = ",".join(f"{14 - n}:{name}" for n, name in enumerate(BEHAVIORS))
    assert "roulette" in imported(start + every).text
    assert "roulette" in imported(start + every + options).text


def test_what_counts_stands_apart_with_its_own_draw(imported: Import) -> None:
    found = imported(
        """
[vaurien]
protocol = redis
behavior = 20:delay,30:transient,10:hang

[behavior:transient]
agitate = 3
"""
    )
    assert body(found)[4:] == [
        "roulette =",
        "    20% delay(1s)",
        "    10% hang",
        "faults =",
        '    30% error(ERR, text="injected") at reply count 3',
    ]
    assert any("transient: with a draw of its own" in note.text for note in found.notes)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("delay]\nsleep = 0.05", "delay(50ms)"),
        ("delay]\nsleep = 2\nbefore = no", "delay(2s) at reply"),
        ("delay]\nbefore: False", "delay(1s) at reply"),
    ],
)
def test_options_of_a_delay(imported: Import, options: str, fault: str) -> None:
    found = imported(f"[vaurien]\nprotocol = mysql\nbehavior = 100:delay\n[behavior:{options}\n")
    assert body(found)[-1] == f"    {fault}"


def test_a_delay_of_nothing_and_a_share_of_nothing_are_left_out(imported: Import) -> None:
    found = imported("[vaurien]\nbehavior = 50:delay,0:hang\n[behavior:delay]\nsleep = 0\n")
    assert len(body(found)) == 4


# ---- the file's dialect


def test_the_dialect_of_python_two(imported: Import) -> None:
    found = imported(
        """
# a comment
; another
REM and a third
[vaurien]
Proxy: "0.0.0.0:8181"      ; where it listens
BACKEND=10.0.0.7:80
behavior =
    20:delay,
    10:hang
protocol = tcp
protocol = http
[behavior:delay]
SLEEP : 1
    ; nothing
[behavior:delay]
sleep = 3
"""
    )
    assert body(found)[2:4] == ["listen = 0.0.0.0:8181", "upstream = 10.0.0.7:80"]
    assert body(found)[-3:] == ["roulette =", "    20% delay(3s)", "    10% hang"]


def test_the_environment_is_put_in_when_it_is_loaded(imported: Import) -> None:
    text = "[vaurien]\nbackend = ${DB}:80\nbehavior = ${N}:delay\n"
    found = imported(text, DB="db.internal", N="25")
    assert "upstream = ${DB}:80" in body(found)
    assert "25% delay(1s)" in found.text
    assert findings(imported, text) == [
        "2: the environment has no 'DB'",
        "3: the environment has no 'N'",
    ]


def test_a_file_extends_another(imported: Import, tmp_path: Path) -> None:
    (tmp_path / "base.ini").write_text(
        "[vaurien]\nbackend = 10.0.0.7:80\nproxy = :1\n[behavior:delay]\nsleep = 4\n"
    )
    text = "[DEFAULT]\nextends = base.ini\n[vaurien]\nproxy = localhost:9000\nbehavior = 9:delay\n"
    found = imported(text)
    assert body(found)[2:4] == ["listen = localhost:9000", "upstream = 10.0.0.7:80"]
    assert "9% delay(4s)" in found.text
    with pytest.raises(ConfigErrors) as error:
        imported(text.replace("base", "nowhere"))
    (one,) = error.value.findings
    assert (one.path, one.line) == (str(tmp_path / "vaurien-1.ini"), 2)
    assert "nowhere.ini' cannot be read: No such file" in one.message
    (tmp_path / "base.ini").write_text("[DEFAULT]\nextends = base.ini\n[vaurien]\n")
    with pytest.raises(ConfigErrors, match="extend each other more than"):
        imported(text)


def test_several_files_make_one(imported: Import) -> None:
    one = "[vaurien]\nproxy = localhost:{0}\nbackend = 10.0.0.7:80\nprotocol = http\n"
    found = imported(one.format(8001), one.format(8002))
    assert [line for line in body(found) if line.startswith("[")] == [
        "[proxy:http]",
        "[proxy:http-2]",
    ]
    with pytest.raises(ConfigErrors, match=r"localhost:8001"):
        imported(one.format(8001), one.format(8001))


# ---- what is wrong


def test_everything_that_is_wrong_is_told_with_its_line(imported: Import) -> None:
    found = findings(
        imported,
        """[vaurien]
backend = google.com
protocol = htpp
behavior = 20:dealy,10,30:delay,40:hang,40:error
bufsiz = 3
timeout = soon

[behavior:delay]
sleep = long
before = perhaps
slep = 2
[behavior:mine]
callable = my.module.Behavior
[behavior:yours]
[protocol:tcpp]
[protocol:http]
bufer = 3
[behaviour:delay]
nonsense
""",
    )
    assert sorted(found, key=lambda one: int(one.partition(":")[0])) == [
        "2: 'google.com' is no address: write HOST:PORT",
        "3: 'htpp' is no protocol of Vaurien; protocols: tcp, http, memcache, redis, mysql, smtp. "
        "Did you mean 'http'?",
        "4: 'dealy' is no behavior of Vaurien; behaviors: dummy, delay, hang, blackout, error, "
        "transient, abort. Did you mean 'delay'?",
        "4: '10' is no share: write PERCENT:NAME (20:delay)",
        "4: the shares add up to 110%: at most 100%",
        "5: [vaurien] has no option 'bufsiz'; options: proxy, backend, protocol, behavior, "
        "timeout, backlog, stay_connected, pool_max_size, pool_timeout, bufsize, sync, "
        "async_mode, http, http_host, http_port, log_level, log_output. Did you mean 'bufsize'?",
        "6: 'soon' is no number",
        "9: 'long' is no number",
        "10: 'perhaps' is neither yes nor no",
        "11: [behavior:delay] has no option 'slep'; options: sleep, before. Did you mean 'sleep'?",
        "13: 'mine' is a behavior in Python: Rascal's kinds are written otherwise (entry point "
        "rascal.faults)",
        "14: 'yours' is no behavior of Vaurien; behaviors: dummy, delay, hang, blackout, error, "
        "transient, abort",
        "15: 'tcpp' is no protocol of Vaurien; protocols: tcp, http, memcache, redis, mysql, smtp. "
        "Did you mean 'tcp'?",
        "17: [protocol:http] has no option 'bufer'; options: buffer, keep_alive, reuse_socket, "
        "overwrite_host_header. Did you mean 'buffer'?",
        "18: [behaviour:delay] is no section of Vaurien; sections: vaurien, behavior:NAME, "
        "protocol:NAME, statsd",
        "19: 'nonsense' is no option (name = value)",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "1: there is no [vaurien] section: this is no file of Vaurien"),
        ("[proxy:db]\n", "1: there is no [vaurien] section: this is no file of Vaurien"),
        ("[vaurien]\nbehavior = 50:hang,60:hang\n", "2: 'hang' has two shares: add them up"),
        (
            "[vaurien]\nbehavior = -5:hang\n",
            "2: '-5:hang' is no share: write PERCENT:NAME (20:delay)",
        ),
        ("[vaurien]\nbehavior = 101:hang\n", "2: the shares add up to 101%: at most 100%"),
        ("[vaurien]\ntimeout = 0\n", "2: timeout is from 0.001 to 600, found 0"),
        ("[vaurien]\nbacklog = 1e9\n", "2: '1e9' is no number"),
        ("backend = 1\n[vaurien]\n", "1: 'backend = 1' is an option before any [section]"),
    ],
)
def test_one_thing_that_is_wrong(imported: Import, text: str, says: str) -> None:
    assert [one for one in findings(imported, text) if one.startswith(says)]


def test_what_has_no_meaning_is_told(imported: Import) -> None:
    found = imported(
        """[vaurien]
timeout = 5
backlog = 100
pool_max_size = 10
http = true
[statsd]
enabled = true
host = localhost
[protocol:http]
buffer = 100
overwrite_host_header = no
"""
    )
    assert "connect_timeout = 5s" in found.text
    assert "backlog = 100" in found.text
    assert "host = " not in found.text
    told = {note.line: note.text for note in found.notes}
    assert told[2].startswith("timeout: for connecting alone")
    assert (
        told[4]
        == "pool_max_size: there is no pool: each client has an upstream connection of its own"
    )
    assert told[5] == "http: the control API is always there: [rascal] control"
    assert told[6] == "[statsd]: measurements are at /metrics of the control port"
    assert told[10] == "buffer: bytes are passed on as they come"
    assert 11 not in told


# ---- what a client sees


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.hosts.append(self.headers["Host"])  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def backend() -> Iterator[Any]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        server.hosts = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(address: tuple[str, int], timeout: float = 20.0) -> int | str:
    """The status of a reply, or the name of the exception."""
    connection = http.client.HTTPConnection(*address, timeout=timeout)
    try:
        connection.request("GET", "/")
        reply = connection.getresponse()
        reply.read()
        return reply.status
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


@contextmanager
def running(found: Imported, backend: Any) -> Iterator[Proxy]:
    """A proxy that does what the import says."""
    text = found.text
    protocol = "http" if "protocol = http" in text else "tcp"
    lines = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    with proxy(protocol, upstream=("127.0.0.1", backend.server_port)) as made:
        if "roulette =" in text:
            block = made.roulette(lines, may_miss=True)
        else:
            (line,) = lines
            block = made.fault(line, may_miss=True)
        with block:
            yield made


@pytest.mark.parametrize(
    ("protocol", "behaviour", "options", "seen", "asked"),
    [
        ("http", "blackout", "", {"ConnectionResetError"}, 0),
        ("http", "abort", "", {"RemoteDisconnected"}, 6),
        ("http", "hang", "", {"TimeoutError"}, 0),
        (
            "http",
            "transient",
            "[behavior:transient]\nagitate = 2\n",
            [503, 503, 200, 200, 200, 200],
            4,
        ),
        ("http", "error", "[behavior:error]\nwarmup = 2\n", [200, 200, 503, 503, 503, 503], 2),
        ("tcp", "blackout", "", {"ConnectionResetError"}, 0),
        ("tcp", "abort", "", {"RemoteDisconnected"}, 6),
        ("tcp", "hang", "", {"TimeoutError"}, 0),
    ],
)
def test_a_client_sees_what_it_saw(
    imported: Import,
    backend: Any,
    protocol: str,
    behaviour: str,
    options: str,
    seen: Any,
    asked: int,
) -> None:
    found = imported(f"[vaurien]\nprotocol = {protocol}\nbehavior = 100:{behaviour}\n{options}")
    backend.hosts.clear()
    with running(found, backend) as made:
        statuses = [ask(made.address, 0.2 if behaviour == "hang" else 20.0) for _ in range(6)]
        assert statuses == seen if isinstance(seen, list) else set(statuses) == seen
        deadline = time.monotonic() + 10
        while len(backend.hosts) < asked:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert len(backend.hosts) == asked


def test_errors_without_messages_garble_the_reply(imported: Import, backend: Any) -> None:
    found = imported("[vaurien]\nbehavior = 100:error\n")
    with running(found, backend) as made, socket.create_connection(made.address, 20) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        text = b""
        while part := sock.recv(4096):
            text += part
    assert len(text) > 50
    assert not any(one == real for one, real in zip(text, b"HTTP/1.1 200 OK", strict=False))


def test_errors_over_http_are_of_four_kinds_and_close(imported: Import, backend: Any) -> None:
    found = imported("[vaurien]\nprotocol = http\nbehavior = 100:error\n")
    with running(found, backend) as made:
        assert {ask(made.address) for _ in range(60)} == {500, 501, 502, 503}
        with socket.create_connection(made.address, 20) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            text = b""
            while part := sock.recv(4096):
                text += part
        assert text.startswith(b"HTTP/1.1 50")


@pytest.mark.parametrize("before", ["yes", "no"])
def test_a_delay_is_before_or_after_the_backend(
    imported: Import, backend: Any, before: str
) -> None:
    found = imported(
        f"[vaurien]\nprotocol = http\nbehavior = 100:delay\n"
        f"[behavior:delay]\nsleep = 0.3\nbefore = {before}\n"
    )
    backend.hosts.clear()
    with running(found, backend) as made:
        began = time.monotonic()
        assert ask(made.address, 0.1) == "TimeoutError"
        if before == "no":
            while not backend.hosts:
                assert time.monotonic() < began + 10
                time.sleep(0.005)
        else:
            assert backend.hosts == []
        began = time.monotonic()
        assert ask(made.address) == 200
        assert time.monotonic() - began >= 0.3


def test_at_most_one_strikes(imported: Import, backend: Any) -> None:
    """One draw for an exchange: the shares add up, and nothing is both late and wrong."""
    found = imported(
        "[vaurien]\nprotocol = http\nbehavior = 50:delay,50:error\n[behavior:delay]\nsleep = 0.02\n"
    )
    with running(found, backend) as made:
        for _ in range(40):
            ask(made.address)
        (wheel,) = made.node.call(lambda client: client.faults(made.name)).values()
        assert (wheel["matched"], wheel["fired"], wheel["skipped"]) == (40, 40, {})
        for one in made.exchanges(limit=40):
            assert (one["outcome"] == "answered") == (one["seconds"] < 0.02)


def test_the_backend_is_named_in_host(imported: Import, backend: Any, tmp_path: Path) -> None:
    port = backend.server_port
    found = imported(f"[vaurien]\nprotocol = http\nbackend = 127.0.0.1:{port}\n")
    assert f"host = 127.0.0.1:{port}" in body(found)
    backend.hosts.clear()
    with proxy("http", upstream=("127.0.0.1", port), host=f"127.0.0.1:{port}") as made:
        assert ask(made.address) == 200
    assert backend.hosts == [f"127.0.0.1:{port}"]


# ---- the command


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("vaurien.ini").write_text("[vaurien]\nprotocol = http\nbehavior = 20:delay,10:error\n")

    def run(*words: str) -> Any:
        return CliRunner().invoke(rascal, ["import", "vaurien", *words], prog_name="rascal")

    done = run("vaurien.ini")
    assert done.exit_code == 0
    assert done.stdout.startswith("# Imported from vaurien.ini (Vaurien).\n\n[proxy:http]\n")
    assert "different now:\n  vaurien.ini:3: delay: one wait" in done.stderr
    done = run("vaurien.ini", "-o", "proxies.ini")
    assert (done.exit_code, done.stdout) == (0, "proxies.ini: 1 proxy; rascal check proxies.ini\n")
    load("proxies.ini", {})
    done = run("vaurien.ini", "-o", "proxies.ini")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "'proxies.ini' is there already: --force replaces it" in done.stderr
    assert run("vaurien.ini", "-o", "proxies.ini", "--force").exit_code == 0
    assert run("vaurien.ini", "-o", "nowhere/proxies.ini").exit_code == 2

    Path("vaurien.ini").write_text("[vaurien]\nbehavior = 20:dealy\n")
    done = run("vaurien.ini", "-o", "other.ini")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("vaurien.ini:2: 'dealy' is no behavior of Vaurien")
    assert not Path("other.ini").exists()
    assert run("nowhere.ini").exit_code == 2
    assert run().exit_code == 2


def test_the_page_says_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs/vaurien.md").read_text()
    monkeypatch.chdir(tmp_path)
    file = page.partition("```ini\n")[2].partition("```")[0]
    Path("vaurien.ini").write_text(file)
    shown = page.partition("```console\n")[2].partition("```")[0]
    said = ""
    for line in shown.splitlines():
        if line.startswith("$ rascal "):
            said += f"{line}\n" + CliRunner().invoke(rascal, line.split()[2:]).output
        elif line.startswith("$ cat "):
            said += f"{line}\n" + Path(line.split()[2]).read_text()
    assert said == shown


@pytest.mark.parametrize("way", ["api", "command line", "proxies.ini"])
def test_a_roulette_makes_one_draw_wherever_it_is_written(
    backend: Any, tmp_path: Path, way: str
) -> None:
    """Shares that add up to 100% strike every exchange once: two draws would leave some alone."""
    text = "50% error(500), 50% error(503)"
    with proxy("http", upstream=("127.0.0.1", backend.server_port)) as made:
        url = made.node.url
        if way == "api":
            made.node.call(lambda client: client.add(made.name, {"roulette": text}))
        elif way == "command line":
            words = ["--url", url, "add", made.name, f"roulette = {text}"]
            done = CliRunner().invoke(rascal, words, prog_name="rascal")
            assert done.exit_code == 0, done.output
        else:
            path = tmp_path / "proxies.ini"
            path.write_text(
                "[proxy:web]\nprotocol = http\nlisten = 127.0.0.1:1\nupstream = 127.0.0.1:2\n"
                f"roulette = {text}\n"
            )
            (one,) = load(str(path), {}).proxies["web"].installed
            made.node.call(lambda client: client.add(made.name, dict(one.structure)))
        assert {ask(made.address) for _ in range(40)} == {500, 503}
        (wheel,) = made.node.call(lambda client: client.faults(made.name)).values()
        assert (wheel["form"], wheel["text"]) == ("roulette", text)
        assert (wheel["matched"], wheel["fired"], wheel["skipped"]) == (40, 40, {})
