"""An unbound of one's own on a loopback port, with zones of its own and nothing else.

shop.internal has data and a SOA, refused.internal is refused, down.internal is forwarded to one
that only says SERVFAIL, everything else is nothing that it knows.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.query
import dns.rcode

from rascal.demo.children import Children, free_port

UNBOUND = shutil.which("unbound") or ""

CONFIG = """
server:
    directory: "{folder}"
    chroot: ""
    username: ""
    pidfile: "{folder}/unbound.pid"
    use-syslog: no
    logfile: ""
    interface: 127.0.0.1@{port}
    do-ip6: no
    do-daemonize: no
    do-not-query-localhost: no
    module-config: "iterator"
    num-threads: 1
    ede: yes
    access-control: 127.0.0.0/8 allow
    local-zone: "shop.internal." static
    local-data: "shop.internal. 300 IN SOA ns.shop.internal. h.shop.internal. 1 3600 900 6048 3600"
    local-data: "shop.internal. 300 IN NS ns.shop.internal."
    local-data: "db.shop.internal. 300 IN A 127.0.0.1"
    local-data: "db.shop.internal. 300 IN AAAA ::1"
    local-data: "v4.shop.internal. 300 IN A 127.0.0.4"
    local-data: "many.shop.internal. 300 IN A 127.0.0.11"
    local-data: "many.shop.internal. 300 IN A 127.0.0.12"
    local-data: "many.shop.internal. 300 IN A 127.0.0.13"
    local-data: "mail.shop.internal. 300 IN MX 10 db.shop.internal."
    local-data: 'big.shop.internal. 300 IN TXT {long}'
    local-zone: "refused.internal." refuse
    local-zone: "." static
    local-zone: "down.internal." transparent
forward-zone:
    name: "down.internal."
    forward-addr: 127.0.0.1@{nowhere}
remote-control:
    control-enable: no
"""


def ask(port: int, name: str, kind: str = "A", *, tcp: bool = False, **more: object) -> bytes:
    """The bytes of an answer."""
    message = dns.message.make_query(name, kind, **more)  # type: ignore[arg-type]
    return exchange(port, message.to_wire(), tcp=tcp)


def exchange(port: int, data: bytes, *, tcp: bool = False) -> bytes:
    """Send these bytes, take what comes back."""
    kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.settimeout(10)
        sock.connect(("127.0.0.1", port))
        if not tcp:
            sock.send(data)
            return sock.recv(65535)
        sock.sendall(len(data).to_bytes(2, "big") + data)
        with sock.makefile("rb") as file:
            size = int.from_bytes(file.read(2), "big")
            return file.read(size)


class Broken:
    """A server that fails at everything."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while True:
            data, peer = self.socket.recvfrom(65535)
            if data == b"stop":
                return
            answer = dns.message.make_response(dns.message.from_wire(data))
            answer.set_rcode(dns.rcode.SERVFAIL)
            self.socket.sendto(answer.to_wire(), peer)

    def __enter__(self) -> Broken:
        return self

    def __exit__(self, *raised: object) -> None:
        self.socket.sendto(b"stop", ("127.0.0.1", self.port))
        self.thread.join(5)
        self.socket.close()


def version() -> str:
    found = subprocess.run([UNBOUND, "-V"], capture_output=True, text=True, check=True)
    return f"unbound {found.stdout.split()[1]}"


@contextlib.contextmanager
def unbound(folder: Path) -> Iterator[int]:
    """Run one; its port."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    file = folder / "unbound.conf"

    def ready() -> bool:
        query = dns.message.make_query("db.shop.internal", "A")
        try:
            return bool(dns.query.udp(query, "127.0.0.1", timeout=0.2, port=port).answer)
        except Exception:
            return False

    with Broken() as broken, Children(folder) as children:
        text = CONFIG.format(
            folder=folder, port=port, nowhere=broken.port, long=f'"{"x" * 250}" ' * 6
        )
        file.write_text(text, "utf-8")
        children.start("unbound", [UNBOUND, "-d", "-c", str(file)], ready=ready)
        yield port
