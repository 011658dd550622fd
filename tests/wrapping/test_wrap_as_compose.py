"""Our reading against Compose's own: both make the same of files, where `docker compose` is there.

No engine is needed: `config` only reads.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from composed import written

from rascal.wrapping.reading import read_project
from rascal.wrapping.yamlfile import dump

PROJECTS = Path(__file__).parent / "projects"

SHAPES = {
    "anchors": """
        x-env: &env {A: "1", B: yes}
        x-app: &app
          image: app
          environment: &more {<<: *env, C: 010, D: "${N:-none}"}
        services:
          one: {<<: *app, ports: ["80:80"]}
          two: {<<: *app, environment: {<<: *more, D: other}}
        """,
    "ports": """
        services:
          web:
            image: app
            ports: ["80", "81:81", "127.0.0.1:82:82", "83-84:83-84/udp", "[::1]:85:85"]
        """,
    "quotes": """
        services:
          web:
            image: app
            command: ["sh", "-c", 'echo "$$HOME" # no comment']
            environment: {A: 'on', B: "1.10", C: 1e3, D: "", E: ~, F: "a: b", G: |
              two
              lines
            }
        """.replace(
        "|\n              two\n              lines\n            }", '"two\\nlines\\n"}'
    ),
    "networks": """
        services:
          web: {image: app, networks: {one: {aliases: [w], ipv4_address: 10.9.0.5}, two: }}
          db: {image: postgres, networks: [two], healthcheck: {test: pg_isready, interval: 2s}}
        networks: {one: {ipam: {config: [{subnet: 10.9.0.0/24}]}}, two: {internal: true}}
        """,
    "build": """
        services:
          web:
            build: {context: ., args: [A=1, B], target: prod}
            deploy: {replicas: 2, resources: {limits: {cpus: "0.5", memory: 50M}}}
            ulimits: {nofile: {soft: 20000, hard: 40000}}
            secrets: [s]
            profiles: [tools]
        secrets: {s: {file: ./s.txt}}
        """,
}


def has_compose() -> bool:
    if not shutil.which("docker"):
        return False
    return subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0


needs_compose = pytest.mark.skipif(not has_compose(), reason="`docker compose` is not here")


def config(folder: Path, *files: str) -> Any:
    """What Compose makes of the files."""
    flags = [flag for file in files for flag in ("-f", file)]
    done = subprocess.run(
        ["docker", "compose", "-p", "same", *flags, "--profile", "*", "config", "--format", "json"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "N": "", "DJANGO_SECRET": "x"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ours(folder: Path, *files: str) -> Any:
    """What Compose makes of what we write of the files."""
    found = read_project([str(folder / file) for file in files], {"N": ""})
    top = {name: value for name, value in found.top.items() if not name.startswith("x-")}
    (folder / "ours.yml").write_text(dump(top))
    return config(folder, "ours.yml")


def same(one: Any, other: Any) -> None:
    for whole in (one, other):
        for name in [name for name in whole if name.startswith("x-")]:
            del whole[name]
    assert one == other


@needs_compose
@pytest.mark.parametrize("name", SHAPES)
def test_a_shape(tmp_path: Path, name: str) -> None:
    (tmp_path / "s.txt").write_text("s")
    written(tmp_path, SHAPES[name])
    same(ours(tmp_path, "docker-compose.yml"), config(tmp_path, "docker-compose.yml"))


@needs_compose
@pytest.mark.parametrize(
    ("project", "files"),
    [
        ("django", ["docker-compose.yml"]),
        ("php", ["docker-compose.yml"]),
        ("worker", ["compose.yaml", "compose.override.yaml"]),
    ],
)
def test_a_project(tmp_path: Path, project: str, files: list[str]) -> None:
    folder = tmp_path / project
    shutil.copytree(PROJECTS / project, folder)
    same(ours(folder, *files), config(folder, *files))


@needs_compose
def test_files_over_each_other(tmp_path: Path) -> None:
    written(
        tmp_path,
        """
        services:
          web:
            image: app
            command: [one]
            ports: ["80:80", "127.0.0.1:81:81"]
            environment: [A=1, B=1]
            env_file: a.env
            volumes: ["./a:/data", "logs:/logs", {type: bind, source: ./c, target: /c}]
            depends_on: [db]
            labels: {x: "1"}
            expose: ["1"]
            cap_add: [NET_ADMIN]
            networks: [one]
          db: {image: postgres}
        networks: {one: , two: }
        volumes: {logs: }
        """,
        "a.yml",
    )
    written(
        tmp_path,
        """
        services:
          web:
            command: two
            ports: ["80:80", "82:82"]
            environment: {B: "2", C: "3"}
            env_file: [b.env]
            volumes: ["./b:/data"]
            depends_on: {db: {condition: service_healthy}}
            labels: [y=2]
            expose: ["2", "1"]
            cap_add: [SYS_TIME, NET_ADMIN]
            networks: {two: {aliases: [w]}}
        """,
        "sub/b.yml",
    )
    for name in ("a.env", "b.env"):
        (tmp_path / name).write_text("")
    files = ("a.yml", "sub/b.yml")
    same(ours(tmp_path, *files), config(tmp_path, *files))


@needs_compose
def test_extends_and_include(tmp_path: Path) -> None:
    written(
        tmp_path,
        """
        services:
          base:
            build: {context: app, dockerfile: D}
            volumes: ["./data:/data", "../up:/up", "v:/v", "~/h:/h"]
            env_file: [base.env]
            environment: {A: "1"}
            depends_on: [other]
          other: {image: x}
        """,
        "lib/common.yml",
    )
    written(tmp_path, "TAG=7\n", "inc/.env")
    written(
        tmp_path,
        """
        services:
          cache: {image: 'redis:${TAG}', volumes: ['./r:/r'], env_file: [../lib/base.env]}
        """,
        "inc/compose.yml",
    )
    written(tmp_path, "A=2\n", "lib/base.env")
    written(
        tmp_path,
        """
        include:
          - inc/compose.yml
        services:
          web: {extends: {file: lib/common.yml, service: base}, environment: {B: "2"}}
          other: {image: y}
        volumes: {v: }
        """,
    )
    same(ours(tmp_path, "docker-compose.yml"), config(tmp_path, "docker-compose.yml"))
