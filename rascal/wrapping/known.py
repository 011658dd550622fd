"""Servers that people run in Compose: by image, the ports they listen on, and what is spoken there.

A new one is a line here. A protocol that Rascal does not speak is named all the same: it becomes a
TCP proxy until Rascal does (rascal.wrapping.recognising.spoken).
"""

from __future__ import annotations

import re

import attrs


@attrs.frozen
class Known:
    """One kind of server."""

    title: str
    images: str
    """Pattern of the image's name, without registry, folder and tag."""
    ports: tuple[tuple[int, str], ...]
    """Ports and what is spoken there; the first is always there, others if they are named."""
    variables: str = ""
    """Pattern of variables that its image takes and no client does."""
    serves: bool = True
    """Whether it is there for others, so that it is wrapped even if nobody names it."""
    hint: str = ""
    """What to know when it is wrapped."""


_BY_IP = "it tells clients addresses of containers; let it announce names, or leave it out (--skip)"

SERVERS = (
    Known(
        "MySQL", r"mysql|mysql-server|percona|percona-server|percona-xtradb-cluster",
        ((3306, "mysql"), (33060, "tcp")), r"MYSQL_(ROOT_PASSWORD|ROOT_HOST|ALLOW_EMPTY_PASSWORD"
        r"|RANDOM_ROOT_PASSWORD)(_FILE)?",
    ),
    Known(
        "MariaDB", r"mariadb(-galera)?", ((3306, "mysql"),),
        r"MARIADB_(ROOT_PASSWORD|ROOT_HOST|ALLOW_EMPTY_ROOT_PASSWORD)(_HASH|_FILE)?",
    ),
    Known("TiDB", r"tidb", ((4000, "mysql"), (10080, "http"))),
    Known(
        "PostgreSQL",
        r"postgres|postgresql|postgis|timescaledb(-ha)?|pgvector|postgres-.*|spilo.*|alloydb.*",
        ((5432, "postgresql"),), r"POSTGRES_(PASSWORD|INITDB_ARGS|HOST_AUTH_METHOD)(_FILE)?|PGDATA",
    ),
    Known("PgBouncer", r"pgbouncer|pgcat", ((5432, "postgresql"), (6432, "postgresql"))),
    Known("CockroachDB", r"cockroach", ((26257, "postgresql"), (8080, "http"))),
    Known("memcached", r"memcached", ((11211, "memcached"),)),
    Known(
        "Redis", r"redis|redis-stack(-server)?|redict|redis-.*alpine", ((6379, "redis"),
        (8001, "http")), r"REDIS_(PASSWORD|REPLICATION_MODE)$|ALLOW_EMPTY_PASSWORD",
    ),
    Known("Valkey", r"valkey(-bundle)?", ((6379, "redis"),)),
    Known("KeyDB", r"keydb", ((6379, "redis"),)),
    Known("Dragonfly", r"dragonfly", ((6379, "redis"),)),
    Known("Redis Sentinel", r"(redis|valkey)-sentinel", ((26379, "redis"),), hint=_BY_IP),
    Known("Redis Cluster", r"(redis|valkey)-cluster", ((6379, "redis"),), hint=_BY_IP),
    Known(
        "RabbitMQ", r"rabbitmq|lavinmq", ((5672, "amqp"), (5671, "tcp"), (15672, "http"),
        (15692, "http"), (61613, "tcp"), (1883, "tcp")), r"RABBITMQ_(DEFAULT_|ERLANG_COOKIE).*",
    ),
    Known("NATS", r"nats|nats-streaming", ((4222, "tcp"), (8222, "http"))),
    Known("Kafka", r"kafka|cp-kafka|redpanda", ((9092, "tcp"), (29092, "tcp"), (9644, "http"))),
    Known("ZooKeeper", r"zookeeper|cp-zookeeper", ((2181, "tcp"),)),
    Known("ActiveMQ", r"activemq(-classic|-artemis)?|artemis", ((61616, "tcp"), (5672, "amqp"),
          (8161, "http"))),
    Known("Mosquitto", r"(eclipse-)?mosquitto|emqx", ((1883, "tcp"), (9001, "http"))),
    Known("beanstalkd", r"beanstalkd?", ((11300, "tcp"),)),
    Known("Gearman", r"gearmand?", ((4730, "tcp"),)),
    Known("Pulsar", r"pulsar", ((6650, "tcp"), (8080, "http"))),
    Known(
        "MongoDB", r"mongo|mongodb|mongodb-.*-server|percona-server-mongodb|ferretdb",
        ((27017, "mongodb"),), r"MONGO_INITDB_.*",
    ),
    Known("Elasticsearch", r"elasticsearch(-oss)?", ((9200, "http"), (9300, "tcp"))),
    Known("OpenSearch", r"opensearch", ((9200, "http"), (9300, "tcp"))),
    Known("Solr", r"solr", ((8983, "http"),)),
    Known("Meilisearch", r"meilisearch", ((7700, "http"),)),
    Known("Typesense", r"typesense", ((8108, "http"),)),
    Known("Qdrant", r"qdrant", ((6333, "http"), (6334, "tcp"))),
    Known("CouchDB", r"couchdb", ((5984, "http"),)),
    Known("InfluxDB", r"influxdb", ((8086, "http"),)),
    Known("ClickHouse", r"clickhouse(-server)?", ((8123, "http"), (9000, "tcp"))),
    Known("Cassandra", r"cassandra|scylla", ((9042, "tcp"),)),
    Known("Neo4j", r"neo4j", ((7687, "tcp"), (7474, "http"))),
    Known("SQL Server", r"mssql(-server)?|server|azure-sql-edge", ((1433, "tcp"),),
          r"MSSQL_(SA_PASSWORD|PID)|ACCEPT_EULA"),
    Known("Oracle", r"oracle-(xe|free)|oracle", ((1521, "tcp"),)),
    Known("etcd", r"etcd", ((2379, "tcp"),)),
    Known("Consul", r"consul", ((8500, "http"), (8600, "dns"))),
    Known("Vault", r"vault", ((8200, "http"),)),
    Known("MinIO", r"minio", ((9000, "http"), (9001, "http")), r"MINIO_ROOT_(USER|PASSWORD)"),
    Known("LocalStack", r"localstack(-pro)?", ((4566, "http"),)),
    Known("Keycloak", r"keycloak", ((8080, "http"),)),
    Known("OpenLDAP", r"openldap|389ds", ((389, "tcp"), (636, "tcp"), (1389, "tcp"))),
    Known("Mailpit", r"mailpit", ((1025, "smtp"), (8025, "http"))),
    Known("MailHog", r"mailhog", ((1025, "smtp"), (8025, "http"))),
    Known("MailDev", r"maildev", ((1025, "smtp"), (1080, "http"))),
    Known("MailCatcher", r"mailcatcher", ((1025, "smtp"), (1080, "http"))),
    Known("smtp4dev", r"smtp4dev", ((25, "smtp"), (80, "http"), (143, "tcp"))),
    Known("Inbucket", r"inbucket", ((2500, "smtp"), (9000, "http"), (1100, "tcp"))),
    Known("GreenMail", r"greenmail|standalone", ((3025, "smtp"), (8080, "http"))),
    Known(
        "mail server", r"postfix(-relay)?|exim4?|smtp|docker-mailserver|opensmtpd|msmtpd?",
        ((25, "smtp"), (587, "smtp"), (465, "tcp"), (143, "tcp"), (993, "tcp")),
    ),
    Known("DNS", r"coredns|bind9?|dnsmasq|unbound|pihole|powerdns|pdns-.*|knot", ((53, "dns"),)),
    Known("WireMock", r"wiremock", ((8080, "http"),)),
    Known("MockServer", r"mockserver", ((1080, "http"),)),
    Known("stripe-mock", r"stripe-mock", ((12111, "http"),)),
    Known("httpbin", r"httpbin|go-httpbin", ((80, "http"), (8080, "http"))),
    Known("Selenium", r"standalone-(chrome|chromium|firefox)|selenium-hub", ((4444, "http"),)),
    Known("PHP-FPM", r"php-fpm", ((9000, "tcp"),), serves=False),
    Known(
        "web server", r"nginx|httpd|apache2?|caddy|traefik|haproxy|envoy|varnish|openresty|kong",
        ((80, "http"), (443, "tcp"), (8080, "http"), (8443, "tcp")), serves=False,
    ),
)  # fmt: skip

HTTP_PORTS = frozenset({80, 3000, 4000, 5000, 8000, 8008, 8080, 8081, 8088, 8888})
"""Where an application of one's own most likely speaks HTTP."""

SCHEMES = {
    "mysql": ("mysql", 3306), "mysql2": ("mysql", 3306), "mariadb": ("mysql", 3306),
    "memcached": ("memcached", 11211), "memcache": ("memcached", 11211),
    "redis": ("redis", 6379), "rediss": ("redis", 6379), "valkey": ("redis", 6379),
    "valkeys": ("redis", 6379),
    "postgres": ("postgresql", 5432), "postgresql": ("postgresql", 5432),
    "postgis": ("postgresql", 5432), "cockroachdb": ("postgresql", 26257),
    "amqp": ("amqp", 5672), "amqps": ("amqp", 5671), "pyamqp": ("amqp", 5672),
    "mongodb": ("mongodb", 27017),
    "http": ("http", 80), "https": ("http", 443), "ws": ("http", 80),
    "elasticsearch": ("http", 9200),
    "smtp": ("smtp", 25), "smtps": ("tcp", 465), "submission": ("smtp", 587),
    "dns": ("dns", 53),
    "nats": ("tcp", 4222), "kafka": ("tcp", 9092), "mqtt": ("tcp", 1883), "ldap": ("tcp", 389),
    "beanstalk": ("tcp", 11300), "beanstalkd": ("tcp", 11300), "clickhouse": ("tcp", 9000),
    "tcp": ("tcp", 0), "udp": ("udp", 0),
}  # fmt: skip
"""Schemes of URLs: what is spoken, and the usual port (0: none)."""

SECURE = ("https", "rediss", "valkeys", "amqps", "smtps")
"""Schemes of servers that speak TLS from the first byte on."""

PORTS: dict[int, str] = {
    port: spoken
    for one in reversed(SERVERS)
    for port, spoken in reversed(one.ports)
    if port not in (4000, 8080, 80, 443, 9000, 9001, 8001, 1080, 465, 8443)
}
"""What is spoken on a port that says it."""


def by_image(image: str) -> Known | None:
    """The server of an image."""
    name = image.rpartition("/")[2].partition("@")[0]
    name, _, tag = name.partition(":")
    if name == "php" and "fpm" in tag:
        name = "php-fpm"
    if name == "server" and "mssql" not in image:
        return None
    if name == "standalone" and "greenmail" not in image:
        return None
    return next((one for one in SERVERS if re.fullmatch(one.images, name.lower())), None)


def by_variables(names: list[str]) -> tuple[Known, str] | None:
    """The server whose image takes one of these variables, and the variable."""
    for one in SERVERS:
        for name in names:
            if one.variables and re.fullmatch(one.variables, name):
                return one, name
    return None
