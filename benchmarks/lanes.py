"""The ways from a client to a server that are compared: lanes.

    direct       no proxy
    tcp          Rascal, protocol = tcp: it relays bytes
    rascal       Rascal with the codec of the protocol, no fault armed: it keeps its place
    armed        the same with a fault armed that matches none of this traffic: each request is
                 framed, its head parsed and asked about
    haproxy      mode tcp, one thread, as it comes
    splice       HAProxy with 64 KiB buffers and splice-auto (bulk only)
    nginx        stream proxy, one process
    toxiproxy    one proxy without toxics

Rivals are started where they are installed. All lanes of a server lead to the same server process.
"""

from __future__ import annotations

import json
import os
import shutil
import urllib.request
from collections.abc import Callable, Collection
from pathlib import Path

import attrs

from rascal.demo.children import Address, Child, Children, free_port, listening, module
from rascal.demo.node import Node, start_node
from rascal.demo.servers import find, memcached, mysql, redis

PROTOCOLS = {
    "redis": "redis",
    "http": "http",
    "memcached": "memcached",
    "mysql": "mysql",
    "bulk": "tcp",
}
UNMATCHED = {
    "redis": "delay 1s match key^=never:",
    "http": "delay 1s match path^=/never",
    "memcached": "delay 1s match key^=never:",
    "mysql": "delay 1s match statement=UPDATE",
}
PAGE = 256
BIG = 10_000_000


@attrs.frozen
class Lane:
    """One way: where its proxy listens for each server, and its processes."""

    name: str
    addresses: dict[str, Address]
    children: tuple[Child, ...] = ()

    @property
    def cpu(self) -> float:
        """User and system seconds of its processes so far."""
        return sum(cpu_seconds(child.pid) for child in self.children)

    @property
    def memory(self) -> int:
        """Bytes that belong to its processes alone (RssAnon)."""
        return sum(anonymous_bytes(child.pid) for child in self.children)


@attrs.frozen
class Pins:
    """Words before a command that tie it to a core; empty where cores are too few."""

    client: tuple[str, ...] = ()
    server: tuple[str, ...] = ()
    proxy: tuple[str, ...] = ()
    said: str = "not pinned"


def pins(wanted: bool | None) -> Pins:
    """One core each for client, server and proxy, from three cores on unless told otherwise."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if shutil.which("taskset") is None or not cores:
        return Pins(said="not pinned: there is no taskset")
    if wanted is None:
        wanted = len(cores) >= 3
    if not wanted:
        return Pins(said=f"not pinned: {len(cores)} cores for client, server and proxy")
    picked = [cores[n % len(cores)] for n in range(3)]
    words = [("taskset", "-c", str(core)) for core in picked]
    return Pins(*words, said="client, server, proxy on cores " + ", ".join(map(str, picked)))


def start_servers(children: Children, pin: Pins) -> dict[str, Address]:
    """The real servers; those that are missing are left out."""
    found: dict[str, Address] = {}
    running = {"redis": redis(children), "memcached": memcached(children)}
    if find("mariadbd") or find("mysqld"):
        running["mysql"] = mysql(children)
    for name, server in running.items():
        if server.stand_in:
            continue
        found[name] = server.address
        if pin.server:
            os.system(
                f"{' '.join(pin.server[:2])} -ap {pin.server[2]} {server.child.pid} >/dev/null"
            )
    if find("nginx") and find("wrk"):
        found["http"] = _nginx_site(children, pin)
    port = free_port()
    command = [*pin.server, *module_file("peers.py"), "source", str(port)]
    children.start("source", command, ready=listening(("127.0.0.1", port)))
    found["bulk"] = ("127.0.0.1", port)
    return found


def start_lanes(
    children: Children, servers: dict[str, Address], pin: Pins, wanted: Collection[str] | None
) -> dict[str, Lane]:
    """Everything that can be compared here, or what is wanted of it; `direct` first."""
    makers: dict[str, Callable[[], Lane]] = {
        "tcp": lambda: _rascal(children, "tcp", servers, pin, codec=False),
        "rascal": lambda: _rascal(children, "rascal", servers, pin),
        "armed": lambda: _rascal(children, "armed", servers, pin, armed=True),
    }
    if find("haproxy"):
        makers["haproxy"] = lambda: _haproxy(children, "haproxy", servers, pin, "")
        large, splice = "  tune.bufsize 65536\n", "  option splice-auto\n"
        makers["splice"] = lambda: _haproxy(children, "splice", servers, pin, large, splice)
    if find("nginx") and stream_module() is not None:
        makers["nginx"] = lambda: _nginx_stream(children, servers, pin)
    if find("toxiproxy-server"):
        makers["toxiproxy"] = lambda: _toxiproxy(children, servers, pin)
    lanes = {"direct": Lane("direct", servers)}
    for name, make in makers.items():
        if wanted is None or name in wanted:
            lanes[name] = make()
    return lanes


def stream_module() -> str | None:
    """The line that loads nginx's stream module: "" if it is built in, None if there is none."""
    folders = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/etc/nginx/modules")
    for folder in folders:
        file = Path(folder) / "ngx_stream_module.so"
        if file.exists():
            return f"load_module {file};\n"
    return None


def module_file(name: str) -> list[str]:
    """The command that runs a file of this folder."""
    return [module("x")[0], str(Path(__file__).with_name(name))]


def cpu_seconds(pid: int) -> float:
    """User and system seconds of a process, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def anonymous_bytes(pid: int) -> int:
    """Resident memory that is not of files."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def _folder(children: Children, name: str) -> Children:
    """Children of a folder below, ended with those above."""
    folder = children.folder / name
    folder.mkdir()
    made = Children(folder)
    made.running = children.running
    return made


def _rascal(
    children: Children,
    name: str,
    servers: dict[str, Address],
    pin: Pins,
    *,
    codec: bool = True,
    armed: bool = False,
) -> Lane:
    upstreams = {
        server: (PROTOCOLS[server] if codec else "tcp", address)
        for server, address in servers.items()
    }
    faults = {one: UNMATCHED[one] for one in servers if armed and one in UNMATCHED}
    node: Node = start_node(_folder(children, name), upstreams, faults=faults, prefix=pin.proxy)
    return Lane(name, node.addresses, (node.child,))


def _haproxy(
    children: Children,
    name: str,
    servers: dict[str, Address],
    pin: Pins,
    globals_: str,
    more: str = "",
) -> Lane:
    mine = _folder(children, name)
    ports = {server: ("127.0.0.1", free_port()) for server in servers}
    text = f"global\n  maxconn 4000\n  nbthread 1\n{globals_}defaults\n  mode tcp\n{more}"
    text += "".join(f"  timeout {which} 1h\n" for which in ("client", "server", "connect"))
    for server, (host, port) in servers.items():
        text += f"listen {server}\n  bind 127.0.0.1:{ports[server][1]}\n  server s {host}:{port}\n"
    file = mine.folder / "haproxy.cfg"
    file.write_text(text)
    command = [*pin.proxy, find("haproxy") or "haproxy", "-db", "-f", file]
    child = mine.start(name, command, ready=listening(ports["redis"]))
    return Lane(name, ports, (child,))


_NGINX = "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr;\n"
_EVENTS = "events {{ worker_connections 8000; }}\n"


def _nginx(children: Children, pin: tuple[str, ...], text: str, ready: Address) -> Child:
    file = children.folder / "nginx.conf"
    file.write_text(text)
    command = [*pin, find("nginx") or "nginx", "-p", children.folder, "-c", file]
    return children.start("nginx", command, ready=listening(ready))


def _nginx_site(children: Children, pin: Pins) -> Address:
    mine = _folder(children, "site")
    (mine.folder / "page").write_bytes(b"x" * PAGE)
    (mine.folder / "big").write_bytes(bytes(BIG))
    mine.folder.chmod(0o755)
    address = ("127.0.0.1", free_port())
    user = "user root;\n" if os.geteuid() == 0 else ""
    temp = "".join(
        f"  {name}_temp_path {mine.folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = user + (_NGINX + _EVENTS).format(folder=mine.folder)
    text += f"http {{\n  access_log off;\n  keepalive_requests 100000000;\n{temp}"
    text += f"  server {{ listen 127.0.0.1:{address[1]}; root {mine.folder}; sendfile on;\n"
    text += "    open_file_cache max=100; tcp_nodelay on; }\n}\n"
    _nginx(mine, pin.server, text, address)
    return address


def _nginx_stream(children: Children, servers: dict[str, Address], pin: Pins) -> Lane:
    mine = _folder(children, "nginx")
    ports = {server: ("127.0.0.1", free_port()) for server in servers}
    text = (stream_module() or "") + (_NGINX + _EVENTS).format(folder=mine.folder) + "stream {\n"
    for server, (host, port) in servers.items():
        listen = f"listen 127.0.0.1:{ports[server][1]};"
        text += f"  server {{ {listen} proxy_pass {host}:{port}; proxy_timeout 1h; }}\n"
    child = _nginx(mine, pin.proxy, text + "}\n", ports["redis"])
    return Lane("nginx", ports, (child,))


def _toxiproxy(children: Children, servers: dict[str, Address], pin: Pins) -> Lane:
    mine = _folder(children, "toxiproxy")
    control = free_port()
    command = [*pin.proxy, find("toxiproxy-server") or "toxiproxy-server"]
    command += ["-host", "127.0.0.1", "-port", str(control)]
    child = mine.start("toxiproxy", command, ready=listening(("127.0.0.1", control)))
    ports = {server: ("127.0.0.1", free_port()) for server in servers}
    for server, (host, port) in servers.items():
        proxy = {"name": server, "listen": f"127.0.0.1:{ports[server][1]}"}
        body = json.dumps({**proxy, "upstream": f"{host}:{port}", "enabled": True}).encode()
        urllib.request.urlopen(f"http://127.0.0.1:{control}/proxies", body, timeout=10).close()
    return Lane("toxiproxy", ports, (child,))
