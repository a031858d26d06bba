"""The server itself: large bodies, hostile ones, and its end."""

from __future__ import annotations

import contextlib
import hashlib
import signal
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import LocalError
from bundler.limits import MIB
from bundler.server import listener
from bundler.server.connections import LARGEST_CHUNK
from bundler.server.crowd import THREADS
from bundler.server.listener import RegistryServer
from bundler.server.paced_socket import SLOWEST, STALLED, PacedSocket, begins_request
from bundler.server.served_content import read_only
from bundler.server.writable import writable
from bundler.session import Session
from tests.doubles import FakeClock
from tests.server.client import Client

PIECE = bytes(range(256)) * 4096
PIECES = 64


def large() -> Iterator[bytes]:
    """64 MiB that nobody holds."""
    for _ in range(PIECES):
        yield PIECE


@pytest.mark.slow
def test_a_large_blob_passes_in_bounded_memory(registry: Client) -> None:
    digest = "sha256:" + hashlib.sha256(PIECE * PIECES).hexdigest()
    tracemalloc.start()
    where = registry.patch(registry.begin("team/app"), data=large()).headers["Location"]
    registry.put(where, params={"digest": digest}).raise_for_status()
    with registry.get(f"/v2/team/app/blobs/{digest}", stream=True) as answer:
        size = sum(map(len, answer.iter_content(MIB)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size == PIECES * len(PIECE)
    assert peak < 16 * MIB


def raw(client: Client, request: bytes) -> bytes:
    """What a registry answers to bytes, until it ends the connection; nothing if it resets it."""
    host, port = client.address.split(":")
    received = bytearray()
    with socket.create_connection((host, int(port)), timeout=300) as connection, contextlib.suppress(OSError):
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(65536):
            received += piece
    return bytes(received)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["FFFFFFFFFF", f"{4 * MIB + 1:x}"])
def test_a_chunk_that_says_it_is_huge_is_refused(size: str, registry: Client) -> None:
    head = f"PATCH {registry.begin('team/app')} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = raw(registry, head.encode() + size.encode() + b"\r\nxx")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"SIZE_INVALID" in answer


def test_chunks_in_all_threads_fit_into_the_memory() -> None:
    # A chunk, and what was waiting before it.
    assert THREADS * 2 * LARGEST_CHUNK < 150 * MIB


NEXT = b"GET /v2/ HTTP/1.1\r\n\r\n"


@pytest.mark.slow
@pytest.mark.parametrize("length", ["-1", "-5", "x", "+0", "0_0", "9" * 30, "0\r\nContent-Length: 0"])
def test_a_length_that_is_none_ends_the_connection(registry: Client, length: str) -> None:
    head = f"PUT /v2/team/app/manifests/x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n"
    answer = raw(registry, head.encode() + NEXT)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "headers", ["Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding : chunked"]
)
def test_an_ambiguous_length_ends_the_connection(registry: Client, headers: str) -> None:
    answer = raw(registry, f"GET /v2/ HTTP/1.1\r\n{headers}\r\n\r\n0\r\n\r\n".encode() + NEXT)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.slow
@pytest.mark.parametrize("size", ["-1", "+3", "0x3", "0_3", "", "3 3"])
def test_a_chunk_whose_size_is_none_ends_the_connection(registry: Client, size: str) -> None:
    head = b"GET /v2/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = raw(registry, head + f"{size}\r\nabc\r\n0\r\n\r\n".encode() + NEXT)
    assert answer.count(b"HTTP/1.1") == 1


def test_chunks_with_extensions_and_trailers_are_passed_over(registry: Client) -> None:
    head = b"GET /v2/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = raw(registry, head + b"3 ;a=b\r\nabc\r\n0\r\nX: not a size\r\n\r\n" + NEXT)
    assert answer.count(b"HTTP/1.1 200") == 2


@pytest.mark.slow
@pytest.mark.parametrize("target", ["http://[::1/v2/", "//[::1/v2/", "http://]/v2/", "http://[x]/v2/"])
def test_an_address_that_can_not_be_split_is_refused_unlogged(bundle: Path, target: str) -> None:
    lines: list[str] = []
    with read_only(bundle, Session()) as content, RegistryServer(content, trouble=lines.append) as server:
        answer = raw(Client(server.address), f"GET {target} HTTP/1.1\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert lines == []


class Dripping:
    """A socket that gives and takes so many bytes, each time after so many seconds."""

    def __init__(self, clock: FakeClock, seconds: float, size: int) -> None:
        self._clock, self._seconds, self._size = clock, seconds, size

    def recv_into(self, buffer: bytearray) -> int:
        self._clock.now += self._seconds
        return self._size

    send = recv_into


@pytest.mark.parametrize("way", ["recv_into", "send"])
def test_a_peer_that_drips_is_given_up_and_may_ask_again(clock: FakeClock, way: str) -> None:
    connection = PacedSocket(Dripping(clock, STALLED / 2, 1), clock)
    move = getattr(connection, way)
    assert [move(bytearray(1)) for _ in range(3)] == [1, 1, 1]
    with pytest.raises(TimeoutError):
        move(bytearray(1))
    connection.begin()
    assert move(bytearray(1)) == 1


def test_a_peer_that_is_slow_is_waited_for(clock: FakeClock) -> None:
    connection = PacedSocket(Dripping(clock, 2, 2 * SLOWEST), clock)
    assert sum(connection.recv_into(bytearray(1)) for _ in range(1000)) == 2000 * SLOWEST


def test_endless_headers_are_refused(registry: Client) -> None:
    answer = raw(registry, b"GET /v2/ HTTP/1.1\r\nX: " + b"x" * 200_000 + b"\r\n\r\n")
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413 ")
    assert registry.get("/v2/").status_code == 200


def test_a_client_that_tries_tls_first_is_answered_at_once(registry: Client) -> None:
    host, port = registry.address.split(":")
    with socket.create_connection((host, int(port)), timeout=300) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert b"http://, not https://" in answer


@given(
    st.sampled_from([b"GET", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"]), st.integers(0, 12), st.integers(0, 2)
)
def test_the_start_of_a_request_is_waited_for(method: bytes, cut: int, empty_lines: int) -> None:
    assert begins_request(b"\r\n" * empty_lines + (method + b" /v2/ HTTP/1.1")[:cut])


def test_one_line_is_logged_per_request(bundle: Path) -> None:
    lines: list[str] = []
    with read_only(bundle, Session()) as content, RegistryServer(content, log=lines.append) as server:
        requests.get(f"http://{server.address}/v2/team/app/tags/list?n=1", timeout=300)
        requests.put(f"http://{server.address}/v2/team/app/manifests/x", timeout=300)
    assert lines == ["GET /v2/team/app/tags/list?... 200", "PUT /v2/team/app/manifests/x 405"]


def test_trouble_on_this_side_is_told(tmp_path: Path) -> None:
    lines: list[str] = []
    with writable(tmp_path, Session()) as content, RegistryServer(content, trouble=lines.append) as server:
        (tmp_path / ".partial").rmdir()
        answer = requests.post(f"http://{server.address}/v2/team/app/blobs/uploads/", timeout=300)
    assert answer.status_code == 507
    assert len(lines) == 1
    assert ".partial" in lines[0]


def test_a_port_that_is_taken_is_a_local_error(bundle: Path) -> None:
    with read_only(bundle, Session()) as content, RegistryServer(content) as first:
        port = int(first.address.split(":")[1])
        with pytest.raises(LocalError, match="can't listen"), RegistryServer(content, port=port):
            pass


def test_an_interrupt_ends_it_cleanly(bundle: Path) -> None:
    main = threading.main_thread().ident
    assert main is not None

    def ask_and_interrupt(address: str) -> None:
        assert requests.get(f"http://{address}/v2/", timeout=300).status_code == 200
        signal.pthread_kill(main, signal.SIGINT)

    with read_only(bundle, Session()) as content, RegistryServer(content) as server:
        asking = threading.Thread(target=ask_and_interrupt, args=(server.address,))
        asking.start()
        server.serve_forever()
    asking.join()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://{server.address}/v2/", timeout=300)


# --- bad clients --------------------------------------------------------------------------------------


@contextlib.contextmanager
def silent(client: Client, number: int, start: bytes = b"") -> Iterator[None]:
    """Connections that send nothing, or a beginning, and stay open."""
    host, port = client.address.split(":")
    with contextlib.ExitStack() as stack:
        for _ in range(number):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=300))
            connection.sendall(start)
        yield


@pytest.mark.slow
@pytest.mark.parametrize("start", [b"", b"GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"])
@pytest.mark.parametrize("number", [THREADS, 4 * THREADS])
def test_connections_without_a_request_take_no_worker(number: int, start: bytes, registry: Client) -> None:
    with silent(registry, number, start):
        assert raw(registry, NEXT).startswith(b"HTTP/1.1 200 ")


def test_a_second_request_that_does_not_come_takes_no_worker(registry: Client) -> None:
    with silent(registry, THREADS, NEXT + b"GET /v2/"):
        assert raw(registry, NEXT).startswith(b"HTTP/1.1 200 ")


def test_a_request_in_small_pieces_is_answered(registry: Client) -> None:
    host, port = registry.address.split(":")
    with socket.create_connection((host, int(port)), timeout=300) as connection:
        for number in range(len(NEXT)):
            connection.sendall(NEXT[number : number + 1])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_too_many_waiting_connections_end_the_oldest(
    registry: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "WAITING", 4)
    host, port = registry.address.split(":")
    with socket.create_connection((host, int(port)), timeout=300) as oldest, silent(registry, 8):
        assert oldest.recv(1) == b""


@pytest.mark.slow
@pytest.mark.parametrize(
    "header",
    [
        b"Transfer-Encoding: \x0bchunked",
        b"X: a\rb",
        b"X: a\x00b",
        b"X: a\r\n b",
        b"Host: 127.0.0.1\r\nHost: 127.0.0.1",
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: , chunked",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: ",
        b"Content-Length: 5, 5",
        b"Content_Length: 5",
        b"transfer_encoding: chunked",
        b"Content-Length: ",
        b": x",
        b"x",
    ],
)
def test_a_header_with_two_readings_is_refused(header: bytes, registry: Client) -> None:
    answer = raw(registry, b"GET /v2/ HTTP/1.1\r\n" + header + b"\r\n\r\n" + NEXT)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    "line",
    [
        b" GET /v2/ HTTP/1.1", b"GET  /v2/ HTTP/1.1", b"GET /v2/ HTTP/1.1 ", b"GET\t/v2/ HTTP/1.1",
        b"GET /v2/ HTTP/+1.1", b"GET /v2/ HTTP/01.1", b"GET /v2/ HTTP/1.1\r", b"GET /v2/ a HTTP/1.1",
        b"get /v2/ HTTP/1.1", b"GET /v2/\0 HTTP/1.1",
        b"G@T /v2/ HTTP/1.1", b"GET http://127.0.0.1/v2/ HTTP/1.1", b"GET /v2/#x HTTP/1.1", b"GET /v2/",
    ],
)  # fmt: skip
def test_a_request_line_with_two_readings_is_refused(line: bytes, registry: Client) -> None:
    answer = raw(registry, line + b"\r\nHost: 127.0.0.1\r\n\r\n" + NEXT)
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert answer.count(b"HTTP/1.") == 1


BROKEN = [
    b"3\r\nabcX\r\n0\r\n\r\n", b"1\r\nabc\r\n0\r\n\r\n", b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    b"3;\0\r\nabc\r\n0\r\n\r\n", b"3;" + b"a" * 70_000 + b"\r\nabc\r\n0\r\n\r\n", b"3\nabc\n0\n\n",
    b" 3\r\nabc\r\n0\r\n\r\n",
]  # fmt: skip


@pytest.mark.parametrize("body", BROKEN)
def test_nothing_is_read_behind_a_broken_chunk(body: bytes, registry: Client) -> None:
    head = f"PATCH {registry.begin('team/app')} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = raw(registry, head.encode() + body + NEXT)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    "trailer", [b"X y: 1", b"X: 1\r\n 2", b"X: 1\r2", b"X: 1\n", b"X", b"X: 1\r\n" * 20_000 + b"X: 1"]
)
def test_nothing_is_read_behind_a_broken_trailer(trailer: bytes, registry: Client) -> None:
    head = b"GET /v2/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
    assert raw(registry, head + trailer + b"\r\n\r\n" + NEXT).count(b"HTTP/1.1") == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["127.0.0.1:5000", "localhost", "[::1]:80", "a.localhost"])
def test_a_name_of_loopback_is_answered(name: str, registry: Client) -> None:
    assert registry.get("/v2/", headers={"Host": name}).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["evil.example", "evil.example:5000", "127.0.0.1.evil.example", "", "x@127.0.0.1", "127.0.0.1, x"]
)
def test_another_name_is_refused_on_loopback(name: str, registry: Client) -> None:
    assert registry.get("/v2/", headers={"Host": name}).status_code == 403


def test_with_a_host_any_name_is_answered(bundle: Path) -> None:
    with read_only(bundle, Session()) as content, RegistryServer(content, "127.0.0.1") as server:
        answer = requests.get(
            f"http://{server.address}/v2/", headers={"Host": "registry.example"}, timeout=300
        )
    assert answer.status_code == 200
