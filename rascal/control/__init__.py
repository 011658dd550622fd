"""The HTTP control API of a node, and a client for it.

    site = make_site(node)              a twisted.web Site: the API under /api/v1, health beside it
    check_exposure(configuration)       refuses to listen off loopback without tokens
    Client("http://127.0.0.1:8474")     in rascal.control.client; imports neither Twisted nor Klein

Nothing is imported before it is used: the client, the command line and the tests of users must
not pay for (or choose) a reactor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rascal.config import Configuration


def make_site(node: Any, pages: Any = None) -> Any:
    """The twisted.web.server.Site that serves a node's control API; `pages` is asked first for
    what browsers show."""
    from rascal.control._site import make_site as make

    return make(node, pages=pages)


def check_exposure(configuration: Configuration) -> None:
    """Raise ConfigError if others than this machine could use the API without a token."""
    from rascal.control._auth import check_exposure as check

    check(configuration)


__all__ = ["check_exposure", "make_site"]
