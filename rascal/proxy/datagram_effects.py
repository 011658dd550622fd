"""What faults on connections and bytes do where datagrams are exchanged (rascal.proxy.effects).

The gate asks here for what it asks there of streams: apply, renew, idle, release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rascal.faults.types import Overtake

if TYPE_CHECKING:
    from rascal.faults.fault import Strike
    from rascal.proxy.datagrams import DatagramConnection


def apply(connection: DatagramConnection, strike: Strike) -> None:
    """A strike was chosen for this client: set it up."""
    connection.take_on(strike)


def renew(strike: Strike) -> None:
    """The fault was changed: what it does here is another from now on."""
    connection: DatagramConnection = strike.subject.connection
    if connection.ended_by:
        return
    if not strike.fault.renewed(strike):
        release(connection, [strike], "release")
        return
    connection.take_down(strike)
    connection.take_on(strike)
    connection.pump()


def idle(strike: Strike) -> bool:
    """Chosen for an exchange: it can be dropped as it is."""
    return strike.subject is not strike.subject.connection


def release(connection: DatagramConnection, strikes: list[Strike], on_remove: str) -> None:
    """The fault of these strikes has left: nothing that it holds stays."""
    if connection.ended_by:
        return
    if on_remove == "close":
        connection.drop_held({strike for strike in strikes if strike.state == "fired"})
    for strike in strikes:
        of_all = strike.subject is connection or isinstance(strike.acts[0], Overtake)
        strike.done("removed")
        if of_all:
            connection.take_down(strike)
    connection.pump()
