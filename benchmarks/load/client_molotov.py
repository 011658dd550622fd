"""Contender: molotov, one process. This file is molotov's scenario and its command in one."""

from __future__ import annotations

import asyncio
import sys

from molotov import scenario, setup
from molotov.run import _parser, run
from molotov.util import stop
from window import HEADERS, Window, arguments

URL, USERS, WARM_UP, SECONDS = arguments()
window = Window()


def close() -> None:
    """Workers end what they have begun."""
    window.close()
    stop()


@setup()
async def prepare(worker, args):
    """The same headers for all; the first worker starts the clock."""
    if worker == 0:
        loop = asyncio.get_running_loop()
        loop.call_later(WARM_UP, window.open)
        loop.call_later(WARM_UP + SECONDS, close)
    return {"headers": HEADERS}


@scenario()
async def page(session):
    """One request."""
    async with session.get(URL) as response:
        body = await response.read()
        if response.status == 200 and body:
            window.completed += 1
        else:
            window.failed += 1


if __name__ == "__main__":
    try:
        run(_parser().parse_args(["-q", "-p", "1", "-w", str(USERS), "-d", "3600", __name__]))
    except SystemExit as error:
        if error.code:
            sys.exit(error.code)
    window.tell()
