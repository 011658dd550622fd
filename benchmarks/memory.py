"""What a thousand connections that do nothing cost the proxy."""

from __future__ import annotations

import json
import subprocess

import attrs
from lanes import Lane, Pins, module_file

CONNECTIONS = 1000


@attrs.frozen
class Idle:
    """Memory of a proxy without and with idle connections, in bytes."""

    base: int
    each: float


def idle(lane: Lane, pin: Pins) -> Idle:
    """Open the connections through the lane, look, close them. Each has had one exchange."""
    host, port = lane.addresses["redis"]
    base = lane.memory
    command = [*pin.client, *module_file("peers.py"), "idle", host, str(port), str(CONNECTIONS)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        try:
            found = json.loads(client.stdout.readline())
            return Idle(base, (lane.memory - base) / found["open"])
        finally:
            client.stdin.close()
