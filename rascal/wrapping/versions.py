"""Compose files of the first version: services stand at the top, and links are all they have."""

from __future__ import annotations

from typing import Any

from rascal.wrapping.merging import build
from rascal.wrapping.yamlfile import Block, Text

TOP = (
    "services", "version", "name", "networks", "volumes", "configs", "secrets", "include", "models",
)  # fmt: skip
"""What stands at the top since the second version."""
SERVICE = ("image", "build", "extends")


def is_first(top: Block) -> bool:
    """Whether services stand at the top of the file."""
    if any(name in top for name in TOP) or not top:
        return False
    return all(
        isinstance(one, dict) and any(name in one for name in SERVICE)
        for name, one in top.items()
        if not name.startswith("x-")
    )


def modern(top: Block) -> Block:
    """The same in today's form."""
    services = {name: _service(one) for name, one in top.items() if isinstance(one, dict)}
    return Block.of({"services": Block.of(services, top)}, top)


def _service(old: Any) -> Block:
    found = Block.of(old, old)
    if "dockerfile" in found:
        made = build(found.get("build"))
        made["dockerfile"] = found.pop("dockerfile")
        found["build"] = made
    if "net" in found:
        mode = found.pop("net")
        kind, _, name = mode.partition(":")
        found["network_mode"] = Text.of(f"service:{name}", mode) if kind == "container" else mode
    driver, options = found.pop("log_driver", None), found.pop("log_opt", None)
    if driver is not None or options is not None:
        logging = {"driver": driver, "options": options}
        found["logging"] = Block.of({k: v for k, v in logging.items() if v is not None}, old)
    found.pop("volume_driver", None)
    return found
