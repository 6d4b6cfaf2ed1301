"""Holds connections open that say nothing, and others whose bodies come a byte at a time, until its input ends.

``python -m tests.torture.holder PORT TOKEN SILENT BODIES`` says how many it has once all are open, and at the end how
many it had opened in all. It is a process of its own with the lowest priority, because it stands for clients that have
machines of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import sys

BYTE_SECONDS = 4.0
"""Seconds between two bytes: within the time that a body has, and far too slow."""
LENGTH = 900
"""Bytes that a body is said to have."""


async def main(port: int, token: str, silent: int, bodies: int) -> None:
    os.nice(19)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    held: list[asyncio.StreamWriter] = []
    body = (
        f"POST /probe/echo HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n"
        f"content-length: {LENGTH}\r\n\r\n"
    ).encode()

    async def hold(start: bytes) -> None:
        with contextlib.suppress(OSError):
            while True:  # whoever is cut off comes again
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                held.append(writer)
                writer.write(start)
                await asyncio.sleep(random.uniform(0, BYTE_SECONDS))  # strangers do not send at the same moment
                for _ in range(LENGTH):
                    await asyncio.sleep(BYTE_SECONDS)
                    writer.write(b"x")
                    await writer.drain()

    starts = [b"GET / HTTP/1.1\r\nx-"] * (silent // 2) + [b""] * (silent - silent // 2) + [body] * bodies
    holding = [asyncio.create_task(hold(start)) for start in starts]
    while len(held) < len(starts):
        await asyncio.sleep(0.05)
    print(len(held), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for task in holding:
        task.cancel()
    await asyncio.gather(*holding, return_exceptions=True)
    for writer in held:
        writer.close()
    print(len(held), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
