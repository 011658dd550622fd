"""Addresses that cannot be listened on: taken twice, or open to all without a token."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

from rascal.config.ini import Entry, Section
from rascal.config.specs import Configuration
from rascal.errors import ConfigError
from rascal.language import Address


def address_findings(
    configuration: Configuration, service: Mapping[str, Entry], sections: Mapping[str, Section]
) -> list[ConfigError]:
    """No two listeners on one address; no control API in the open without tokens."""
    findings: list[ConfigError] = []
    taken: list[tuple[Address, str]] = []
    control = configuration.control
    if control:
        taken.append((control, "the control API"))
        exposed = not is_loopback(control) and not configuration.tokens
        if exposed and configuration.compatible != "open":
            message = (
                f"the control API on {control} needs tokens: set 'tokens', or listen on 127.0.0.1"
            )
            entry = service.get("control")
            plain = ConfigError(message, option="control")
            findings.append(entry.error(message) if entry else plain)
    if configuration.control_key and not configuration.control_certificate:
        message = "control_key without control_certificate: name the certificate too"
        entry = service.get("control_key")
        findings.append(entry.error(message) if entry else ConfigError(message))
    if configuration.control_certificate and control and control.type == "unix":
        message = "TLS is for control = host:port; a UNIX socket has its file's permissions"
        entry = service.get("control_certificate")
        findings.append(entry.error(message) if entry else ConfigError(message))
    for name, proxy in configuration.proxies.items():
        listen = sections[name].entries["listen"]
        for address in proxy.listen:
            for other, owner in taken:
                if clash(address, other):
                    message = f"{address} is taken by {owner}"
                    if other != address:
                        message += f" ({other})"
                    findings.append(listen.error(message, code="given-twice"))
            taken.append((address, f"[proxy:{name}]"))
    return findings


def is_loopback(address: Address) -> bool:
    """Whether only this machine can reach it."""
    if address.type != "tcp" or address.host == "localhost":
        return True
    try:
        return ip_address(address.host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def clash(one: Address, other: Address) -> bool:
    """Whether the second of two listeners could not be bound."""
    if one.type != "tcp" or other.type != "tcp":
        return one == other
    if one.port != other.port or not one.port:
        return False
    hosts = {"127.0.0.1" if end.host == "localhost" else end.host for end in (one, other)}
    if len(hosts) == 1 or "::" in hosts:
        return True
    return "0.0.0.0" in hosts and not any(":" in host for host in hosts)
