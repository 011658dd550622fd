"""Our names go to our name server; everything else stays with the system.

All clients of the shop (PyMySQL, pymemcache, redis, requests, smtplib) ask socket.getaddrinfo, so
that is the one place to be in. How long an answer is waited for and believed is up to the part
`names`.
"""

import socket
from collections.abc import Callable

import dns.exception
import dns.resolver

from shop import settings

_system = socket.getaddrinfo


def look_up(host: str, timeout: float, lifetime: float) -> tuple[list[str], float]:
    """Ask the name server: addresses, and for how many seconds they hold. Raises gaierror."""
    resolver = dns.resolver.Resolver(configure=settings.DNS is None)
    if settings.DNS is not None:
        resolver.nameservers = [settings.DNS[0]]
        resolver.port = settings.DNS[1]
    resolver.timeout = timeout
    try:
        answer = resolver.resolve(host + ".", "A", lifetime=lifetime)
    except dns.exception.DNSException as error:
        raise socket.gaierror(socket.EAI_AGAIN, f"{host}: {error}") from error
    return [record.address for record in answer], float(answer.rrset.ttl)


def install(addresses: Callable[[str, int], list[str]]) -> None:
    """From now on addresses(host, port) knows the names under .internal."""

    def getaddrinfo(host, port, *args, **options):
        if isinstance(host, str) and host.endswith(".internal"):
            return [
                found
                for address in addresses(host, port)
                for found in _system(address, port, *args, **options)
            ]
        return _system(host, port, *args, **options)

    socket.getaddrinfo = getaddrinfo
