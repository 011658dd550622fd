"""Compose files of many shapes, read as Compose reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from composed import project_of, source_of, written

from rascal.errors import ConfigError, ConfigErrors
from rascal.wrapping.reading import chosen, read_project
from rascal.wrapping.shapes import shape
from rascal.wrapping.yamlfile import plain


def services(*files: str, environ: dict[str, str] | None = None) -> Any:
    return plain(read_project(files, environ or {}).top["services"])


def wrong(folder: Path, text: str, **environ: str) -> list[str]:
    """What is said of a file, without its folder."""
    with pytest.raises(ConfigErrors) as caught:
        project_of(folder, text, environ)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


# ---- which files


def test_the_file_that_compose_would_take_with_its_override(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no Compose file in .*docker-compose\.yaml"):
        chosen(str(tmp_path), (), {})
    old = written(tmp_path, "services: {}")
    assert chosen(str(tmp_path), (), {}) == [old]
    override = written(tmp_path, "services: {}", "docker-compose.override.yml")
    assert chosen(str(tmp_path), (), {}) == [old, override]
    assert chosen(old, (), {}) == [old, override]
    assert chosen(None, (old,), {}) == [old]
    new = written(tmp_path, "services: {}", "compose.yaml")
    assert chosen(str(tmp_path), (), {})[0] == new
    written(tmp_path, "COMPOSE_FILE=a.yml:b.yml\n", ".env")
    assert chosen(str(tmp_path), (), {}) == [str(tmp_path / "a.yml"), str(tmp_path / "b.yml")]


# ---- shapes


def test_long_and_short_forms_are_the_same(tmp_path: Path) -> None:
    short = project_of(
        tmp_path,
        """
        services:
          web:
            image: app
            ports: ["8080:80", "127.0.0.1:99:99/udp", "7000-7002:7000-7002", "5000", "[::1]:6:7"]
            environment: [A=1, "B=x=y", C]
            depends_on: [db]
            networks: [back]
            expose: ["9", 10]
          db: {image: postgres, networks: [back]}
        networks: {back: }
        """,
        {"C": "from outside"},
    ).services["web"]
    long = project_of(
        tmp_path,
        """
        services:
          web:
            image: app
            ports:
              - {target: 80, published: 8080}
              - {target: 99, published: "99", host_ip: 127.0.0.1, protocol: udp}
              - {target: 7000-7002, published: 7000-7002}
              - {target: 5000}
              - {target: 7, published: 6, host_ip: "::1"}
            environment: {A: 1, B: x=y, C: }
            depends_on: {db: {condition: service_started}}
            networks: {back: }
            expose: [9, 10]
          db: {image: postgres, networks: {back: {}}}
        networks: {back: {}}
        """,
        {"C": "from outside"},
    ).services["web"]
    for name in ("ports", "environment", "depends", "networks", "exposed"):
        assert getattr(short, name) == getattr(long, name), name
    assert [(p.first, p.last, p.kind, p.published, p.host) for p in short.ports] == [
        (80, 80, "tcp", "8080", ""),
        (99, 99, "udp", "99", "127.0.0.1"),
        (7000, 7002, "tcp", "7000-7002", ""),
        (5000, 5000, "tcp", "", ""),
        (7, 7, "tcp", "6", "::1"),
    ]
    assert short.environment == {"A": "1", "B": "x=y", "C": "from outside"}
    assert short.depends == {"db": "service_started"}


def test_env_files_stand_below_the_environment(tmp_path: Path) -> None:
    written(tmp_path, "A=file\nB=file\nC=${X}\n", "one.env")
    written(tmp_path, "B=two\n", "two.env")
    text = """
    services:
      web:
        image: app
        env_file: [one.env, {path: two.env}, {path: none.env, required: false}]
        environment: {A: own}
    """
    found = project_of(tmp_path, text, {"X": "around"})
    assert found.services["web"].environment == {"A": "own", "B": "two", "C": "around"}
    text = "services: {web: {image: app, env_file: gone.env}}"
    found = project_of(tmp_path, text)
    assert "the env_file 'gone.env' cannot be read" in found.notes[0]


def test_values_come_from_dotenv_and_above_it_the_shell(tmp_path: Path) -> None:
    written(tmp_path, "TAG=15\nPORT=1\n", ".env")
    text = "services: {db: {image: 'postgres:${TAG}', ports: ['${PORT}:5432']}}"
    found = project_of(tmp_path, text, {"PORT": "2"})
    assert found.services["db"].image == "postgres:15"
    assert found.services["db"].ports[0].published == "2"
    assert plain(found.source.top["services"]["db"]["image"]) == "postgres:${TAG}"


def test_a_variable_without_a_value_is_said(tmp_path: Path) -> None:
    found = project_of(tmp_path, "services: {db: {image: 'postgres:${TAG}'}}")
    assert [one.partition(": ")[2] for one in found.notes] == ["the variable TAG has no value here"]


# ---- several files


def test_one_file_over_another(tmp_path: Path) -> None:
    base = written(
        tmp_path,
        """
        services:
          web:
            image: app
            command: [one, two]
            ports: ["80:80", "81:81"]
            environment: [A=1, B=1]
            volumes: ["./a:/data", "logs:/logs"]
            depends_on: [db]
            dns: 1.1.1.1
            logging: {driver: json-file, options: {max-size: 1m}}
            healthcheck: {test: [CMD, a], interval: 1s}
            networks: [one]
            labels: {a: 1}
            extra_hosts: ["x:1.2.3.4"]
          db: {image: postgres, ports: ["5432:5432"]}
        networks: {one: , two: }
        """,
        "a.yml",
    )
    over = written(
        tmp_path,
        """
        services:
          web:
            command: three
            ports: ["80:80", "82:82"]
            environment: {B: 2, C: 3}
            volumes: ["./b:/data"]
            depends_on: {cache: {condition: service_healthy}}
            dns: [8.8.8.8]
            logging: {driver: syslog}
            healthcheck: {test: [CMD, b]}
            networks: {two: {aliases: [w]}}
            labels: [b=2]
            extra_hosts: {y: 1.2.3.5}
          cache: {image: redis}
          db: {ports: !reset [], image: !override mysql}
        """,
        "b.yml",
    )
    found = services(base, over)
    assert list(found) == ["web", "db", "cache"]
    assert found["db"] == {"image": "mysql"}
    assert found["web"] == {
        "image": "app",
        "command": "three",
        "ports": ["80:80", "81:81", "82:82"],
        "environment": {"A": "1", "B": 2, "C": 3},
        "volumes": ["./b:/data", "logs:/logs"],
        "depends_on": {
            "db": {"condition": "service_started"},
            "cache": {"condition": "service_healthy"},
        },
        "dns": ["1.1.1.1", "8.8.8.8"],
        "logging": {"driver": "syslog"},
        "healthcheck": {"test": ["CMD", "b"], "interval": "1s"},
        "networks": {"one": None, "two": {"aliases": ["w"]}},
        "labels": {"a": 1, "b": "2"},
        "extra_hosts": {"x": "1.2.3.4", "y": "1.2.3.5"},
    }


def test_extends_from_here_and_from_another_folder(tmp_path: Path) -> None:
    written(
        tmp_path,
        """
        services:
          base:
            build: ./app
            env_file: base.env
            environment: {A: 1, B: 1}
            volumes: ["./data:/data", "${LOGS:-./logs}:/logs", "named:/named", "/abs:/abs"]
          middle:
            extends: base
            environment: {B: 2}
        """,
        "lib/common.yml",
    )
    main = written(
        tmp_path,
        """
        services:
          web:
            extends: {file: lib/common.yml, service: middle}
            environment: {C: 3}
          again: {extends: web, command: x}
        """,
    )
    web = services(main)["web"]
    assert web == {
        "build": {"context": "./lib/app"},
        "env_file": ["./lib/base.env"],
        "environment": {"A": 1, "B": 2, "C": 3},
        "volumes": ["./lib/data:/data", "./lib/${LOGS:-./logs}:/logs", "named:/named", "/abs:/abs"],
    }
    assert services(main)["again"] == {**web, "command": "x"}


def test_include_with_variables_of_its_own(tmp_path: Path) -> None:
    written(tmp_path, "TAG=7\nPRICE=$$5\n", "cache/.env")
    text = "services: {cache: {image: 'redis:${TAG}', build: ., environment: {P: 'a$$b'}}}"
    written(tmp_path, text, "cache/compose.yml")
    main = written(tmp_path, "include: [cache/compose.yml]\nservices: {web: {image: app}}")
    assert services(main) == {
        "cache": {
            "image": "redis:7",
            "build": {"context": "./cache"},
            "environment": {"P": "a$$b"},
        },
        "web": {"image": "app"},
    }


def test_files_of_the_first_version(tmp_path: Path) -> None:
    found = project_of(
        tmp_path,
        """
        web:
          build: .
          dockerfile: Other
          links: ["db:database"]
          net: "container:db"
          log_driver: syslog
        db: {image: postgres}
        """,
    )
    assert list(found.services) == ["web", "db"]
    web = found.services["web"]
    assert web.links == (("db", "database"),)
    assert web.mode == "service:db"
    assert plain(web.raw)["build"] == {"context": ".", "dockerfile": "Other"}
    assert plain(web.raw)["logging"] == {"driver": "syslog"}
    assert "of the first version" in found.notes[0]


# ---- what is wrong


def test_all_that_is_wrong_is_said_at_once_with_its_place(tmp_path: Path) -> None:
    text = """
    services:
      web:
        image: "${TAG:?say which}"
        ports: ["80:x", "99999"]
        depends_on: [database]
        networks: [bakc]
      db:
        image: postgres
        ports: 80
      odd: text
    networks: {back: }
    """
    assert wrong(tmp_path, text) == [
        "docker-compose.yml:11:8: the service 'odd' is 'name: value' lines, found 'text'"
    ]
    assert wrong(tmp_path, text.replace("      odd: text\n", "")) == [
        "docker-compose.yml:4:12: 'TAG' must have a value: say which",
        "docker-compose.yml:5:13: '80:x' is no port; write 8080:80, 127.0.0.1:8080:80/tcp or "
        "target: and published:",
        "docker-compose.yml:5:21: ports are 1 to 65535, from low to high; found '99999'",
        "docker-compose.yml:7:16: there is no network 'bakc'; networks: back. Did you mean 'back'?",
        "docker-compose.yml:10:12: ports are a list, found '80'",
        "docker-compose.yml:6:18: 'web' depends on 'database', which is no service here.",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "docker-compose.yml: a Compose file is 'name: value' lines: services at least"),
        ("services:\n", "docker-compose.yml: no services stand here"),
        (
            "services: []\n",
            "docker-compose.yml:1:11: services are 'name: value' lines, found a list",
        ),
        (
            "services: {a: {extends: b}}",
            "docker-compose.yml:1:25: there is no service 'b' to extend.",
        ),
        (
            "services: {a: {extends: b}, b: {extends: a}}",
            "docker-compose.yml:1:25: 'a' extends itself in the end",
        ),
        (
            "services: {a: {extends: {file: x.yml}}}",
            "docker-compose.yml:1:32: there is no file x.yml to extend from",
        ),
        (
            "services: {a: {image: x, networks: one}}",
            "docker-compose.yml:1:36: networks of a service are a list, or 'network: …' lines",
        ),
        ("include: [x.yml]\nservices: {}", "x.yml: cannot be read: No such file or directory"),
    ],
)
def test_one_thing_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    assert wrong(tmp_path, text)[0] == says


def test_a_file_that_includes_itself(tmp_path: Path) -> None:
    assert "files include each other" in wrong(tmp_path, "include: docker-compose.yml")[0]


def test_what_is_not_known_is_kept(tmp_path: Path) -> None:
    text = "services: {web: {image: app, gpus: all, x-mine: {a: 1}}}\nmodels: {m: {model: x}}"
    found = source_of(tmp_path, text)
    assert plain(found.top["services"]["web"]) == {
        "image": "app",
        "gpus": "all",
        "x-mine": {"a": 1},
    }
    assert shape(found).services["web"].image == "app"
