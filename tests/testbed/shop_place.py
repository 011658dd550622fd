"""The testbed's shop in both modes: real servers, a rascal-proxy in front of each, plain processes.

    with place(tmp_path) as here:
        with here.shop("fragile") as shop, shop.fault("payment", "hang", fired=None):
            shop.get("/health")

The proxies are db, cache, jobs, payment, mail and names, for each mode its own (fragile-db …); the
shop knows them by names of shop.internal alone.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dns.message
import dns.rrset
import requests

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from harness import Armed, Node, running
from mysql_servers import mariadb, mariadb_missing
from redis_servers import REDIS, redis_server

from rascal.demo.children import Child, Children, free_port, listening

ROOT = Path(__file__).parents[2]
APP = ROOT / "testbed" / "sampleapp"
PATIENCE = 30.0
MODES = ("fragile", "resilient")
PROXIES = {"db": "mysql", "cache": "memcached", "jobs": "redis", "payment": "http", "mail": "smtp"}


@functools.cache
def missing() -> str:
    """Why the shop cannot run here; empty: it can."""
    if why := mariadb_missing():
        return why
    if not REDIS:
        return "redis-server is not installed"
    if not shutil.which("memcached"):
        return "memcached is not installed"
    return python()[1]


@functools.cache
def python() -> tuple[str, str]:
    """The shop's Python, made by script/get-shop if need be; or why there is none."""
    made = subprocess.run(
        [ROOT / "script" / "get-shop"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHON": getattr(sys, "_base_executable", sys.executable)},
    )
    if made.returncode:
        return "", f"the shop has no environment: {made.stderr.strip().splitlines()[-1]}"
    return made.stdout.strip(), ""


@contextlib.contextmanager
def name_server() -> Iterator[int]:
    """Everything under shop.internal is here, for a second."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]

        def run() -> None:
            while True:
                data, peer = sock.recvfrom(65535)
                if data == b"stop":
                    return
                query = dns.message.from_wire(data)
                answer = dns.message.make_response(query)
                name = query.question[0].name
                answer.answer.append(dns.rrset.from_text(name, 1, "IN", "A", "127.0.0.1"))
                sock.sendto(answer.to_wire(), peer)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield port
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stop:
                stop.sendto(b"stop", ("127.0.0.1", port))
            thread.join()


@dataclass
class Shop:
    """One shop that runs."""

    mode: str
    node: Node
    children: Children
    environment: dict[str, str]
    ports: dict[str, int] = field(default_factory=dict)
    running: dict[str, Child] = field(default_factory=dict)
    session: requests.Session = field(default_factory=requests.Session)

    def proxy(self, name: str) -> str:
        """The name of its own proxy of this kind."""
        return f"{self.mode}-{name}"

    def fault(
        self, proxy: str, sentence: str, *, fired: int | None = 1
    ) -> contextlib.AbstractContextManager[Armed]:
        """A fault on one of its proxies, for a block; see Node.fault."""
        return self.node.fault(self.proxy(proxy), sentence, fired=fired)

    def start(self, program: str) -> None:
        """Start one of web, office, worker, and wait for it."""
        port = self.ports.setdefault(program, free_port())
        ready = listening(("127.0.0.1", port)) if program != "worker" else None
        self.running[program] = self.children.start(
            f"{self.mode}-{program}",
            [python()[0], "-m", f"shop.{program}"],
            ready=ready,
            environment={**self.environment, "SHOP_PORT": str(port)},
        )

    def stop(self, program: str) -> None:
        child = self.running.pop(program)
        self.children.running.remove(child)
        child.stop()

    def restart(self, program: str) -> None:
        self.stop(program)
        self.start(program)

    def url(self, path: str, program: str = "web") -> str:
        return f"http://127.0.0.1:{self.ports[program]}{path}"

    def get(self, path: str, timeout: float = PATIENCE) -> requests.Response:
        return self.session.get(self.url(path), timeout=timeout)

    def post(self, path: str, timeout: float = PATIENCE, **more: Any) -> requests.Response:
        return self.session.post(self.url(path), timeout=timeout, **more)

    def cart(self, *products: int) -> int:
        """A cart with these in it."""
        cart = None
        for product in products or (7,):
            reply = self.post("/cart", json={"product": product, "cart": cart})
            assert reply.status_code == 201, reply.text
            cart = int(reply.json()["cart"])
        assert cart is not None
        return cart

    def checkout(self, cart: int, timeout: float = PATIENCE, **headers: str) -> requests.Response:
        return self.post("/checkout", timeout, json={"cart": cart}, headers=headers)

    @property
    def books(self) -> dict[str, Any]:
        """What the back office says."""
        reply = requests.get(self.url("/invariants", "office"), timeout=PATIENCE)
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def wait(self, condition: Callable[[dict[str, Any]], object], what: str = "") -> dict[str, Any]:
        """Until the books are so; the books."""
        end = time.monotonic() + PATIENCE
        while not condition(books := self.books):
            assert time.monotonic() < end, f"{what}: {books}\n{self.logs}"
            time.sleep(0.1)
        return books

    def settled(self, orders: int) -> dict[str, Any]:
        """The books, when nothing is under way any more and there are so many orders."""
        return self.wait(lambda books: books["settled"] and books["orders"] == orders, "settled")

    def reset(self) -> None:
        reply = requests.post(self.url("/reset", "office"), timeout=PATIENCE)
        assert reply.status_code == 200, reply.text

    def again(self, order: int) -> None:
        """Have the job of this order delivered once more, and wait until it is done."""
        job = f"'shop.jobs.fulfil', {order}, job_id='order-{order}'"
        code = f"from shop.{self.mode} import queue; queue.queue.enqueue({job})"
        words = [python()[0], "-c", f"from shop.parts import names; names.install(); {code}"]
        subprocess.run(words, check=True, env={**os.environ, **self.environment})
        end = time.monotonic() + PATIENCE
        while self.get(f"/orders/{order}").json()["status"] != "finished":
            assert time.monotonic() < end, self.logs
            time.sleep(0.1)

    @property
    def logs(self) -> str:
        return "\n".join(f"--- {name}\n{child.text}" for name, child in self.running.items())


def at_once(count: int, call: Callable[[int], Any]) -> list[Any]:
    """Call it so many times at the same time."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(call, range(count)))


@dataclass
class Place:
    """The servers, and the proxies before them."""

    node: Node
    children: Children
    direct: dict[str, int]

    @contextlib.contextmanager
    def shop(self, mode: str) -> Iterator[Shop]:
        """A shop with web, worker and office, as long as the block lasts."""
        at = {name: f"{name}.shop.internal:{self.node.port(f'{mode}-{name}')}" for name in PROXIES}
        here = {name: f"127.0.0.1:{port}" for name, port in self.direct.items()}
        number = MODES.index(mode)
        environment = {
            "PYTHONPATH": str(APP),
            "SHOP_MODE": mode,
            "SHOP_CATALOGUE_SECONDS": "1",
            "SHOP_DATABASE": f"mysql://shop:secret@{at['db']}/shop_{mode}",
            "SHOP_CACHE": at["cache"],
            "SHOP_QUEUE": f"redis://{at['jobs']}/{number}",
            "SHOP_PAYMENT": f"http://{at['payment']}/{mode}",
            "SHOP_MAIL": at["mail"],
            "SHOP_DNS": f"127.0.0.1:{self.node.port(f'{mode}-names')}",
            "SHOP_DIRECT_DATABASE": f"mysql://shop:secret@{here['db']}/shop_{mode}",
            "SHOP_DIRECT_CACHE": here["cache"],
            "SHOP_DIRECT_QUEUE": f"redis://{here['jobs']}/{number}",
            "SHOP_DIRECT_PAYMENT": f"http://{here['payment']}/{mode}",
            "SHOP_DIRECT_MAIL": f"http://{here['counter']}",
        }
        shop = Shop(mode, self.node, self.children, environment)
        try:
            for program in ("web", "office", "worker"):
                shop.start(program)
            yield shop
        finally:
            for program in list(shop.running):
                shop.stop(program)
            shop.session.close()


@contextlib.contextmanager
def place(folder: Path) -> Iterator[Place]:
    """Start all that the shops need."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(mariadb(folder, "--innodb-flush-log-at-trx-commit=0"))
        _schemas(database.socket)
        direct = {"db": database.port, "jobs": stack.enter_context(redis_server(folder / "redis"))}
        children = stack.enter_context(Children(folder))
        direct |= {name: free_port() for name in ("cache", "payment", "mail", "counter")}
        root = ["-u", "root"] if os.geteuid() == 0 else []
        memcached = ["memcached", "-l", "127.0.0.1", "-p", str(direct["cache"]), "-U", "0", *root]
        children.start("memcached", memcached, ready=_listens(direct["cache"]))
        shop = [python()[0], "-m"]
        environment = {"PYTHONPATH": str(APP), "SHOP_PORT": str(direct["payment"])}
        children.start(
            "payment",
            [*shop, "shop.payment"],
            ready=_listens(direct["payment"]),
            environment=environment,
        )
        environment["SHOP_PORT"] = str(direct["counter"])
        environment["SHOP_SMTP_PORT"] = str(direct["mail"])
        children.start(
            "mail", [*shop, "shop.mail"], ready=_listens(direct["counter"]), environment=environment
        )
        direct["names"] = stack.enter_context(name_server())
        ini = ""
        for mode in MODES:
            for name, protocol in {**PROXIES, "names": "dns"}.items():
                ini += f"[proxy:{mode}-{name}]\nprotocol = {protocol}\n"
                ini += f"listen = 127.0.0.1:{{free}}\nupstream = 127.0.0.1:{direct[name]}\n\n"
        node = stack.enter_context(running(folder / "node", ini))
        yield Place(node, children, direct)


def _listens(port: int) -> Callable[[], bool]:
    return listening(("127.0.0.1", port))


def _schemas(path: str) -> None:
    import pymysql

    root = pymysql.connect(unix_socket=path, user="root")
    with root, root.cursor() as cursor:
        for mode in MODES:
            cursor.execute(f"CREATE DATABASE shop_{mode} CHARACTER SET utf8mb4")
