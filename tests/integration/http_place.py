"""A real nginx with an application behind it and rascal-proxies in front of it; requests and treq.

The proxies: `web` in front of nginx; `hosted` puts another Host into what it passes on; `secure`
speaks TLS to nginx; `tunnels` in front of a forward proxy that knows CONNECT and nothing else.
"""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests
import trustme
from harness import Node, running
from nginx_server import NGINX, PATIENCE, Client
from websockets.sync.server import ServerConnection, serve

from rascal.demo.children import free_port

SHORT = 0.3
"""Seconds that a client waits for what never comes."""
BIG = b"x" * 4000
CHUNKED = b"0123456789abcde\n" * 300
NOTE = b"the first note\n"
INI = """\
[proxy:web]
protocol = http
listen = 127.0.0.1:0
upstream = 127.0.0.1:{port}

[proxy:hosted]
protocol = http
listen = 127.0.0.1:0
upstream = 127.0.0.1:{port}
host = shop.example:8080

[proxy:secure]
protocol = http
listen = 127.0.0.1:0
upstream = 127.0.0.1:{tls}
tls = originate
tls_name = shop.example
tls_ca = {ca}

[proxy:distrusted]
protocol = http
listen = 127.0.0.1:0
upstream = 127.0.0.1:{tls}
tls = originate
tls_name = other.example
tls_ca = {ca}

[proxy:tunnels]
protocol = http
listen = 127.0.0.1:0
upstream = 127.0.0.1:{forward}
"""
_NGINX = """
{user}
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    log_format short "$request_method $uri $status";
    access_log {folder}/access.log short;
    server_tokens off;
    default_type text/plain;
    types {{ text/html html; application/json json; }}
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    keepalive_requests 100000;
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls} ssl;
        ssl_certificate {folder}/cert.pem;
        ssl_certificate_key {folder}/key.pem;
        root {folder}/www;
        location = /whoami {{ return 200 $connection; }}
        location = /host {{ return 200 "$http_host over $scheme"; }}
        location = /hello {{ return 200 hello; }}
        location = /charge {{ default_type application/json; return 200 '{{"paid": true}}'; }}
        location = /login {{ return 200 in; }}
        location = /failing {{ return 500; }}
        location = /nothing {{ return 204; }}
        location = /chunked.txt {{ ssi on; output_buffers 1 1k; ssi_types text/plain; }}
        location /app/ {{
            proxy_pass http://127.0.0.1:{app};
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_request_buffering off;
        }}
        location /ws {{
            proxy_pass http://127.0.0.1:{ws};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }}
    }}
}}
"""


# ---- the servers ---------------------------------------------------------------------------------


class _App(http.server.BaseHTTPRequestHandler):
    """POST says how much it got; GET sends a body that only the end of the connection ends."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        size = 0
        if self.headers.get("Transfer-Encoding") == "chunked":
            while length := int(self.rfile.readline(), 16):
                size += len(self.rfile.read(length))
                self.rfile.readline()
            self.rfile.readline()
        else:
            size = len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        body = b'{"got": %d}' % size
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


class _Forward(socketserver.BaseRequestHandler):
    """CONNECT host:port, and then bytes both ways."""

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = self.request.recv(65536)
            if not data:
                return
            head += data
        method, where, _ = head.split(b" ", 2)
        host, _, port = where.partition(b":")
        if method != b"CONNECT":
            self.request.sendall(b"HTTP/1.1 405 Not Allowed\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection((host.decode(), int(port)), PATIENCE) as other:
            self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(other, self.request), daemon=True)
            back.start()
            _pump(self.request, other)
            back.join(PATIENCE)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class _Threaded(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, *_: Any) -> None:
        """Clients leave in the middle here."""


@contextlib.contextmanager
def _serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    with _Threaded(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield int(server.server_address[1])
        server.shutdown()
        thread.join(PATIENCE)


def _echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


@contextlib.contextmanager
def _websockets() -> Iterator[int]:
    with serve(_echo, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield int(server.socket.getsockname()[1])
        server.shutdown()
        thread.join(PATIENCE)


@contextlib.contextmanager
def _nginx(folder: Path, **ports: int) -> Iterator[None]:
    (folder / "www").mkdir(parents=True)
    files = {"big.txt": BIG, "chunked.txt": CHUNKED, "note.txt": NOTE}
    files["items.json"] = b'[{"id": 1, "name": "pen"}, {"id": 2, "name": "cup"}]\n'
    for name, data in files.items():
        (folder / "www" / name).write_bytes(data)
    user = "user root;" if os.geteuid() == 0 else ""
    text = _NGINX.format(user=user, folder=folder, **ports)
    (folder / "nginx.conf").write_text(text)
    command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError), Client(ports["port"]):
                break
            assert process.poll() is None, (folder / "error.log").read_text()
            assert time.monotonic() < end, "nginx never listened"
            time.sleep(0.02)
        yield
    finally:
        process.kill()
        process.wait()


def _certificate(folder: Path) -> Path:
    """The authority's file; nginx has its own."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    given = authority.issue_cert("shop.example")
    given.private_key_pem.write_to_path(str(folder / "key.pem"))
    for blob in given.cert_chain_pems:
        blob.write_to_path(str(folder / "cert.pem"), append=True)
    return folder / "ca.pem"


# ---- the place -----------------------------------------------------------------------------------


class Web:
    """requests with one connection and without retries, as harness.usable wants a client."""

    def __init__(self, port: int, timeout: float = 5) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.timeout = timeout
        self.session = requests.Session()
        self.session.trust_env = False
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=1, pool_block=True)
        self.session.mount("http://", adapter)

    def ask(self, path: str, method: str = "GET", **options: Any) -> requests.Response:
        options.setdefault("timeout", self.timeout)
        return self.session.request(method, self.url + path, **options)

    def says(self, path: str, method: str = "GET", **options: Any) -> str:
        """`200 hello`: status and body."""
        reply = self.ask(path, method, **options)
        return f"{reply.status_code} {reply.text}".rstrip()

    def thread_id(self) -> str:
        """nginx's number of the connection."""
        return self.says("/whoami")

    def ping(self, reconnect: bool = True) -> None:
        assert self.says("/hello", timeout=5) == "200 hello"

    def close(self) -> None:
        self.session.close()

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Place:
    """The servers, the proxies, and the clients of one test."""

    def __init__(self, node: Node, folder: Path, upstream: int) -> None:
        self.node = node
        self.folder = folder
        self.upstream = upstream
        self.port = node.port("web")
        self.clients: list[Web] = []

    def client(self, proxy: str = "web", timeout: float = 5) -> Web:
        made = Web(self.node.port(proxy), timeout)
        self.clients.append(made)
        return made

    def raw(self, proxy: str = "web") -> Client:
        """A socket, see nginx_server."""
        return Client(self.node.port(proxy))

    def write(self, data: bytes) -> None:
        """Another /note.txt."""
        (self.folder / "www" / "note.txt").write_bytes(data)

    def served(self, line: str) -> int:
        """How often nginx has answered so: `POST /charge 200`."""
        return (self.folder / "access.log").read_text().splitlines().count(line)

    def wait_served(self, line: str, count: int) -> None:
        """nginx writes its log when a request is over."""
        self.node.control.wait_until(lambda: self.served(line) >= count)
        assert self.served(line) == count

    def close(self) -> None:
        while self.clients:
            self.clients.pop().close()


@contextlib.contextmanager
def started(folder: Path) -> Iterator[Place]:
    server = folder / "nginx"
    ca = _certificate(server)
    ports = {"port": free_port(), "tls": free_port()}
    with (
        _serving(_App) as app,
        _serving(_Forward) as forward,
        _websockets() as ws,
        _nginx(server, app=app, ws=ws, **ports),
        running(folder, INI.format(forward=forward, ca=ca, **ports)) as node,
    ):
        yield Place(node, server, ports["port"])


PROXIES = ("web", "hosted", "secure", "distrusted", "tunnels")


@contextlib.contextmanager
def cleared(place: Place) -> Iterator[Place]:
    """For one test: known files, an empty log, nothing installed and nobody connected."""
    place.node.clear()
    for proxy in PROXIES:
        place.node.empty(proxy)
    place.write(NOTE)
    os.truncate(place.folder / "access.log", 0)
    yield place
    place.close()
    place.node.clear()


def by_fresh(does: Callable[[Web], Any], **options: Any) -> Callable[[Web], Any]:
    """Do it as a client that connects anew."""

    def call(web: Web) -> Any:
        with Web(int(web.url.rpartition(":")[2]), **options) as other:
            return does(other)

    return call
