"""Where the proxies stand: names, addresses, networks, ports, order; for projects of any shape."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from composed import plan_of, top_of, wrapped
from hypothesis import given, settings
from hypothesis import strategies as st

from rascal.config import load
from rascal.config.tokens import hash_token
from rascal.errors import ConfigError
from rascal.wrapping.composing import CHECK, Wish, compose_text, ini_of
from rascal.wrapping.inifile import node_ini
from rascal.wrapping.plans import Wrap, names_of
from rascal.wrapping.reading import read_project
from rascal.wrapping.shapes import shape

SHOP = """
name: shop
services:
  web:
    build: .
    ports: ["8000:8000"]
    environment: {DATABASE_URL: mysql://db/shop, CACHE_HOST: cache.internal}
    depends_on: {db: {condition: service_healthy}}
  db:
    image: mysql:8.4
    container_name: shop-db
    ports: ["3306:3306"]
    healthcheck: {test: mysqladmin ping}
    volumes: ["data:/var/lib/mysql"]
  cache:
    image: memcached
    networks: {default: {aliases: [cache.internal]}}
volumes: {data: }
"""


def test_a_node_takes_the_names_and_the_backends_move(tmp_path: Path) -> None:
    found = wrapped(tmp_path, SHOP)
    services = found["services"]
    assert list(services) == ["rascal-proxy", "web", "db", "cache"]
    assert services["rascal-proxy"] == {
        "image": "rascal",
        "entrypoint": ["twistd", "-n", "--pidfile=", "rascal-proxy"],
        "command": ["--config", "/etc/rascal/proxies.ini"],
        "volumes": ["./rascal:/etc/rascal:ro"],
        "ports": ["127.0.0.1:8474:8474", "127.0.0.1:3306:3306"],
        "networks": {
            "rascal-control": None,
            "default": {"aliases": ["db", "shop-db", "cache", "cache.internal"]},
            "rascal-backends": None,
        },
        "depends_on": {
            "db": {"condition": "service_healthy"},
            "cache": {"condition": "service_started"},
        },
        "healthcheck": {
            "test": ["CMD", "python3", "-c", CHECK],
            "interval": "2s",
            "timeout": "3s",
            "retries": 30,
        },
    }
    assert services["db"] == {
        "image": "mysql:8.4",
        "container_name": "shop-db",
        "healthcheck": {"test": "mysqladmin ping"},
        "volumes": ["data:/var/lib/mysql"],
        "networks": {"rascal-backends": {"aliases": ["db-behind"]}},
    }
    assert services["cache"]["networks"] == {"rascal-backends": {"aliases": ["cache-behind"]}}
    assert services["web"]["ports"] == ["127.0.0.1:8000:8000"]
    assert services["web"]["depends_on"] == {
        "db": {"condition": "service_healthy"},
        "rascal-proxy": {"condition": "service_healthy"},
    }
    assert found["networks"] == {"rascal-control": None, "rascal-backends": None}
    assert found["name"] == "shop" and found["volumes"] == {"data": None}


def test_ports_that_were_for_all_can_stay_so(tmp_path: Path) -> None:
    found = wrapped(tmp_path, SHOP, keep_ports=True)["services"]
    assert found["web"]["ports"] == ["8000:8000"]
    assert found["rascal-proxy"]["ports"] == ["127.0.0.1:8474:8474", "3306:3306"]


@pytest.mark.parametrize(
    ("port", "becomes"),
    [
        ('"80:80"', "127.0.0.1:80:80"),
        ('"80"', "127.0.0.1::80"),
        ('"${P:-80}:80"', "127.0.0.1:${P:-80}:80"),
        ('"0.0.0.0:80:80"', "0.0.0.0:80:80"),
        ('"10.0.0.5:80:80"', "10.0.0.5:80:80"),
        ("{target: 80, published: 8080}", "127.0.0.1:8080:80"),
        ("{target: 80}", {"target": 80, "host_ip": "127.0.0.1"}),
        ("{target: 80, published: 80, host_ip: 0.0.0.0}",
         {"target": 80, "published": 80, "host_ip": "0.0.0.0"}),
    ],
)  # fmt: skip
def test_published_ports(tmp_path: Path, port: str, becomes: Any) -> None:
    text = (
        f"services: {{web: {{image: app, ports: [{port}], depends_on: [c]}}, c: {{image: redis}}}}"
    )
    assert wrapped(tmp_path, text)["services"]["web"]["ports"] == [becomes]


def test_same_ports_and_fixed_addresses_need_nodes_of_their_own(tmp_path: Path) -> None:
    found = plan_of(
        tmp_path,
        """
        services:
          one: {image: postgres, networks: {n: {ipv4_address: 10.9.0.5, aliases: [first]}}}
          two: {image: postgres, networks: [n]}
          three: {image: redis, networks: {n: {ipv4_address: 10.9.0.7}}}
          app: {image: app, networks: [n], ports: ["8474:80"]}
        networks: {n: {ipam: {config: [{subnet: 10.9.0.0/24}]}}}
        """,
    )
    assert [(n.name, n.control, [b.name for b in n.backends]) for n in found.nodes] == [
        ("rascal-proxy", 8475, ["one"]),
        ("rascal-proxy-2", 8476, ["two", "three"]),
    ]
    services = top_of(found)["services"]
    assert services["rascal-proxy"]["networks"]["n"] == {
        "aliases": ["one", "first"], "ipv4_address": "10.9.0.5",
    }  # fmt: skip
    assert services["rascal-proxy-2"]["networks"]["n"] == {
        "aliases": ["two", "three"], "ipv4_address": "10.9.0.7",
    }  # fmt: skip
    assert services["rascal-proxy-2"]["command"] == ["--config", "/etc/rascal/rascal-proxy-2.ini"]
    assert set(services["app"]["depends_on"]) == {"rascal-proxy", "rascal-proxy-2"}


def test_a_backend_that_calls_others_has_a_network_of_its_own(tmp_path: Path) -> None:
    found = wrapped(
        tmp_path,
        """
        services:
          front: {image: nginx, ports: ["80:80"], depends_on: [api]}
          api: {build: ., expose: [8000], environment: {DB_HOST: db, SEARCH_URL: "http://s:9200"}}
          db: {image: postgres}
          s: {image: elasticsearch}
        """,
    )["services"]
    networks = found["rascal-proxy"]["networks"]
    assert networks["default"] == {"aliases": ["api", "db", "s"]}
    assert networks["rascal-to-api"] == {"aliases": ["db", "s"]}
    assert found["api"]["networks"] == {"rascal-to-api": {"aliases": ["api-behind"]}}
    assert "networks" not in found["front"]
    # The node does not wait for what waits for it.
    assert set(found["rascal-proxy"]["depends_on"]) == {"db", "s"}
    assert set(found["api"]["depends_on"]) == {"rascal-proxy"}


def test_a_backend_still_reaches_what_is_left_out(tmp_path: Path) -> None:
    text = """
    services:
      front: {image: nginx, depends_on: [api]}
      api: {build: ., expose: [8000], environment: {DB_HOST: db}}
      db: {image: postgres}
    """
    found = top_of(plan_of(tmp_path, text, skip=["db"]))["services"]
    assert found["db"]["networks"] == {"default": None, "rascal-to-api": None}


def test_whom_a_backend_does_not_reach_any_more_is_said(tmp_path: Path) -> None:
    found = plan_of(
        tmp_path,
        """
        services:
          grafana: {image: grafana, environment: {SOURCE_URL: "http://prometheus:9090"}}
          prometheus: {image: prom/prometheus}
          web: {build: ., environment: {DB_HOST: db}}
          db: {image: postgres}
        """,
    )
    assert set(found.backends) == {"prometheus", "db"}
    (note,) = found.notes
    assert note.startswith("prometheus does not reach web any more")
    assert note.endswith("--skip prometheus")


def test_links_lead_to_the_node(tmp_path: Path) -> None:
    found = wrapped(
        tmp_path,
        """
        services:
          app: {image: app, links: [db, "cache:memory", other]}
          other: {image: app}
          db: {image: mysql}
          cache: {image: redis}
        """,
    )["services"]["app"]
    assert found["links"] == ["rascal-proxy:db", "rascal-proxy:memory", "other"]
    assert set(found["depends_on"]) == {"db", "cache", "rascal-proxy"}


def test_what_packets_notice_of_a_network_is_kept(tmp_path: Path) -> None:
    found = wrapped(
        tmp_path,
        """
        services:
          db: {image: mysql, networks: [back]}
          app: {image: app, networks: [back]}
        networks:
          back: {internal: true, driver_opts: {com.docker.network.driver.mtu: 1400, other: x}}
        """,
    )
    assert found["networks"]["rascal-backends"] == {
        "internal": True, "driver_opts": {"com.docker.network.driver.mtu": 1400},
    }  # fmt: skip


def test_backends_of_profiles_are_not_waited_for(tmp_path: Path) -> None:
    found = wrapped(tmp_path, "services: {db: {image: mysql, profiles: [x]}, r: {image: redis}}")
    assert set(found["services"]["rascal-proxy"]["depends_on"]) == {"r"}


def test_names_that_are_taken_are_not_taken_again(tmp_path: Path) -> None:
    found = plan_of(
        tmp_path,
        """
        services:
          db: {image: mysql, networks: [rascal-backends]}
          db-behind: {image: app}
        networks: {rascal-backends: }
        """,
    )
    assert found.backends["db"].upstream == "db-behind-2"
    assert found.backends["db"].network == "rascal-backends-2"


def test_a_file_of_ours_is_not_wrapped_again(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"written by rascal wrap\? Name the original") as caught:
        plan_of(tmp_path, "services:\n  rascal-proxy: {image: rascal}\n  db: {image: mysql}")
    assert caught.value.line == 2
    with pytest.raises(ConfigError, match=r"there is no service 'cach'.*Did you mean 'cache'"):
        plan_of(tmp_path, "services: {cache: {image: redis}}", skip=["cach"])


@pytest.mark.parametrize(
    ("services", "target"),
    [
        ('web: {build: ., ports: ["8000:80"]}', "http://127.0.0.1:8000"),
        ('a: {image: adminer, ports: ["1:80"]}, w: {build: ., ports: ["2:80"]}', "http://127.0.0.1:2"),
        ('w: {image: app, ports: ["443:443", "80:80"]}', "http://127.0.0.1:80"),
        ('w: {image: app, ports: ["8443:443"]}', "https://127.0.0.1:8443"),
        ('w: {image: app, ports: ["10.0.0.5:81:80"]}', "http://10.0.0.5:81"),
        ('w: {build: ., ports: ["3:80"], }, n: {image: nginx, ports: ["4:80"], depends_on: [w]}',
         "http://127.0.0.1:4"),
        ("web: {build: .}", ""),
        ('m: {image: mysql, ports: ["3306:3306"]}', ""),
    ],
)  # fmt: skip
def test_where_the_application_is(tmp_path: Path, services: str, target: str) -> None:
    text = f"services: {{c: {{image: redis}}, {services}}}"
    assert plan_of(tmp_path, text).target == target


# ---- projects of any shape

IMAGES = ("app", "nginx", "mysql", "postgres", "redis:7", "memcached", "rabbitmq:3", "mailpit")
NETWORKS = ("one", "two")


@st.composite
def projects(draw: st.DrawFn) -> dict[str, Any]:
    """A project: services on networks, with dependencies that make no circle."""
    count = draw(st.integers(1, 6))
    services: dict[str, Any] = {}
    for number in range(count):
        name = f"s{number}"
        before = [f"s{n}" for n in range(number)]
        one: dict[str, Any] = {"image": draw(st.sampled_from(IMAGES))}
        if draw(st.booleans()):
            one["ports"] = [f"{20000 + number}:{draw(st.sampled_from((80, 3306, 6379, 9999)))}"]
        if draw(st.booleans()):
            chosen = draw(st.lists(st.sampled_from(NETWORKS), min_size=1, unique=True))
            fixed = draw(st.booleans()) and "one" in chosen
            one["networks"] = {
                net: {"aliases": [f"{name}.{net}"]}
                | ({"ipv4_address": f"10.9.0.{10 + number}"} if fixed and net == "one" else {})
                for net in chosen
            }
        if before:
            some = st.lists(st.sampled_from(before), max_size=3, unique=True)
            one["depends_on"] = draw(some)
            links = draw(some)
            if links:
                one["links"] = [f"{link}:{link}-link" for link in links]
        others = [f"s{n}" for n in range(count) if n != number]
        if others and draw(st.booleans()):
            one["environment"] = {
                f"{other}_HOST": other
                for other in draw(st.lists(st.sampled_from(others), max_size=3, unique=True))
            }
        if draw(st.booleans()):
            one["container_name"] = f"box-{number}"
        if draw(st.integers(0, 5)) == 0:
            one["profiles"] = ["some"]
        if draw(st.integers(0, 9)) == 0:
            one.pop("networks", None)
            one["network_mode"] = "host"
        services[name] = one
    ipam = {"config": [{"subnet": "10.9.0.0/24"}]}
    return {"services": services, "networks": {"one": {"ipam": ipam}, "two": {}}}


def circles(top: Any) -> Iterator[str]:
    """Services that wait for themselves."""
    services = top["services"]
    for name in services:
        seen: set[str] = set()
        todo = [*(services[name].get("depends_on") or {})]
        todo += [one.partition(":")[0] for one in services[name].get("links") or ()]
        while todo:
            at = todo.pop()
            if at == name:
                yield name
                break
            if at not in seen:
                seen.add(at)
                todo += [*(services[at].get("depends_on") or {})]
                todo += [one.partition(":")[0] for one in services[at].get("links") or ()]


def check_reached(found: Wrap, top: Any) -> None:
    """Whoever reached a backend by a name reaches its node by it, and nobody the backend."""
    before, services = found.project.services, top["services"]
    nodes = {node.name for node in found.nodes}

    def networks(name: str) -> dict[str, Any]:
        one = services[name]
        return {} if "network_mode" in one else (one.get("networks") or {"default": None})

    for backend in found.backends.values():
        node = found.node_of(backend.name).name
        near = set(networks(backend.name))
        assert near & set(networks(node)), "the node reaches its backend"
        for client in before.values():
            if client.name == backend.name:
                continue
            shared = set(client.networks) & set(backend.seen.service.networks)
            mine = networks(client.name)
            calls = backend.name in set(found.project.services[client.name].depends) or any(
                target == backend.name for target, _ in client.links
            )
            hosts = {v for k, v in client.environment.items() if k.endswith("_HOST")}
            calls = calls or backend.name in hosts
            if not shared:
                continue
            if client.name in found.joins:
                told = f"{backend.name} and {client.name} call each other"
                assert (
                    not calls or any(told in note for note in found.notes) or not (set(mine) & near)
                )
                continue
            if client.name not in found.backends or calls:
                met = set(mine) & near
                assert not met, f"{client.name} meets {backend.name} on {met}"
            if client.name in found.backends and not (found.backends[client.name].calls):
                continue  # it calls nobody
            for network in shared:
                for alias in names_of(backend.seen.service, network):
                    places = [
                        place
                        for place in mine
                        if alias in ((networks(node).get(place) or {}).get("aliases") or ())
                    ]
                    assert places, f"{client.name} finds no proxy as {alias}"
                    others = [
                        other
                        for other in nodes - {node}
                        for place in places
                        if alias in ((networks(other).get(place) or {}).get("aliases") or ())
                    ]
                    assert not others, f"{alias} is two nodes"


@settings(max_examples=100)
@given(projects())
def test_any_project(project: dict[str, Any]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        found = plan_of(folder, yaml.safe_dump(project))
        if not found.nodes:
            return
        text = compose_text(found, Wish(), "# ours\n")
        (folder / "new.yml").write_text(text)
        again = shape(read_project([str(folder / "new.yml")], {}))
        top = yaml.safe_load(text)
        assert set(again.services) == {*project["services"], *(n.name for n in found.nodes)}
        assert list(circles(top)) == []
        check_reached(found, top)
        published = [p.published for one in again.services.values() for p in one.ports]
        given_ports = [p.published for one in found.project.services.values() for p in one.ports]
        controls = [str(node.control) for node in found.nodes]
        assert sorted(published) == sorted([*given_ports, *controls])
        assert all(p.host == "127.0.0.1" for one in again.services.values() for p in one.ports)
        for name_, service in top["services"].items():
            if name_ in project["services"]:
                for key in ("image", "environment", "container_name", "profiles", "network_mode"):
                    assert service.get(key) == project["services"][name_].get(key)
        for node in found.nodes:
            path = folder / ini_of(node)
            path.write_text(node_ini(node, found, hash_token("x" * 20), "rascal"))
            read = load(str(path), {})
            assert set(read.proxies) == {one.name for one in node.proxies}
