"""What outcomes and measures mean, a line each: for the reference pages, and whoever shows them."""

from __future__ import annotations

from collections.abc import Mapping

OUTCOMES: Mapping[str, str] = {
    "served": "a reply that is right: 2xx or 3xx, and every check holds",
    "refused": "no connection: refused, unreachable, no address",
    "reset": "the connection was lost before a byte of the reply",
    "timeout": "not complete within the time-out, of connecting or of the whole request; a user's "
    "deadline was over",
    "tls": "no TLS: the handshake failed, or the certificate is not to be trusted",
    "truncated": "the connection ended in the middle of the reply",
    "malformed": "what came is not HTTP, cannot be decoded, or is larger than allowed",
    "http_4xx": "the reply says no, with a 4xx",
    "http_5xx": "the reply says no, with a 5xx",
    "shed": "429 or 503 with Retry-After: refused on purpose, under load",
    "check_failed": "a reply that is not as a check wants it; an assert; an error in the scenario",
    "wrong_data": "the scenario found that the reply is wrong: response.wrong()",
    "dropped": "never begun: too many under way (max_in_flight), or a paced user had no time left",
}
"""Every outcome that a call can have; `dropped` is that of an arrival."""

MEASURES: Mapping[str, str] = {
    "max": "the longest time of a served call",
    "time_to_recover": "in experiments: from the end of the fault until all is well again",
    "lateness": "p99 of how late the client itself began arrivals; of the whole client",
    "offered": "calls a second that were to be made",
    "goodput": "calls a second that were served right",
    "attempts": "attempts a call, 1 without retries",
    "in_flight": "the most calls under way; of the whole client",
    "goodput_kept": "in experiments: goodput as a share of the baseline's",
    "failed": "not served, as a share of the offered",
    "dishonest": "neither served in time nor told no in time, as a share of the offered",
}
"""Besides p50 … p99.99, and besides the outcomes, which are shares of the offered."""
