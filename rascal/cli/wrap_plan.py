"""What `rascal wrap` plans for a Compose project: as tables for people, as data for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rascal.cli.output import heading, paragraph, say, table

if TYPE_CHECKING:
    from rascal.wrapping.plans import Backend, Wrap


def explain(found: Wrap, *, keep_ports: bool) -> None:
    """What would be done, and why."""
    from rascal.wrapping.recognising import TITLES

    rows = []
    for node in found.nodes:
        for backend in node.backends:
            for index, proxy in enumerate(backend.proxies):
                one = proxy.endpoint
                spoken = TITLES.get(one.spoken, "") if one.spoken != one.protocol else ""
                why = "; ".join(dict.fromkeys([one.why, *backend.seen.needed_by]))
                rows.append(
                    [
                        backend.name if not index else "",
                        f"{one.protocol}{f' ({spoken})' if spoken else ''}",
                        why if not index else one.why,
                        f"{proxy.name} ({node.name}:{one.port})",
                    ]
                )
    if rows:
        heading("Proxies")
        table(["SERVICE", "PROTOCOL", "WHY", "PROXY"], rows)
        heading("What moves")
        for backend in found.backends.values():
            paragraph(_moves(found, backend, keep_ports))
    others = [one for one in found.seen if not one.wrapped]
    if others:
        heading("Left as they are")
        rows = []
        for seen in others:
            waits = ", ".join(found.clients.get(seen.service.name, ()))
            reason = seen.refused or "an application: nothing here needs it"
            rows.append([seen.service.name, reason + (f"; waits for {waits}" if waits else "")])
        table(["SERVICE", "WHY"], rows)
    if found.notes:
        heading("To know")
        for note in found.notes:
            paragraph(f"! {note}")
    say()
    if found.nodes:
        where = found.target or "not known: nothing is published (--target URL)"
        say(f"the application, for experiments: {where}")


def _moves(found: Wrap, backend: Backend, keep_ports: bool) -> str:
    from rascal.wrapping.plans import names_of

    service = backend.seen.service
    parts = []
    for network in service.networks:
        names = ", ".join(f"'{name}'" for name in names_of(service, network))
        parts.append(f"on {network} {names} is the proxy")
    fixed = [ip for one in service.networks.values() for ip in (one.ipv4, one.ipv6) if ip]
    if fixed:
        parts.append(f"so is {', '.join(fixed)}")
    text = f"{backend.name}: {'; '.join(parts)}; the server itself is '{backend.upstream}' on "
    text += backend.network
    if backend.moved:
        ports = ", ".join(one.published or str(one.first) for one in backend.moved)
        where = "" if keep_ports else ", for 127.0.0.1 alone unless an address is given"
        text += f"; port {ports} of the host leads to the proxy{where}"
    return text


def data_of(found: Wrap) -> dict[str, Any]:
    """The same for programs."""
    services = {}
    for seen in found.seen:
        backend = found.backends.get(seen.service.name)
        services[seen.service.name] = {
            "wrapped": backend is not None,
            "title": seen.title,
            "needed_by": list(seen.needed_by),
            "refused": seen.refused or None,
            "waits_for": list(found.clients.get(seen.service.name, ())),
            "upstream": backend.upstream if backend else None,
            "network": backend.network if backend else None,
            "proxies": [
                {
                    "name": proxy.name,
                    "node": found.node_of(seen.service.name).name,
                    "protocol": proxy.endpoint.protocol,
                    "spoken": proxy.endpoint.spoken,
                    "port": proxy.endpoint.port,
                    "why": proxy.endpoint.why,
                }
                for proxy in (backend.proxies if backend else ())
            ],
        }
    return {
        "files": list(found.project.source.files),
        "target": found.target or None,
        "nodes": {node.name: f"http://127.0.0.1:{node.control}" for node in found.nodes},
        "services": services,
        "notes": list(found.notes),
    }
