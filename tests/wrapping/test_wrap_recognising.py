"""What a service is taken for, and what cannot be wrapped."""

from __future__ import annotations

from pathlib import Path

import pytest
from composed import plan_of

from rascal.config import installed
from rascal.wrapping.known import PORTS, SCHEMES, SERVERS, by_image
from rascal.wrapping.plans import Wrap
from rascal.wrapping.recognising import FALLBACK, Told, spoken_here


def proxies(found: Wrap, service: str) -> list[tuple[int, str, str]]:
    """Port, what is spoken, protocol of the proxy."""
    return [
        (one.endpoint.port, one.endpoint.spoken, one.endpoint.protocol)
        for one in found.backends[service].proxies
    ]


def refused(found: Wrap, service: str) -> str:
    return next(one.refused for one in found.seen if one.service.name == service)


@pytest.mark.parametrize(
    ("image", "port", "protocol"),
    [
        ("mysql", 3306, "mysql"),
        ("mysql:8.4", 3306, "mysql"),
        ("mariadb:10.11", 3306, "mysql"),
        ("percona/percona-server:8.0", 3306, "mysql"),
        ("registry.example:5000/team/mysql:8@sha256:00", 3306, "mysql"),
        ("bitnami/mariadb-galera", 3306, "mysql"),
        ("memcached:1.6-alpine", 11211, "memcached"),
        ("redis:7-alpine", 6379, "redis"),
        ("redis/redis-stack:latest", 6379, "redis"),
        ("valkey/valkey:8", 6379, "redis"),
        ("eqalpha/keydb", 6379, "redis"),
        ("docker.dragonflydb.io/dragonflydb/dragonfly", 6379, "redis"),
        ("postgres:16", 5432, "postgresql"),
        ("postgis/postgis", 5432, "postgresql"),
        ("timescale/timescaledb:latest-pg16", 5432, "postgresql"),
        ("rabbitmq:3-management", 5672, "amqp"),
        ("mongo:7", 27017, "mongodb"),
        ("axllent/mailpit", 1025, "smtp"),
        ("mailhog/mailhog", 1025, "smtp"),
        ("boky/postfix", 25, "smtp"),
        ("docker.elastic.co/elasticsearch/elasticsearch:8.13.0", 9200, "http"),
        ("opensearchproject/opensearch:2", 9200, "http"),
        ("coredns/coredns", 53, "dns"),
        ("minio/minio", 9000, "http"),
        ("mcr.microsoft.com/mssql/server:2022-latest", 1433, "tcp"),
        ("nats:2", 4222, "tcp"),
        ("confluentinc/cp-kafka", 9092, "tcp"),
    ],
)
def test_a_server_is_known_by_its_image(
    tmp_path: Path, image: str, port: int, protocol: str
) -> None:
    found = plan_of(tmp_path, f"services: {{it: {{image: '{image}'}}}}")
    assert proxies(found, "it") == [(port, protocol, spoken_here(protocol, installed().protocols))]


@pytest.mark.parametrize(
    "image",
    ["app", "adminer", "phpmyadmin", "redis-commander", "mongo-express", "node:20", "php:8-apache",
     "myorg/server", "nginx", "traefik:3", "dpage/pgadmin4", "redislabs/redisinsight"],
)  # fmt: skip
def test_nobody_needs_an_application(tmp_path: Path, image: str) -> None:
    assert not plan_of(tmp_path, f"services: {{it: {{image: '{image}'}}}}").nodes


def test_the_tables_speak_of_protocols_that_there_are() -> None:
    known = {*installed().protocols, *FALLBACK}
    spoken = {spoken for one in SERVERS for _, spoken in one.ports}
    assert spoken | set(PORTS.values()) | {name for name, _ in SCHEMES.values()} <= known
    assert by_image("php:8.3-fpm-alpine") is not None and by_image("php:8.3") is None


@pytest.mark.parametrize(
    ("variable", "value", "port", "protocol"),
    [
        ("DATABASE_URL", "postgres://u:p@it:5433/x", 5433, "tcp"),
        ("DATABASE_URL", "mysql+pymysql://u:p%40x@it/x?charset=utf8", 3306, "mysql"),
        ("CELERY_BROKER", "redis://:secret@it:6380/0", 6380, "redis"),
        ("BROKER", "amqp://it", 5672, "tcp"),
        ("CACHES", "other:1,it:11211", 11211, "memcached"),
        ("API", "http://it:8000/v1", 8000, "http"),
        ("API", "http://it/v1", 80, "http"),
        ("MAILER_DSN", "smtp://it:1025", 1025, "smtp"),
        ("MONGO", "mongodb://u:p@a.example:1,it:27018/db", 27018, "tcp"),
        ("DSN", "host=it port=5434 dbname=x", 5434, "tcp"),
        ("PDO", "mysql:host=it;port=3307;dbname=x", 3307, "mysql"),
        ("PAY", "https://it:8443", 8443, "tcp"),
    ],
)
def test_a_server_is_known_by_what_others_call_it(
    tmp_path: Path, variable: str, value: str, port: int, protocol: str
) -> None:
    found = plan_of(
        tmp_path,
        f"""
        services:
          app: {{image: app, environment: {{{variable}: '{value}'}}}}
          it: {{image: unknown}}
        """,
    )
    assert [(a, c) for a, _, c in proxies(found, "it")] == [(port, protocol)]
    assert found.backends["it"].seen.needed_by == (f"{variable} of app",)


def test_a_name_alone_is_a_server_only_where_the_variable_says_so(tmp_path: Path) -> None:
    text = """
    services:
      app: {{image: app, environment: {{{variable}: it}}}}
      it: {{image: unknown, expose: [9000]}}
    """
    for variable in ("IT_HOST", "REDIS_SERVERS", "db_host", "RELAY", "SOLR_NODES"):
        assert plan_of(tmp_path, text.format(variable=variable)).nodes, variable
    for variable in ("POSTGRES_USER", "MYSQL_DATABASE", "NAME", "QUEUE"):
        assert not plan_of(tmp_path, text.format(variable=variable)).nodes, variable


def test_the_port_stands_in_the_variable_beside(tmp_path: Path) -> None:
    found = plan_of(
        tmp_path,
        """
        services:
          app: {image: app, environment: {X_HOST: it, X_PORT: 7777}}
          it: {image: unknown}
        """,
    )
    assert proxies(found, "it") == [(7777, "tcp", "tcp")]


@pytest.mark.parametrize(
    ("service", "port"),
    [
        ("image: redis, command: redis-server --port 7000", 7000),
        ("image: mysql, command: [--port=3307]", 3307),
        ("image: postgres, command: [postgres, -p, '5555']", 5555),
        ("image: memcached, command: memcached -p 11299 -m 64", 11299),
        ("image: mysql, environment: {MYSQL_TCP_PORT: 3310}", 3310),
        ("image: redis, healthcheck: {test: redis-cli -p 9 ping}", 6379),
    ],
)
def test_a_server_that_listens_elsewhere(tmp_path: Path, service: str, port: int) -> None:
    found = plan_of(tmp_path, f"services: {{it: {{{service}}}}}")
    assert [one.endpoint.port for one in found.backends["it"].proxies] == [port]


def test_a_server_of_ones_own_is_known_by_what_it_is_given(tmp_path: Path) -> None:
    found = plan_of(
        tmp_path,
        """
        services:
          db: {build: ./db, environment: {MARIADB_ROOT_PASSWORD: x}}
          app:
            build: .
            depends_on: [db]
            environment: {MARIADB_ROOT_PASSWORD: x}
        """,
    )
    assert list(found.backends) == ["db"]
    assert found.backends["db"].seen.endpoints[0].why == "variable MARIADB_ROOT_PASSWORD"


def test_every_port_that_is_named_has_a_proxy(tmp_path: Path) -> None:
    found = plan_of(
        tmp_path,
        """
        services:
          mq:
            image: rabbitmq:3-management
            ports: ["15672:15672"]
            expose: [15692]
          mail: {image: mailpit, ports: ["8025:8025", "1025:1025"]}
          ns: {image: coredns, ports: ["53:53/udp", "53:53"]}
          odd: {image: unknown, ports: ["40:40", "41:41/udp", "50000-50100:50000-50100/udp"]}
          app: {image: app, depends_on: [odd]}
        """,
    )
    assert proxies(found, "mq") == [
        (5672, "amqp", "tcp"), (15672, "http", "http"), (15692, "http", "http"),
    ]  # fmt: skip
    assert proxies(found, "mail") == [(1025, "smtp", "smtp"), (8025, "http", "http")]
    assert proxies(found, "ns") == [(53, "dns", "dns")]
    assert proxies(found, "odd") == [(40, "tcp", "tcp"), (41, "udp", "udp")]
    names = [one.name for one in found.backends["mq"].proxies]
    assert names == ["mq", "mq-15672", "mq-15692"]
    assert [port.first for port in found.backends["odd"].kept] == [50000]


def test_what_the_user_says_is_believed(tmp_path: Path) -> None:
    text = """
    services:
      app: {image: app, depends_on: [it, db]}
      it: {image: unknown}
      db: {image: postgres}
    """
    assert "no port is known" in refused(plan_of(tmp_path, text), "it")
    told = {"it": [Told(protocol="http", port=8000)], "db": [Told(protocol="mysql")]}
    found = plan_of(tmp_path, text, told=told, skip=[])
    assert proxies(found, "it") == [(8000, "http", "http")]
    assert proxies(found, "db") == [(5432, "mysql", "mysql")]
    found = plan_of(tmp_path, text, skip=["db"])
    assert not found.nodes and refused(found, "db") == "left out (--skip)"


@pytest.mark.parametrize(
    ("service", "says"),
    [
        ("image: redis, network_mode: host", "network_mode: host: it listens on the host itself"),
        ("image: redis, network_mode: none", "nobody reaches it"),
        ("image: redis, network_mode: 'service:app'", "it is reached as 'app'"),
        ("image: redis, network_mode: bridge", "networks of Compose alone"),
        ("image: tool", "no port is known"),
    ],
)
def test_what_cannot_be_wrapped_is_explained(tmp_path: Path, service: str, says: str) -> None:
    text = f"services: {{app: {{image: app, depends_on: [it]}}, it: {{{service}}}}}"
    found = plan_of(tmp_path, text)
    assert not found.nodes and says in refused(found, "it")


def test_what_ends_is_no_server(tmp_path: Path) -> None:
    found = plan_of(
        tmp_path,
        """
        services:
          app:
            image: app
            depends_on: {migrate: {condition: service_completed_successfully}}
            environment: {MIGRATE_HOST: migrate}
          migrate: {image: app, ports: ["8000:8000"]}
        """,
    )
    assert not found.nodes and "does its work and ends" in refused(found, "migrate")


def test_a_worker_that_waits_for_the_same_program_does_not_call_it(tmp_path: Path) -> None:
    text = """
    services:
      web: {build: ., ports: ["8000:8000"]}
      worker: {build: %s, depends_on: [web]}
    """
    assert not plan_of(tmp_path, text % ".").nodes
    assert proxies(plan_of(tmp_path, text % "./other"), "web") == [(8000, "http", "http")]


def test_servers_that_hand_out_addresses_are_warned_of(tmp_path: Path) -> None:
    found = plan_of(tmp_path, "services: {s: {image: bitnami/redis-sentinel}}")
    assert "it tells clients addresses of containers" in found.notes[0]
