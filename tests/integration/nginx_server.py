"""A real nginx, and a real HAProxy, for a test: own configuration, own folder, always ended."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

NGINX = shutil.which("nginx") or ("/usr/sbin/nginx" if os.path.exists("/usr/sbin/nginx") else "")
HAPROXY = shutil.which("haproxy") or (
    "/usr/sbin/haproxy" if os.path.exists("/usr/sbin/haproxy") else ""
)
PATIENCE = 10.0
WRITTEN = 1_700_000_000
"""When every file below was last changed: ETag and Last-Modified are the same in every run."""

_NGINX = """
{user}
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    server_tokens off;
    default_type text/plain;
    types {{ text/html html; application/json json; }}
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m;
    limit_req_zone $binary_remote_addr zone=two:1m rate=1r/m;
    large_client_header_buffers 2 1k;
    client_header_buffer_size 1k;
    map $http_upgrade $what {{ default upgrade; '' close; }}
    server {{
        listen 127.0.0.1:{port};
        root {folder}/www;
        client_max_body_size 1k;
        location /hidden {{ deny all; }}
        location /busy {{ limit_req zone=one; try_files /index.html =404; }}
        location /often {{ limit_req zone=two; limit_req_status 429; try_files /index.html =404; }}
        location /private {{ auth_basic restricted; auth_basic_user_file {folder}/users; }}
        location /down {{ proxy_pass http://127.0.0.1:1; }}
        location /silent {{ proxy_pass http://unix:{folder}/silent; proxy_read_timeout 100ms; }}
        location /garbage {{ proxy_pass http://unix:{folder}/garbage; }}
        location /failing {{ proxy_pass http://unix:{folder}/failing; }}
        location /cycle {{ rewrite ^ /cycle2 last; }}
        location /cycle2 {{ rewrite ^ /cycle last; }}
        location /dav/ {{ dav_methods PUT DELETE MKCOL COPY MOVE; client_max_body_size 1m; }}
        location /hello {{ return 200 hello; }}
        {returns}
    }}
}}
"""

_HAPROXY = """
global
    stats socket {folder}/stats
defaults
    mode http
    timeout connect 200ms
    timeout client 500ms
    timeout server 200ms
    timeout http-request 300ms
frontend all
    bind 127.0.0.1:{port}
{denials}
    http-request redirect location /else code 302 if {{ path /302 }}
    http-request redirect location /else code 301 if {{ path /301 }}
    use_backend silent if {{ path /silent }}
    use_backend garbage if {{ path /garbage }}
    use_backend nobody if {{ path /nobody }}
    default_backend down
backend down
    server a 127.0.0.1:1
backend nobody
backend silent
    server a unix@{folder}/silent
backend garbage
    server a unix@{folder}/garbage
"""

RETURNS = (204, 302, 303, 307, 308, 402, 406, 410, 421)
REDIRECTS = (302, 303, 307, 308)
DENIALS = (400, 401, 403, 404, 405, 407, 408, 410, 413, 425, 429, 500, 501, 502, 503, 504)


def version(command: str) -> str:
    """As the server says it: "nginx 1.22.1"."""
    done = subprocess.run([command, "-v"], capture_output=True, text=True, check=True)
    found = re.search(r"(nginx|HAProxy)[/ ](?:version )?([0-9.]+)", done.stdout + done.stderr)
    assert found is not None
    return f"{found[1]} {found[2]}"


class Peer(threading.Thread):
    """An upstream on a UNIX socket that answers every connection with the same bytes, or never."""

    def __init__(self, path: pathlib.Path, says: bytes) -> None:
        super().__init__(daemon=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        path.chmod(0o777)
        self.listener.listen(16)
        self.says = says
        self.kept: list[socket.socket] = []
        self.start()

    def run(self) -> None:
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            if not self.says:
                self.kept.append(peer)
                continue
            with peer, contextlib.suppress(OSError):
                peer.recv(65536)
                peer.sendall(self.says)

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.join(PATIENCE)
        for peer in self.kept:
            peer.close()


class Client:
    """A connection that sends bytes and reads replies as they come."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.data = b""

    def __call__(self, data: bytes, *, head_only: bool = False) -> bytes:
        """One request, its whole reply."""
        self.socket.sendall(data)
        return self.reply(head_only=head_only)

    def reply(self, *, head_only: bool = False) -> bytes:
        self._until(lambda: b"\r\n\r\n" in self.data)
        head, _, _ = self.data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
        size = len(head) + 4 + (int(length[1]) if length and not head_only else 0)
        self._until(lambda: len(self.data) >= size)
        reply, self.data = self.data[:size], self.data[size:]
        return reply

    def _until(self, true: Callable[[], bool]) -> None:
        while not true():
            more = self.socket.recv(65536)
            assert more, f"the server closed after {self.data!r}"
            self.data += more

    def closed(self, within: float = 0.2) -> bool:
        """Whether the server closes the connection now."""
        self.socket.settimeout(within)
        try:
            return self.socket.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        finally:
            self.socket.settimeout(PATIENCE)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _write(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (WRITTEN, WRITTEN))


@contextlib.contextmanager
def _running(folder: pathlib.Path, port: int, command: list[str]) -> Iterator[int]:
    failing = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\noops\n"
    says = {"silent": b"", "garbage": b"garbage\r\n\r\n", "failing": failing}
    peers = [Peer(folder / name, words) for name, words in says.items()]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError), Client(port):
                break
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < end, "the server never listened"
            time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()
        for peer in peers:
            peer.stop()


@contextlib.contextmanager
def nginx(folder: pathlib.Path) -> Iterator[int]:
    """A running nginx; its port."""
    port = _free_port()
    _write(folder / "www" / "index.html", "hello\n")
    _write(folder / "www" / "items.json", '[{"id": 1}, {"id": 2}]\n')
    _write(folder / "www" / "large.txt", "0123456789" * 20_000)
    _write(folder / "www" / "dir" / "index.html", "in a folder\n")
    _write(folder / "www" / "dav" / "there.txt", "there\n")
    _write(folder / "users", "")
    lines = []
    for status in RETURNS:
        where = " /else" if status in REDIRECTS else ""
        lines.append(f"location /{status} {{ return {status}{where}; }}")
    user = "user root;" if os.geteuid() == 0 else ""
    text = _NGINX.format(user=user, folder=folder, port=port, returns="\n        ".join(lines))
    _write(folder / "nginx.conf", text)
    command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with _running(folder, port, command):
        yield port


@contextlib.contextmanager
def haproxy(folder: pathlib.Path) -> Iterator[int]:
    """A running HAProxy; its port."""
    port = _free_port()
    denials = "\n".join(
        f"    http-request deny deny_status {status} if {{ path /{status} }}" for status in DENIALS
    )
    text = _HAPROXY.format(folder=folder, port=port, denials=denials)
    _write(folder / "haproxy.cfg", text)
    with _running(folder, port, [HAPROXY, "-db", "-f", str(folder / "haproxy.cfg")]):
        yield port
