"""Clients and servers of the benchmarks that no tool brings, each in a process of its own.

    python peers.py source PORT                              sends as many bytes as it is asked for
    python peers.py sink HOST PORT BYTES CONNECTIONS         asks for them, reports how long it took
    python peers.py pingpong HOST PORT CONNECTIONS SECONDS   request and reply, over and over
    python peers.py idle HOST PORT CONNECTIONS               opens them and waits for its stdin

What a client found is one line of JSON on stdout. `pingpong` reads on stdin what to say: the
request, the login (a JSON list of messages to send first, or "mysql").
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import threading
import time
from typing import Any

BLOCK = bytes(256 * 1024)
QUIET = 0.05


def source(port: int) -> None:
    """Eight digits in, that many thousand bytes out."""
    listener = socket.create_server(("127.0.0.1", port), backlog=256)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=_serve, args=(sock,), daemon=True).start()


def _serve(sock: socket.socket) -> None:
    with sock:
        while asked := sock.recv(8, socket.MSG_WAITALL):
            left = int(asked) * 1000
            while left:
                left -= sock.send(memoryview(BLOCK)[: min(left, len(BLOCK))])


def sink(host: str, port: int, size: int, connections: int) -> dict[str, float]:
    """Receive `size` bytes in all and throw them away."""
    each = size // connections // 1000
    socks = [_connect(host, port) for _ in range(connections)]
    began = time.perf_counter()
    threads = [threading.Thread(target=_drain, args=(sock, each)) for sock in socks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"ops": each * connections * 1000, "seconds": time.perf_counter() - began}


def _drain(sock: socket.socket, thousands: int) -> None:
    buffer = memoryview(bytearray(1024 * 1024))
    sock.sendall(b"%08d" % thousands)
    left = thousands * 1000
    while left:
        got = sock.recv_into(buffer)
        if not got:
            raise SystemExit("the connection ended early")
        left -= got


def pingpong(
    host: str, port: int, connections: int, seconds: float, say: dict[str, Any]
) -> dict[str, Any]:
    """One request at a time on each connection. All replies must be as long as the first."""
    request = bytes.fromhex(say["request"])
    socks = [_login(host, port, say.get("login")) for _ in range(connections)]
    socks[0].sendall(request)
    length = len(_until_quiet(socks[0]))
    if connections == 1:
        return _alone(socks[0], request, length, seconds)
    return _together(socks, request, length, seconds)


def _alone(sock: socket.socket, request: bytes, length: int, seconds: float) -> dict[str, Any]:
    buffer = bytearray(max(length, 65536))
    times: list[float] = []
    clock = time.perf_counter
    began = now = clock()
    while now - began < seconds:
        sock.sendall(request)
        left = length
        while left > 0:
            got = sock.recv_into(buffer)
            if not got:
                raise SystemExit("the connection ended early")
            left -= got
        before, now = now, clock()
        times.append(now - before)
    return _result(times, now - began)


def _together(
    socks: list[socket.socket], request: bytes, length: int, seconds: float
) -> dict[str, Any]:
    selector = selectors.DefaultSelector()
    buffer = bytearray(max(length, 65536))
    state = {}
    clock = time.perf_counter
    began = clock()
    for sock in socks:
        selector.register(sock, selectors.EVENT_READ)
        state[sock] = [length, clock()]
        sock.sendall(request)
    times: list[float] = []
    while clock() - began < seconds:
        for key, _ in selector.select(1):
            sock = key.fileobj  # type: ignore[assignment]
            mine = state[sock]
            got = sock.recv_into(buffer)
            if not got:
                raise SystemExit("the connection ended early")
            mine[0] -= got
            if mine[0] <= 0:
                now = clock()
                times.append(now - mine[1])
                mine[0], mine[1] = length, now
                sock.sendall(request)
    return _result(times, clock() - began)


def _result(times: list[float], seconds: float) -> dict[str, Any]:
    times.sort()
    p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
    return {"ops": len(times), "seconds": seconds, "p50": p50, "p99": p99}


def _login(host: str, port: int, login: Any) -> socket.socket:
    if login == "mysql":
        import pymysql

        from rascal.demo.servers import PASSWORD, USER

        connection = pymysql.connect(host=host, port=port, user=USER, password=PASSWORD)
        _kept.append(connection)
        sock: socket.socket = connection._sock
        sock.settimeout(10)
        return sock
    sock = _connect(host, port)
    for message in login or ():
        sock.sendall(bytes.fromhex(message))
        _until_quiet(sock)
    return sock


_kept: list[Any] = []


def _until_quiet(sock: socket.socket) -> bytes:
    """Everything that comes until nothing does for a while."""
    got = sock.recv(65536)
    sock.settimeout(QUIET)
    try:
        while more := sock.recv(1024 * 1024):
            got += more
    except TimeoutError:
        pass
    sock.settimeout(10)
    return got


def idle(host: str, port: int, connections: int) -> None:
    """Hold connections open until stdin ends; each has asked once, so that it is joined."""
    socks = []
    for _ in range(connections):
        sock = _connect(host, port)
        sock.sendall(b"PING\r\n")
        if not sock.recv(64):
            raise SystemExit("the connection ended early")
        socks.append(sock)
    print(json.dumps({"open": len(socks)}), flush=True)
    sys.stdin.read()


def _connect(host: str, port: int) -> socket.socket:
    sock = socket.create_connection((host, port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def main(words: list[str]) -> None:
    """Run one of them."""
    name, *rest = words
    if name == "source":
        source(int(rest[0]))
    elif name == "sink":
        print(json.dumps(sink(rest[0], int(rest[1]), int(rest[2]), int(rest[3]))))
    elif name == "pingpong":
        say = json.loads(sys.stdin.read())
        print(json.dumps(pingpong(rest[0], int(rest[1]), int(rest[2]), float(rest[3]), say)))
    elif name == "idle":
        idle(rest[0], int(rest[1]), int(rest[2]))


if __name__ == "__main__":
    main(sys.argv[1:])
