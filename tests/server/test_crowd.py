"""Many clients that are slow on purpose: others are answered meanwhile."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from bundler.oci.digest import sha256
from bundler.server import crowd, uploads
from bundler.server.crowd import MOST_THREADS, THREADS
from bundler.server.paced_socket import BEGINNING, SLOWEST, PacedSocket
from tests.builders import noise
from tests.doubles import FakeClock
from tests.server.client import Client

CROWD = 5 * THREADS
IN_GOOD_TIME = 30
BLOB = noise("blob", 8_000_000)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for seconds here."""
    monkeypatch.setattr(crowd, "TOO_LATE", 0.2)
    monkeypatch.setattr(crowd, "LATE_IN_A_CROWD", 0.05)
    monkeypatch.setattr(uploads, "IN_USE", 0.05)


@contextlib.contextmanager
def slow(client: Client, start: bytes, number: int = CROWD) -> Iterator[list[socket.socket]]:
    """Connections that send this much, and neither more nor read an answer."""
    host, port = client.address.split(":")
    with contextlib.ExitStack() as stack:
        connections = []
        for _ in range(number):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=300))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with contextlib.suppress(OSError):  # given up already
                connection.sendall(start)
            connections.append(connection)
        yield connections


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    """The beginning of a request."""
    return "\r\n".join([f"{line} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]).encode() + body


def push_and_pull(client: Client) -> None:
    """Do what good clients do, in good time."""
    assert client.get("/v2/", timeout=IN_GOOD_TIME).status_code == 200
    data = noise("another", 100_000)
    begun = client.post("/v2/team/other/blobs/uploads/", timeout=IN_GOOD_TIME)
    digest = {"digest": sha256(data)}
    pushed = client.put(begun.headers["Location"], params=digest, data=data, timeout=IN_GOOD_TIME)
    assert pushed.status_code == 201
    assert client.get(f"/v2/team/other/blobs/{sha256(data)}", timeout=IN_GOOD_TIME).content == data


@pytest.mark.slow
@pytest.mark.parametrize(
    "headers", [["Content-Length: 4000"], ["Content-Length: 4000000"], ["Transfer-Encoding: chunked"]]
)
@pytest.mark.parametrize("size", [0, 1, BEGINNING])
def test_slow_bodies_hold_up_nobody(headers: list[str], size: int, registry: Client) -> None:
    chunk = b"3ffff0\r\n" if "chunked" in headers[0] else b""
    body = (chunk + b"x" * size) if size else b""
    with slow(registry, request("PUT /v2/team/app/manifests/x", *headers, body=body)):
        push_and_pull(registry)


@pytest.mark.slow
def test_clients_that_wait_for_leave_to_send_hold_up_nobody(registry: Client) -> None:
    headers = ["Expect: 100-continue", "Content-Length: 4000"]
    with slow(registry, request("PUT /v2/team/app/manifests/x", *headers)):
        push_and_pull(registry)


@pytest.mark.slow
def test_many_senders_to_one_upload_hold_up_nobody(registry: Client) -> None:
    start = request(
        f"PATCH {registry.begin('team/app')}", "Content-Length: 40000000", body=b"x" * 2 * BEGINNING
    )
    with slow(registry, start):
        push_and_pull(registry)


@pytest.mark.slow
def test_clients_that_do_not_read_hold_up_nobody(registry: Client) -> None:
    registry.upload("team/app", BLOB).raise_for_status()
    before = threading.active_count()
    with slow(registry, request(f"GET /v2/team/app/blobs/{sha256(BLOB)}")):
        push_and_pull(registry)
        assert threading.active_count() <= before + MOST_THREADS - THREADS


def test_a_slow_client_is_waited_for_where_nobody_else_waits(registry: Client) -> None:
    upload = registry.begin("team/app")
    size = 2 * BEGINNING
    start = request(f"PATCH {upload}", f"Content-Length: {size}", body=b"x" * BEGINNING)
    with slow(registry, start, THREADS) as connections:
        first = connections[0]
        for _ in range(20):
            assert registry.get("/v2/").status_code == 200
        first.sendall(b"x" * BEGINNING)
        assert first.recv(65536).startswith((b"HTTP/1.1 202 ", b"HTTP/1.1 503 "))


@pytest.mark.slow
def test_workers_for_a_crowd_end_when_it_has_gone(registry: Client) -> None:
    registry.upload("team/app", BLOB).raise_for_status()
    before = threading.active_count()
    with slow(registry, request(f"GET /v2/team/app/blobs/{sha256(BLOB)}"), MOST_THREADS):
        push_and_pull(registry)
        assert threading.active_count() > before
    for _ in range(100_000):
        assert registry.get("/v2/").status_code == 200
        if threading.active_count() <= before + 1:
            return
    pytest.fail("they are still there")


def test_an_upload_that_another_request_sends_to_is_busy(registry: Client) -> None:
    upload = registry.begin("team/app")
    start = request(f"PATCH {upload}", "Content-Length: 40000", body=b"x" * BEGINNING)
    with slow(registry, start, 1):
        while registry.get(upload).status_code == 204:
            pass  # until the other has begun
        assert registry.error(registry.patch(upload, data=b"x")) == (503, "TOOMANYREQUESTS")
    while registry.get(upload).status_code == 503:
        pass  # until it has ended
    assert registry.get(upload).status_code == 204


class Waiting:
    """A socket whose peer takes its time."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.seconds, self.size = clock, 0.0, 0

    def recv_into(self, buffer: bytearray) -> int:
        self.clock.now += self.seconds
        return self.size


def test_what_a_peer_did_fast_before_does_not_count(clock: FakeClock) -> None:
    peer = Waiting(clock)
    paced = PacedSocket(peer, clock)
    for seconds, size, late in [(0, 100 * SLOWEST, 0), (3, SLOWEST, 2), (3, 1, 5), (1, 2 * SLOWEST, 4)]:
        peer.seconds, peer.size = seconds, size
        paced.recv_into(bytearray(1))
        assert round(paced.late) == late
