"""An export loads back to the state that was exported, whatever the API has made of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from asking import Asker
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = 200

KINDS = {
    "tcp": ["delay(2s)", "throttle(100KB/s) direction to_client", "refuse", "hang", "limit(1MB)"],
    "redis": [
        "20% delay(normal(80ms, 20ms)) match command=GET,MGET",
        "error(LOADING, text={text}) match key={text}",
        "error(OOM) match key^={text} and not command=DEL every 3 count 2",
        "lose_reply(then=reset) match key~{pattern} for 20s",
        "hang on_remove close",
        "0.5% error(BUSY) skip 2",
    ],
    "http": [
        "error(503, retry_after=2s) match method=POST and path={text}",
        "delay(percentiles(p50=20ms, p95=180ms)) match path~{pattern}",
        "30% error(500) match header.X-Tenant={text}",
    ],
    "mysql": [
        "error(deadlock) match statement=INSERT and sql~{pattern} every 3",
        "lose_reply(then=close) match statement=COMMIT count 1",
        "truncate(rows=10, then=reset) match in_transaction=yes",
    ],
    "memcached": ["empty match key^={text}", "delay(1s..3s) match command=get"],
}
SCRIPTS = {
    "redis": ["pass 2, error(LOADING), lose_reply(then=reset)", "error(OOM, text={text}) count 3"],
    "http": ["pass, error(503)", "delay(2s)"],
    "mysql": ["pass 2, error(deadlock), pass"],
    "memcached": ["pass, empty"],
}
SHARES = {
    "redis": ["error(OOM) match key={text}", "delay(2s)", "lose_reply(then=reset)"],
    "http": ["error(503) match path={text}", "delay(2s..3s) match method=GET"],
    "mysql": ["error(deadlock) match sql~{pattern}", "delay(1s) at request,reply"],
    "memcached": ["empty match key^={text}", "delay(50ms)"],
}
RECIPES = {"redis": "recipe cold-cache for 60s", "mysql": "recipe overloaded-database"}

texts = st.text(
    st.sampled_from("ab1 é€#;=,[](){}%$:/*+.|^-_'\"\t\\~<>!?&@\x85\u2028")
    | st.characters(exclude_categories=("Cs", "Cc")),
    min_size=1,
    max_size=8,
) | st.sampled_from(["${HOME}", "$${x}", "# no comment", "; x", "[a]", "x = y", "and", "yes"])
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True).map(lambda n: f"n{n}")


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


@st.composite
def installs(draw: Any, protocol: str) -> tuple[str, Any]:
    """(collection, data) of something to install."""
    text = quoted(draw(texts))
    pattern = quoted("^" + re.escape(draw(texts)))
    form = draw(st.sampled_from(["fault"] * 4 + ["roulette", "script", "recipe"]))
    data: dict[str, Any] = {}
    if draw(st.booleans()):
        data["name"] = draw(names)
    if draw(st.integers(0, 3)) == 0:
        data["enabled"] = False
    if form == "script" and protocol in SCRIPTS:
        data["steps"] = draw(st.sampled_from(SCRIPTS[protocol])).format(text=text, pattern=pattern)
        return "scripts", data
    if form == "recipe" and protocol in RECIPES:
        data.pop("enabled", None)
        return "recipes", data | {"text": RECIPES[protocol]}
    sentence = draw(st.sampled_from(KINDS[protocol]))
    if form == "roulette" and protocol in SCRIPTS:
        some = draw(st.lists(st.sampled_from(SHARES[protocol]), min_size=1, max_size=3))
        return "faults", data | {
            "roulette": [f"7% {one}".format(text=text, pattern=pattern) for one in some]
        }
    if draw(st.integers(0, 4)) == 0:
        data["lease"] = "run"
    return "faults", data | {"text": sentence.format(text=text, pattern=pattern)}


@st.composite
def states(draw: Any) -> list[tuple[dict[str, Any], list[tuple[str, Any]], int]]:
    found = []
    for n in range(draw(st.integers(0, 3))):
        protocol = draw(st.sampled_from(list(KINDS)))
        proxy: dict[str, Any] = {
            "name": draw(names) + f".{n}",
            "protocol": protocol,
            "listen": draw(
                st.sampled_from(
                    ["127.0.0.1:0", ["[::1]:0", f"127.0.0.1:{9000 + n}"], f"unix:/tmp/x{n}=#.sock"]
                )
            ),
            "upstream": draw(st.sampled_from(["127.0.0.1:1", "db.internal:33", "unix:/run/a b"])),
            "enabled": draw(st.booleans()),
            "options": draw(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "connect_timeout": st.sampled_from(["1.5s", "250ms"]),
                        "mirror": st.booleans(),
                        "backlog": st.integers(1, 65535),
                        "tls_name": texts.map(lambda text: text.strip("\t ")).filter(
                            lambda text: text.strip() and text.isprintable()
                        ),
                    },
                )
            ),
        }
        some = draw(st.lists(installs(protocol), max_size=6))
        found.append((proxy, some, draw(st.integers(0, 99))))
    return found


def state(ask: Any) -> dict[str, Any]:
    """What must be the same; a lease is its owner's and in no file."""
    found = ask("GET", "/api/v1/state").json
    for proxy in found["proxies"].values():
        for collection in ("faults", "scripts", "recipes"):
            for one in proxy[collection].values():
                one.pop("lease")
            proxy[collection] = list(proxy[collection].items())
    return {"proxies": list(found["proxies"].items()), "seed": found["seed"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def sites() -> list[Any]:
    """Two, used again and again: making one takes longer than an example."""
    from twisted.internet.task import Clock

    from rascal.config import Configuration
    from rascal.control._site import make_site
    from rascal.proxy.node import Node

    clocks = [Clock(), Clock()]
    nodes = [Node(Configuration(control=None), clock) for clock in clocks]
    for node in nodes:
        node.hangups.close()
    return [make_site(node, reactor=node.reactor) for node in nodes]


def start(file: Path, site: Any) -> Any:
    from rascal.config import difference, load
    from rascal.proxy.node import Node

    node = Node(load(str(file), {}), site.reactor, compare=difference)
    site.resource.api.node = node
    return node, Asker(site)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(found=states(), seed=st.integers(0, 10**15 - 1))
def test_an_export_loads_back(folder: Path, sites: Any, found: Any, seed: int) -> None:
    from rascal.config import load
    from rascal.control._state import configuration

    file = folder / "first.ini"
    file.write_text(
        "[rascal]\nhosts = a.example\n\n[proxy:base]\nprotocol = redis\n"
        "listen = 127.0.0.1:7\nupstream = ${X}:1\n".replace("${X}", "h")
    )
    node, ask = start(file, sites[0])
    assert ask("PUT", "/api/v1/seed", {"seed": seed}).status == 200
    for proxy, some, n in found:
        path = f"/api/v1/proxies/{proxy['name']}"
        changes = [{"method": "POST", "path": "/api/v1/proxies", "data": proxy}]
        made = ask("POST", "/api/v1/state", changes)
        assert made.status == 200, made.json
        for collection, data in some:
            made = ask("POST", f"{path}/{collection}", data)
            assert made.status == 201 or made.json["type"].endswith("/name-taken"), made.json
        every = [
            f"{path}/{where}/{name}"
            for where in ("faults", "scripts", "recipes")
            for name in ask("GET", f"{path}/{where}").json
        ]
        if every:
            chosen = every[n % len(every)]
            flip = ask("PATCH", chosen, {"enabled": not ask("GET", chosen).json["enabled"]})
            assert flip.status in (200, 409)
    answer = ask("GET", "/api/v1/export")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    again = folder / "again.ini"
    again.write_bytes(answer.body)
    loaded, expected = load(str(again), {}), configuration(node)
    assert loaded.proxies == expected.proxies
    assert list(loaded.proxies) == list(expected.proxies)
    assert (loaded.seed, loaded.hosts) == (seed, ("a.example",))
    other, asked = start(again, sites[1])
    assert state(asked) == state(ask)
    assert asked("GET", "/api/v1/export").body == answer.body
    for one in (node, other):
        one.leases.close()
        one.hangups.close()


def test_tokens_are_for_admins(ask: Any, node: Any, file: Path) -> None:
    import attrs

    from rascal.config import load

    file.write_text(file.read_text().replace("seed = 42", "tokens = admin boss, viewer look"))
    read = load(str(file), {})
    node.configuration = attrs.evolve(read)
    for token, shown in (("boss", True), ("look", False)):
        text = ask("GET", "/api/v1/export", headers={"Authorization": f"Bearer {token}"}).body
        assert (b"viewer sha256:" in text) == shown
        assert b"boss" not in text
        assert (b"# tokens: admin, viewer; not shown here" in text) != shown
