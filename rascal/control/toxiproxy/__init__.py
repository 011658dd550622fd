"""The Toxiproxy-compatible API at the root of the control port.

    Door ─► Compatible.serve ─► door of its own (browsers, tokens) ─► Klein ─► handlers
              └ None: not one of its addresses

Message shapes, statuses and texts are those of the Toxiproxy server 2.12, so that its client
libraries work unchanged. Underneath is nothing but the node: its proxies (protocol tcp), and
faults of Rascal's own kinds that are installed and changed as all others are.

    _routes    addresses, admission, how an answer is sent
    _proxies   list, create, show, change, delete
    _toxics    the same of toxics
    _populate  many proxies at once; reset
    _state     what the node's objects look like here, and how proxies are made and changed
    _errors    what is refused, and in which words
"""

from __future__ import annotations

from rascal.control.toxiproxy._routes import Compatible

__all__ = ["Compatible"]
