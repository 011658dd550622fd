"""Contender: raw aiohttp on asyncio, or on uvloop with a fifth argument `uvloop`."""

from __future__ import annotations

import asyncio
import sys

import aiohttp
from window import HEADERS, Window, arguments


async def main() -> None:
    """So many users share a session."""
    url, users, warm_up, seconds = arguments()
    window = Window()
    loop = asyncio.get_running_loop()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=HEADERS) as session:

        async def user() -> None:
            while not window.over:
                async with session.get(url) as response:
                    body = await response.read()
                    if response.status == 200 and body:
                        window.completed += 1
                    else:
                        window.failed += 1

        loop.call_later(warm_up, window.open)
        loop.call_later(warm_up + seconds, window.close)
        await asyncio.gather(*(user() for _ in range(users)))
    window.tell()


if __name__ == "__main__":
    if sys.argv[5:] == ["uvloop"]:
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
