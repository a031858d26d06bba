"""A loopback proxy that makes a registry far: every byte arrives later, none more slowly.

usage: delay_proxy.py UPSTREAM_PORT ONE_WAY_MILLISECONDS; prints the port that it listens on.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import StreamReader, StreamWriter


async def pump(reader: StreamReader, writer: StreamWriter, delay: float) -> None:
    """Pass bytes on, each `delay` seconds after it came."""
    loop = asyncio.get_running_loop()
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
            await queue.put((loop.time() + delay, data))
        await queue.put((loop.time() + delay, b""))
        await sending
    finally:
        sending.cancel()


async def main(upstream: int, delay: float) -> None:
    """Listen until the process is ended."""

    async def carry(reader: StreamReader, writer: StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", upstream)
        pumps = (pump(reader, far_writer, delay), pump(far_reader, writer, delay))
        await asyncio.gather(*pumps, return_exceptions=True)
        writer.close()
        far_writer.close()

    server = await asyncio.start_server(carry, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]) / 1000))
