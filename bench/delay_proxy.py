"""A loopback proxy that makes a registry far: every byte arrives later, and if wanted, more slowly.

usage: delay_proxy.py UPSTREAM_PORT ONE_WAY_MILLISECONDS [MEGABYTES_PER_SECOND]

The rate is that of each connection, as content networks limit it. Prints the port that it listens on.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import StreamReader, StreamWriter


async def pump(reader: StreamReader, writer: StreamWriter, delay: float, rate: float) -> None:
    """Pass bytes on, each `delay` seconds after it came, at most `rate` of them a second."""
    loop = asyncio.get_running_loop()
    free = loop.time()
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(256)

    async def send() -> None:
        while True:
            due, data = await queue.get()
            await asyncio.sleep(max(due - loop.time(), 0))
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()

    sending = asyncio.create_task(send())
    try:
        while data := await reader.read(1 << 16):
            free = max(free, loop.time()) + len(data) / rate
            await asyncio.sleep(max(free - loop.time() - 0.05, 0))
            await queue.put((loop.time() + delay, data))
        await queue.put((loop.time() + delay, b""))
        await sending
    finally:
        sending.cancel()


async def main(upstream: int, delay: float, rate: float) -> None:
    """Listen until the process is ended."""

    async def carry(reader: StreamReader, writer: StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", upstream)
        pumps = (pump(reader, far_writer, delay, rate), pump(far_reader, writer, delay, rate))
        await asyncio.gather(*pumps, return_exceptions=True)
        writer.close()
        far_writer.close()

    server = await asyncio.start_server(carry, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    limit = float(sys.argv[3]) * 1e6 if len(sys.argv) > 3 else float("inf")
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]) / 1000, limit))
