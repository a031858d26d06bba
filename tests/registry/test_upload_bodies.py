"""Bodies on their way out: small slices, and an end to all of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from bundler.errors import NetworkError
from bundler.limits import MIB, Limits
from bundler.registry.http.bodies import SLICE, Outgoing
from bundler.registry.http.exchange import Request, TransportSettings
from bundler.registry.http.transport import Transport
from tests.doubles import FakeClock

HURRIED = Limits(connect_timeout=30.0, blob_seconds=0.2, blob_rate=1000 * MIB)


def test_a_body_goes_out_whole_and_in_slices() -> None:
    data = bytes(range(256)) * 1000
    parts = list(Outgoing(data, len(data), "PUT it", 60.0))
    assert b"".join(parts) == data
    assert max(len(part) for part in parts) == SLICE


def test_a_peer_that_takes_drop_by_drop_is_left() -> None:
    clock = FakeClock()

    def take(body: Outgoing) -> None:
        for _ in body:
            clock.now += 40

    with pytest.raises(NetworkError, match="slower than the limit: it took 131,072 of 196,608 bytes in 80 s"):
        take(Outgoing(bytes(3 * SLICE), 3 * SLICE, "PUT it", 60.0, clock))


def test_a_body_may_take_as_long_to_come_as_it_likes() -> None:
    clock = FakeClock()

    def piped() -> Iterator[bytes]:
        for _ in range(5):
            clock.now += 50
            yield b"x" * 10

    assert len(list(Outgoing(piped(), 50, "PUT it", 60.0, clock))) == 5


@pytest.mark.slow
@pytest.mark.parametrize("body", [bytes(16 * MIB), b""], ids=["a piece", "a blob"])
def test_an_upload_slower_than_the_limit_ends(body: bytes) -> None:
    """The peer takes a little every 20 ms: each slice is in time, and all of them are not."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)

        def drink() -> None:
            connection, _ = listener.accept()
            with connection:
                while not ended.wait(0.02) and connection.recv(1 << 14):
                    pass

        peer = threading.Thread(target=drink, daemon=True)
        peer.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v2/app/blobs/uploads/1"
        request = Request("PUT", url, {}, body or _Blob())
        with pytest.raises(NetworkError, match="slower than the limit"):
            Transport(TransportSettings(limits=HURRIED)).send(request)
        ended.set()
        peer.join(60)


class _Blob:
    """16 MiB as they come out of a bundle."""

    def __len__(self) -> int:
        return 16 * MIB

    def __iter__(self) -> Iterator[bytes]:
        return iter([bytes(MIB)] * 16)
