"""proxies.ini of a node or of a list of servers, with faults to begin with as comments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rascal.wrapping.plans import PANEL, Node, Wrap
from rascal.wrapping.recognising import TITLES

TRIES: Mapping[str, tuple[str, ...]] = {
    "mysql": (
        "delay(lognormal(300ms, 2s)) match statement=SELECT",
        "30% error(deadlock) match statement=UPDATE,INSERT",
        "lose_reply(then=reset) match statement=COMMIT count 1",
        "recipe overloaded-database",
    ),
    "redis": (
        "delay 500ms",
        "error(loading) for 20s",
        "lose_reply(then=close) match command=LPUSH,RPUSH,XADD count 1",
        "recipe queue-vanishes",
    ),
    "memcached": ("delay 200ms", "recipe cold-cache", "recipe cache-down"),
    "http": (
        "30% error(503, retry_after=2s)",
        "lose_reply(then=reset) match method=POST count 1",
        "recipe slow-peer",
        "recipe rate-limited-peer",
    ),
    "smtp": ("delay 5s", "error(greylisted) match command=RCPT"),
    "dns": ("delay 3s", "error(servfail)", "lose_reply"),
    "udp": ("lose_request", "delay 200ms"),
    "tcp": ("delay 500ms", "30% reset", "refuse", "recipe network-partition"),
}
"""By protocol, what is worth trying; a test reads every one of them."""
MAIN: Mapping[str, str] = {"udp": "lose_request", "dns": "lose_reply"}
"""What the starter experiments do; else the dependency hangs."""


def node_ini(node: Node, wrap: Wrap, token: str, folder: str) -> str:
    """The file of a node.

    Args:
        node: what it stands before.
        wrap: the whole plan.
        token: the hash of the token for the control API.
        folder: where it stands, as the user calls it.
    """
    lines = [
        f"# Proxies before the services of {', '.join(wrap.project.source.files)}.",
        "# Written by `rascal wrap`; from now on it is yours. After a change: rascal reload",
        "#",
        "# Everything passes until there is a fault. To try one, put it below its proxy:",
        "#     faults = 20% delay 2s",
        "# or arm it now, for half a minute:",
        f"#     export RASCAL_TOKEN_FILE={folder}/token RASCAL_URL=http://127.0.0.1:{node.control}",
        f"#     rascal add {next(node.proxies).name} delay 2s for 30s",
        "",
        "[rascal]",
        "# Published for this machine alone, and whoever calls needs the token beside this file.",
        "control = 0.0.0.0:8474",
        f"hosts = {node.name}",
        "tokens =",
        f"    admin {token} wrap",
    ]
    for backend in node.backends:
        for proxy in backend.proxies:
            one = proxy.endpoint
            spoken = TITLES.get(one.spoken, "") if one.spoken != one.protocol else ""
            title = f"# {backend.name}: {backend.seen.title}, {one.why}"
            if spoken:
                title += f"; {spoken} is carried as {one.protocol}"
            listen = f"{_everywhere(wrap, node)}:{one.port}"
            lines += section(proxy.name, one.protocol, listen, proxy.upstream, [title])
    return "\n".join(lines) + "\n"


def panel_ini(wrap: Wrap, token: str, folder: str) -> str:
    """The file of the panel, in a container beside the nodes."""
    nodes = ", ".join(f"{name}=http://{one.name}:8474" for name, one in called(wrap).items())
    return "\n".join(
        [
            "[panel]",
            f"listen = 0.0.0.0:{PANEL}",
            f"nodes = {nodes}",
            f"scenarios = {folder}",
            f"experiments = {folder}",
            "store = /tmp/runs.sqlite",
            "tokens =",
            f"    admin {token} wrap",
            "",
        ]
    )


def called(wrap: Wrap) -> dict[str, Node]:
    """The nodes by the names that experiments call them by."""
    return {"main" if not at else f"node-{at + 1}": one for at, one in enumerate(wrap.nodes)}


def _everywhere(wrap: Wrap, node: Node) -> str:
    """The address that is all addresses: of IPv6 too, where a network has it."""
    networks = [wrap.project.networks.get(name) for name in node.places]
    six = any(
        str(one.get("enable_ipv6", "")).lower() == "true"
        for one in networks
        if isinstance(one, dict)
    )
    return "[::]" if six else "0.0.0.0"


def section(
    name: str,
    protocol: str,
    listen: str,
    upstream: str,
    remarks: Iterable[str] = (),
    options: Iterable[str] = (),
) -> list[str]:
    """The section of a proxy."""
    return [
        "",
        f"[proxy:{name}]",
        *remarks,
        f"protocol = {protocol}",
        f"listen = {listen}",
        f"upstream = {upstream}",
        *options,
        "# faults =",
        *(f"#     {one}" for one in TRIES.get(protocol, ())),
    ]
