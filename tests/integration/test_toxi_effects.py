"""What plain sockets see of every toxic: times, bytes, and whether the end is FIN or RST.

The expectations are the reference's where it is sound, and the honest effect where it is not.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tcp_peers import Door, Echo, dial, read, rest
from toxi_server import Toxi, standing_in

SLACK = 1.5
"""Seconds that a busy machine may add."""


@pytest.fixture(scope="module")
def toxi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toxi]:
    with standing_in(tmp_path_factory.mktemp("toxi")) as found:
        yield found


@pytest.fixture(autouse=True)
def _cleared(toxi: Toxi) -> Iterator[None]:
    yield
    toxi.clear()


Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def door() -> Iterator[Door]:
    with Door() as found:
        yield found


@pytest.fixture
def join(toxi: Toxi, door: Door) -> Iterator[Callable[[], Pair]]:
    """A client and its server, joined by the proxy `p`."""
    address = toxi.proxy("p", door.address)
    with ExitStack() as stack:

        def made() -> Pair:
            client = stack.enter_context(dial(address))
            return client, door.accept()

        yield made


def took(call: Callable[[], Any]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def talk(pair: Pair, data: bytes = b"hello") -> float:
    """One way and back; seconds."""
    client, server = pair
    began = time.monotonic()
    client.sendall(data)
    assert read(server, len(data)) == data
    server.sendall(data)
    assert read(client, len(data)) == data
    return time.monotonic() - began


def gone(sock: socket.socket) -> str:
    """How it ended: FIN or RST."""
    try:
        return "FIN" if sock.recv(65536) == b"" else "bytes"
    except ConnectionResetError:
        return "RST"


def silent(sock: socket.socket, seconds: float = 0.3) -> bool:
    """Nothing comes for a while."""
    before = sock.gettimeout()
    sock.settimeout(seconds)
    try:
        sock.recv(1)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(before)
    return False


def state(toxi: Toxi, name: str) -> dict[str, Any]:
    """What the native API says of the toxic on `p`."""
    return dict(toxi.native.get("p", name))


# ---- latency -------------------------------------------------------------------------------------


def test_latency_delays_one_direction_also_of_live_connections(
    toxi: Toxi, join: Callable[[], Pair]
) -> None:
    pair = join()
    assert talk(pair) < 0.3 + SLACK
    toxi.toxic("p", "latency", latency=300)
    for each in (pair, join()):
        assert 0.3 <= talk(each) < 0.3 + SLACK
        client, server = each
        client.sendall(b"up")  # the other way is as it was
        assert took(lambda s=server: read(s, 2)) < 0.25
    assert state(toxi, "latency_downstream")["fired"] == 2
    toxi.drop("p", "latency_downstream")
    assert talk(pair) < 0.25


def test_latency_of_pipelined_chunks_does_not_add_up(toxi: Toxi, join: Callable[[], Pair]) -> None:
    client, server = join()
    toxi.toxic("p", "latency", "upstream", latency=400)
    began = time.monotonic()
    for n in range(10):
        client.sendall(b"%d" % n)
        time.sleep(0.01)
    assert read(server, 10) == b"0123456789"
    assert 0.4 <= time.monotonic() - began < 0.6 + SLACK


def test_removal_lets_go_what_latency_holds(toxi: Toxi, join: Callable[[], Pair]) -> None:
    client, server = join()
    toxi.toxic("p", "latency", "upstream", latency=60_000)
    client.sendall(b"held")
    toxi.native.wait_until(lambda: state(toxi, "latency_upstream")["fired"] == 1)
    assert silent(server, 0.2)
    toxi.drop("p", "latency_upstream")
    assert read(server, 4) == b"held"


def test_latency_does_not_delay_a_fin(toxi: Toxi, join: Callable[[], Pair]) -> None:
    client, server = join()
    toxi.toxic("p", "latency", latency=60_000)
    server.close()
    assert took(lambda: rest(client)) < SLACK


def test_a_fin_stays_behind_the_bytes_that_latency_holds(
    toxi: Toxi, join: Callable[[], Pair]
) -> None:
    client, server = join()
    toxi.toxic("p", "latency", latency=300)
    began = time.monotonic()
    server.sendall(b"last words")
    server.close()
    assert rest(client) == b"last words"
    assert time.monotonic() - began >= 0.3


def test_jitter_spreads_the_delays(toxi: Toxi, join: Callable[[], Pair]) -> None:
    pair = join()
    toxi.toxic("p", "latency", latency=60, jitter=50)
    times = [talk(pair) for _ in range(12)]
    assert min(times) >= 0.01
    assert max(times) - min(times) > 0.01


@pytest.mark.parametrize("extreme", [{"latency": -5}, {"latency": -100, "jitter": 20}])
def test_negative_latency_is_none(
    toxi: Toxi, join: Callable[[], Pair], extreme: dict[str, int]
) -> None:
    toxi.toxic("p", "latency", **extreme)
    assert talk(join()) < SLACK


# ---- bandwidth -----------------------------------------------------------------------------------


def test_bandwidth_counts_a_thousand_bytes_to_the_kilobyte(
    toxi: Toxi, join: Callable[[], Pair]
) -> None:
    client, server = join()
    toxi.toxic("p", "bandwidth", rate=100)
    server.sendall(bytes(50_000))
    seconds = took(lambda: read(client, 50_000))
    assert 0.4 <= seconds < 0.5 + SLACK


def test_bandwidth_of_zero_passes_nothing_until_it_is_changed(
    toxi: Toxi, join: Callable[[], Pair]
) -> None:
    client, server = join()
    toxi.toxic("p", "bandwidth", rate=0)
    server.sendall(b"stuck")
    assert silent(client)
    toxi.change("p", "bandwidth_downstream", attributes={"rate": 1000})
    assert read(client, 5) == b"stuck"
    toxi.change("p", "bandwidth_downstream", attributes={"rate": 0})
    server.sendall(b"again")
    assert silent(client)
    toxi.drop("p", "bandwidth_downstream")
    assert read(client, 5) == b"again"


# ---- slow_close ----------------------------------------------------------------------------------


def test_slow_close_delays_the_end_alone(toxi: Toxi, join: Callable[[], Pair]) -> None:
    client, server = join()
    toxi.toxic("p", "slow_close", delay=400)
    began = time.monotonic()
    server.sendall(b"bye")
    server.close()
    assert read(client, 3) == b"bye"
    assert time.monotonic() - began < 0.4
    assert gone(client) == "FIN"
    assert 0.4 <= time.monotonic() - began < 0.4 + SLACK


# ---- timeout -------------------------------------------------------------------------------------


def test_timeout_swallows_and_closes_after_the_last_bytes(
    toxi: Toxi, join: Callable[[], Pair]
) -> None:
    client, server = join()
    toxi.toxic("p", "timeout", "upstream", timeout=500)
    began = time.monotonic()
    client.sendall(b"one")
    time.sleep(0.3)
    client.sendall(b"two")
    assert gone(client) == "FIN"
    assert 0.8 <= time.monotonic() - began < 0.8 + SLACK
    assert rest(server) == b""


def test_timeout_closes_idle_connections_too(toxi: Toxi, join: Callable[[], Pair]) -> None:
    client, server = join()
    toxi.toxic("p", "timeout", timeout=300)
    assert 0.29 <= took(lambda: gone(client)) < 0.3 + SLACK
    assert gone(server) == "FIN"


def test_timeout_of_zero_never_closes_and_its_removal_does(
    toxi: Toxi, join: Callable[[], Pair]
) -> None:
    client, server = join()
    toxi.toxic("p", "timeout", timeout=0)
    server.sendall(b"lost")
    assert silent(client, 0.5)
    toxi.drop("p", "timeout_downstream")
    assert gone(client) == "FIN"
    assert gone(server) == "FIN"


def test_timeout_swallows_the_fin_as_well(toxi: Toxi, join: Callable[[], Pair]) -> None:
    client, server = join()
    toxi.toxic("p", "timeout", timeout=600)
    server.sendall(b"lost")
    server.close()
    began = time.monotonic()
    assert gone(client) == "FIN"
    assert time.monotonic() - began >= 0.5


def test_another_timeout_runs_from_the_change_on(toxi: Toxi, join: Callable[[], Pair]) -> None:
    client, server = join()
    toxi.toxic("p", "timeout", timeout=0)
    server.sendall(b"lost")
    assert silent(client)
    toxi.change("p", "timeout_downstream", attributes={"timeout": 200})
    assert 0.1 <= took(lambda: gone(client)) < 0.2 + SLACK


# ---- reset_peer ----------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_reset_peer_shows_rst_to_both_sides(
    toxi: Toxi, join: Callable[[], Pair], when: str, stream: str
) -> None:
    pair = join() if when == "before" else None
    toxi.toxic("p", "reset_peer", stream, timeout=200)
    client, server = pair or join()
    sender = client if stream == "upstream" else server
    assert silent(client, 0.4)  # an idle connection is never reset
    began = time.monotonic()
    sender.sendall(b"first")
    assert gone(client) == "RST"
    assert 0.2 <= time.monotonic() - began < 0.2 + SLACK
    assert gone(server) == "RST"


def test_reset_peer_counts_from_the_first_bytes(toxi: Toxi, join: Callable[[], Pair]) -> None:
    client, _ = join()
    toxi.toxic("p", "reset_peer", "upstream", timeout=400)
    began = time.monotonic()
    client.sendall(b"first")
    time.sleep(0.3)
    client.sendall(b"second")
    assert gone(client) == "RST"
    assert 0.4 <= time.monotonic() - began < 0.65 + SLACK


def test_removal_of_reset_peer_spares_who_has_said_nothing(
    toxi: Toxi, join: Callable[[], Pair]
) -> None:
    quiet, loud = join(), join()
    toxi.toxic("p", "reset_peer", "upstream", timeout=60_000)
    loud[0].sendall(b"lost")
    toxi.native.wait_until(lambda: state(toxi, "reset_peer_upstream")["fired"] == 2)
    time.sleep(0.2)
    assert took(lambda: toxi.drop("p", "reset_peer_upstream")) < 1.0
    assert gone(loud[0]) == "RST"
    assert talk(quiet) < SLACK


def test_a_reset_peer_that_strikes_nobody_leaves_ends_alone(
    toxi: Toxi, join: Callable[[], Pair]
) -> None:
    toxi.toxic("p", "reset_peer", toxicity=0)
    client, server = join()
    assert talk((client, server)) < SLACK
    server.close()
    assert gone(client) == "FIN"


# ---- slicer --------------------------------------------------------------------------------------


def test_slicer_cuts_and_pauses(toxi: Toxi, join: Callable[[], Pair]) -> None:
    client, server = join()
    toxi.toxic("p", "slicer", average_size=50, size_variation=10, delay=20_000)
    server.sendall(bytes(1000))
    sizes: list[int] = []
    began = time.monotonic()
    while sum(sizes) < 1000:
        sizes.append(len(client.recv(65536)))
    assert time.monotonic() - began >= 0.2
    assert len(sizes) >= 8
    assert min(sizes) <= 60


# ---- limit_data ----------------------------------------------------------------------------------


def test_limit_data_ends_after_so_many_bytes(toxi: Toxi, join: Callable[[], Pair]) -> None:
    client, server = join()
    toxi.toxic("p", "limit_data", bytes=5)
    server.sendall(b"0123456789")
    assert rest(client) == b"01234"


def test_limit_data_of_zero_ends_with_the_first_bytes(toxi: Toxi, join: Callable[[], Pair]) -> None:
    client, server = join()
    toxi.toxic("p", "limit_data", bytes=0)
    assert silent(client)
    server.sendall(b"x")
    assert rest(client) == b""


def test_another_limit_does_not_count_anew(toxi: Toxi, join: Callable[[], Pair]) -> None:
    client, server = join()
    toxi.toxic("p", "limit_data", bytes=100)
    server.sendall(b"0123")
    assert read(client, 4) == b"0123"
    toxi.change("p", "limit_data_downstream", attributes={"bytes": 6})
    server.sendall(b"456789")
    assert rest(client) == b"45"


# ---- noop, several, none -------------------------------------------------------------------------


def test_noop_does_nothing_and_counts(toxi: Toxi, join: Callable[[], Pair]) -> None:
    first = join()
    toxi.toxic("p", "noop", "upstream")
    assert talk(first) < SLACK
    assert talk(join()) < SLACK
    assert state(toxi, "noop_upstream")["fired"] == 2


def test_half_close_stays_half_close_under_a_toxic(toxi: Toxi, join: Callable[[], Pair]) -> None:
    client, server = join()
    toxi.toxic("p", "latency", latency=50)
    client.sendall(b"question")
    client.shutdown(socket.SHUT_WR)
    assert rest(server) == b"question"
    server.sendall(b"answer")
    server.close()
    assert rest(client) == b"answer"


def test_rst_stays_rst_under_a_toxic(toxi: Toxi, join: Callable[[], Pair]) -> None:
    client, server = join()
    toxi.toxic("p", "bandwidth", rate=1000)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    server.close()
    assert gone(client) == "RST"


def test_toxics_of_both_sides_add_up(toxi: Toxi, join: Callable[[], Pair]) -> None:
    pair = join()
    toxi.toxic("p", "latency", "upstream", latency=150)
    toxi.toxic("p", "latency", "downstream", latency=150)
    assert 0.3 <= talk(pair) < 0.3 + SLACK


def test_down_refuses_and_closes(toxi: Toxi, join: Callable[[], Pair], door: Door) -> None:
    client, _ = join()
    found = toxi.done("POST", "/proxies/p", {"enabled": False})
    assert found["enabled"] is False
    assert gone(client) == "FIN"
    port = int(found["listen"].rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        dial(("127.0.0.1", port))
    again = toxi.done("POST", "/proxies/p", {"enabled": True})
    assert again["listen"] == found["listen"]
    with dial(("127.0.0.1", port)):
        door.accept()


def test_half_the_connections_are_struck_the_same_ones_for_a_seed(tmp_path: Path) -> None:
    def struck(folder: str, seed: str) -> list[bool]:
        with Echo() as echo, standing_in(tmp_path / folder, "-seed", seed) as toxi:
            address = toxi.proxy("p", echo.address)
            toxi.toxic("p", "limit_data", "upstream", bytes=0, toxicity=0.5)
            found = []
            for _ in range(24):
                with dial(address) as sock:
                    sock.sendall(b"x")
                    found.append(sock.recv(1) == b"")
            return found

    first = struck("a", "7")
    assert 3 <= sum(first) <= 21
    assert struck("b", "7") == first
    assert struck("c", "8") != first


def test_another_toxicity_keeps_the_draws_of_live_connections(toxi: Toxi) -> None:
    with Echo() as echo, ExitStack() as stack:
        address = toxi.proxy("p", echo.address)
        toxi.toxic("p", "latency", latency=150, toxicity=0.5)
        socks = [stack.enter_context(dial(address)) for _ in range(12)]

        def slow() -> list[bool]:
            found = []
            for sock in socks:
                began = time.monotonic()
                sock.sendall(b"x")
                read(sock, 1)
                found.append(time.monotonic() - began >= 0.15)
            return found

        half = slow()
        assert 1 <= sum(half) <= 11
        toxi.change("p", "latency_downstream", toxicity=0)
        assert not any(slow())
        toxi.change("p", "latency_downstream", toxicity=1)
        assert all(slow())
        toxi.change("p", "latency_downstream", toxicity=0.5)
        assert slow() == half
        counted = state(toxi, "latency_downstream")
        told = counted["fired"] + counted["reserved"] + sum(counted["skipped"].values())
        assert counted["matched"] == told
