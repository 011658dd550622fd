"""The service as a whole: what keeps it from starting, reloads under traffic, panic, seeds."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from harness import ROOT, Node, command, look, running, written
from redis_servers import REDIS, redis_server
from tcp_peers import Door, Echo, Talk, dial, nobody, read, read_address, write_address

from rascal.control.client import Refused

# ---- what keeps it from starting -----------------------------------------------------------------


def start(file: Path) -> tuple[int, str]:
    """Exit status and all that it says; it must end by itself."""
    done = subprocess.run(
        command(file),
        cwd=file.parent,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
    )
    return done.returncode, done.stdout


def proxy(name: str, listen: Any, upstream: Any, *lines: str, protocol: str = "tcp") -> str:
    where = listen if isinstance(listen, str) else write_address(listen)
    to = upstream if isinstance(upstream, str) else write_address(upstream)
    text = f"[proxy:{name}]\nprotocol = {protocol}\nlisten = {where}\nupstream = {to}\n"
    return text + "".join(f"{line}\n" for line in lines) + "\n"


@pytest.mark.parametrize("taken", ["proxy", "control", "unix"])
def test_a_port_in_use_is_one_line(taken: str, tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="rascal-"))
    address = str(folder / "door") if taken == "unix" else ("127.0.0.1", 0)
    with Door(address) as door:
        ini = proxy("first", "127.0.0.1:{free}", nobody())
        if taken == "control":
            ini = f"[rascal]\ncontrol = {write_address(door.address)}\n\n{ini}"
        else:
            ini += proxy("second", write_address(door.address), nobody())
        file, _ = written(tmp_path, ini)
        status, said = start(file)
        assert status == 1
        # beside what twistd says of itself
        (line,) = [line for line in said.splitlines() if "_twistd_unix" not in line]
        assert "] rascal-proxy: " in line
        assert write_address(door.address) in line
        assert "address already in use" in line
        assert ("control" if taken == "control" else "second") in line
    # nothing half: the first proxy's port is free, a file of ours has not replaced theirs
    port = re.search(r"^listen = 127.0.0.1:(\d+)$", file.read_text(), re.MULTILINE)
    assert port is not None
    with pytest.raises(ConnectionRefusedError):
        dial(("127.0.0.1", int(port[1])))
    shutil.rmtree(folder)


def test_a_bad_file_ends_it_with_all_findings(tmp_path: Path) -> None:
    ini = proxy("echo", "127.0.0.1:{free}", nobody(), "bcklog = 3", "faults =", "    dely(2s)")
    file, _ = written(tmp_path, ini + "[proxy:two]\nprotocol = tpc\n")
    status, said = start(file)
    assert status == 1
    assert "Traceback" not in said
    findings = said.splitlines()
    assert all(line.startswith(f"rascal-proxy: {file}:") for line in findings), said
    assert [int(line.split("proxies.ini:")[1].partition(":")[0]) for line in findings] == sorted(
        int(line.split("proxies.ini:")[1].partition(":")[0]) for line in findings
    )
    text = "\n".join(findings)
    for part in ("bcklog", "dely", "tpc", "Did you mean 'delay'"):
        assert part in text, said


@pytest.mark.parametrize("what", ["missing", "folder", "binary"])
def test_files_that_cannot_be_read(what: str, tmp_path: Path) -> None:
    file = tmp_path / "proxies.ini"
    if what == "folder":
        file.mkdir()
    elif what == "binary":
        file.write_bytes(b"\xff\xfe\x00[")
    status, said = start(file)
    assert status == 1
    assert "Traceback" not in said
    (line,) = said.splitlines()
    assert line.startswith("rascal-proxy: ")
    assert "proxies.ini" in line


# ---- reload --------------------------------------------------------------------------------------


class Traffic:
    """Clients that talk all the time, each on one connection."""

    def __init__(self, address: Any, count: int = 4) -> None:
        self.talks = [Talk(address) for _ in range(count)]
        self.names = [talk.sock.getsockname() for talk in self.talks]
        self.words = [0] * count
        self.errors: list[BaseException] = []
        self.stopping = False
        self.threads = [
            threading.Thread(target=self._talk, args=(n,), daemon=True) for n in range(count)
        ]
        for thread in self.threads:
            thread.start()

    def _talk(self, n: int) -> None:
        try:
            while not self.stopping:
                assert self.talks[n].say(b"%08d" % self.words[n]) == b"%08d" % self.words[n]
                self.words[n] += 1
        except BaseException as error:
            self.errors.append(error)

    def goes_on(self, node: Node) -> None:
        """Each of them has said more since."""
        before = list(self.words)
        node.control.wait_until(
            lambda: self.errors or all(b > a for a, b in zip(before, self.words, strict=True))
        )
        assert not self.errors

    def stop(self) -> None:
        self.stopping = True
        for thread in self.threads:
            thread.join(5)
        assert not self.errors, self.errors
        assert [talk.sock.getsockname() for talk in self.talks] == self.names
        for talk in self.talks:
            talk.close()


def by_hup(node: Node) -> None:
    lines = node.log.count("reload: ")
    node.hup()
    node.control.wait_until(lambda: node.log.count("reload: ") > lines)


def by_api(node: Node) -> None:
    with contextlib.suppress(Refused):
        node.control.reload()


@pytest.mark.parametrize("reload", [by_hup, by_api], ids=["SIGHUP", "API"])
def test_reloads_leave_alone_what_need_not_change(
    reload: Callable[[Node], None], tmp_path: Path
) -> None:
    with Echo() as one, Echo() as two:
        ini = proxy("echo", "127.0.0.1:{free}", one.address, "faults =", "    delay(1ms) name slow")
        with running(tmp_path, ini) as node:
            before = node.file.read_text()
            address = read_address(node.address("echo"))
            traffic = Traffic(address)
            traffic.goes_on(node)

            def change(text: str) -> None:
                node.file.write_text(text)
                reload(node)
                traffic.goes_on(node)

            for n in range(5):  # another proxy comes and goes, a fault too
                change(before + proxy(f"more{n}", "127.0.0.1:0", one.address))
                assert word(read_address(node.address(f"more{n}"))) == b"word"
                change(before.replace("name slow", "name slow\n    throttle(90MB/s) name wide"))
                assert set(node.control.faults("echo")) == {"slow", "wide"}
                assert set(node.control.proxies()) == {"echo"}
            assert node.control.get("echo", "slow")["matched"] == len(traffic.talks)

            change(before.replace(write_address(one.address), write_address(two.address)))
            heard = two.heard
            assert word(address) == b"word"
            assert two.heard == heard + 4  # new connections go there, the old ones stayed

            change(before + "backlog = many\n")  # a bad file changes nothing
            assert set(node.control.proxies()) == {"echo"}
            assert word(address) == b"word"

            moved = before.replace(f":{address[1]}", ":{free}")
            file, _ = written(tmp_path / "other", moved)
            change(file.read_text())  # it listens elsewhere: those who are in stay in
            assert read_address(node.address("echo")) != address
            with pytest.raises(ConnectionRefusedError):
                dial(address)
            assert word(read_address(node.address("echo"))) == b"word"
            traffic.stop()
            by_log = [line for line in node.log.splitlines() if "reload: " in line]
            if reload is by_hup:
                assert any("nothing was changed" in line for line in by_log)


def test_a_proxy_that_is_removed_ends_its_connections(tmp_path: Path) -> None:
    with Echo() as echo:
        keep = proxy("keep", "127.0.0.1:{free}", echo.address)
        with running(tmp_path, keep + proxy("go", "127.0.0.1:{free}", echo.address)) as node:
            stays = Talk(read_address(node.address("keep")))
            goes = Talk(read_address(node.address("go")))
            assert stays.ping()
            assert goes.ping()
            text = node.file.read_text()
            node.file.write_text(text[: text.index("[proxy:go]")])
            by_hup(node)
            assert goes.sock.recv(1) == b""
            name = stays.sock.getsockname()
            assert stays.ping()
            assert stays.sock.getsockname() == name
            goes.close()
            stays.close()


# ---- panic ---------------------------------------------------------------------------------------


def test_panic_lets_all_go_and_refuses_more(tmp_path: Path) -> None:
    with Echo() as echo:
        names = ("a", "b")
        ini = "".join(proxy(name, "127.0.0.1:{free}", echo.address) for name in names)
        with running(tmp_path, ini) as node, ThreadPoolExecutor(8) as pool:
            for name in names:
                node.control.add(name, "hang direction to_client")
                node.control.add(name, "throttle(1KB/s) direction to_client")
            talks = [Talk(read_address(node.address(name))) for name in names for _ in range(4)]
            waiting = [pool.submit(look, talk.say, b"x" * 100_000) for talk in talks]
            node.control.wait_until(lambda: echo.heard == 800_000)
            assert not any(one.done() for one in waiting)
            assert node.control.panic(True, "the test")["on"]
            for one in waiting:
                one.result(5).got(b"x" * 100_000)
            for name in names:
                assert node.control.faults(name) == {}
                with pytest.raises(Refused, match="the test"):
                    node.control.add(name, "delay(1ms)")
            node.control.panic(False)
            node.control.add("a", "delay(1ms)")
            for talk in talks:
                assert talk.ping()
                talk.close()


# ---- the same seed -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    if not REDIS:
        pytest.skip("redis-server is not installed")
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        yield port


def struck(
    folder: Path, port: int, seed: int, count: int = 10_000
) -> tuple[list[int], list[int], dict[str, Any]]:
    """Which of so many requests were answered how, and the counters."""
    faults = (
        "faults =",
        "    20% error(oom) match command=SET name some",
        "    50% error(busy) match command=SET every 7 name sevenths",
        "    5% replace(struck) match command=SET name rare",
        "    10% delay(exponential(1ms)) match command=SET name late",
    )
    upstream = ("127.0.0.1", port)
    ini = proxy("cache", "127.0.0.1:{free}", upstream, *faults, protocol="redis")
    with running(folder, ini, seed=seed) as node:
        address = read_address(node.address("cache"))
        replies = b""
        with dial(address, 30) as sock:
            for first in range(0, count, 100):  # in pipelines, cut anywhere
                batch = b"".join(b"SET k%d x\r\n" % n for n in range(first, first + 100))
                for at in range(0, len(batch), 700 + 13 * seed):
                    sock.sendall(batch[at : at + 700 + 13 * seed])
                while replies.count(b"\r\n") < first + 100:
                    replies += sock.recv(65536)
        lines = replies.split(b"\r\n")[:-1]
        assert len(lines) == count
        ooms = [n for n, line in enumerate(lines) if line.startswith(b"-OOM")]
        busys = [n for n, line in enumerate(lines) if line.startswith(b"-BUSY")]
        found = node.control.counters()["cache"]["faults"]
        for one in found.values():
            assert one["matched"] == count
            assert one["matched"] == one["fired"] + one["reserved"] + sum(one["skipped"].values())
        assert found["some"]["fired"] == len(ooms)
        assert found["sevenths"]["fired"] == len(busys)
        return ooms, busys, found


def test_the_same_seed_strikes_the_same_requests(tmp_path: Path, redis_port: int) -> None:
    """In two processes, whatever the timing; another seed strikes others."""
    first = struck(tmp_path / "a", redis_port, 42)
    again = struck(tmp_path / "b", redis_port, 42)
    other = struck(tmp_path / "c", redis_port, 43, 2000)
    assert first == again
    assert [n for n in first[0] if n < 2000] != other[0]
    for count, (ooms, busys, found) in ((10_000, first), (2000, other)):
        assert 0.18 < len(ooms) / count < 0.22
        assert all(n % 7 == 6 for n in busys)
        assert found["sevenths"]["skipped"]["outranked"] > 0


def test_draws_do_not_hang_on_what_else_is_installed(tmp_path: Path) -> None:
    """Faults on connections: which of 300 are reset at accept."""

    def resets(folder: Path, *more: str) -> list[int]:
        with Echo() as echo:
            faults = ("faults =", "    20% reset at connect name some", *more)
            ini = proxy("echo", "127.0.0.1:{free}", echo.address, *faults)
            with running(folder, ini, seed=7) as node:
                address = read_address(node.address("echo"))
                sights = [look(word, address) for _ in range(300)]
                kinds = {type(sight.error) for sight in sights}
                assert kinds <= {type(None), ConnectionResetError}, kinds
                return [n for n, sight in enumerate(sights) if sight.error]

    first = resets(tmp_path / "a")
    assert 40 < len(first) < 80
    assert resets(tmp_path / "b", "    50% slice(1B) name other") == first


def word(address: Any) -> bytes:
    with dial(address) as sock:
        sock.sendall(b"word")
        return read(sock, 4)
