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

from bundler.errors import LocalError
from bundler.limits import MIB
from bundler.server.content import read_only
from bundler.server.http import LARGEST_CHUNK, THREADS, RegistryServer
from bundler.server.writable import writable
from tests.server.client import Client

PIECE = bytes(range(256)) * 4096
PIECES = 64


def large() -> Iterator[bytes]:
    """64 MiB that nobody holds."""
    for _ in range(PIECES):
        yield PIECE


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
    with socket.create_connection((host, int(port)), timeout=10) as connection, contextlib.suppress(OSError):
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(65536):
            received += piece
    return bytes(received)


@pytest.mark.parametrize("size", ["FFFFFFFFFF", f"{4 * MIB + 1:x}"])
def test_a_chunk_that_says_it_is_huge_is_refused(size: str, registry: Client) -> None:
    head = f"PATCH {registry.begin('team/app')} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = raw(registry, head.encode() + size.encode() + b"\r\nxx")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"SIZE_INVALID" in answer


def test_chunks_in_all_threads_fit_into_the_memory() -> None:
    # A chunk, and what was waiting before it.
    assert THREADS * 2 * LARGEST_CHUNK < 150 * MIB


@pytest.mark.parametrize("length", ["-1", "-5", "x"])
def test_a_length_that_is_none_ends_the_connection(registry: Client, length: str) -> None:
    head = f"PUT /v2/team/app/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
    assert raw(registry, head.encode() + b"GET /v2/ HTTP/1.1\r\n\r\n").count(b"HTTP/1.1") == 1


def test_endless_headers_are_refused(registry: Client) -> None:
    answer = raw(registry, b"GET /v2/ HTTP/1.1\r\nX: " + b"x" * 200_000 + b"\r\n\r\n")
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413 ")
    assert registry.get("/v2/").status_code == 200


def test_one_line_is_logged_per_request(bundle: Path) -> None:
    lines: list[str] = []
    with read_only(bundle) as content, RegistryServer(content, log=lines.append) as server:
        requests.get(f"http://{server.address}/v2/team/app/tags/list?n=1", timeout=10)
        requests.put(f"http://{server.address}/v2/team/app/manifests/x", timeout=10)
    assert lines == ["GET /v2/team/app/tags/list?n=1 200", "PUT /v2/team/app/manifests/x 405"]


def test_trouble_on_this_side_is_told(tmp_path: Path) -> None:
    lines: list[str] = []
    with writable(tmp_path) as content, RegistryServer(content, trouble=lines.append) as server:
        (tmp_path / ".partial").rmdir()
        answer = requests.post(f"http://{server.address}/v2/team/app/blobs/uploads/", timeout=10)
    assert answer.status_code == 507
    assert len(lines) == 1
    assert ".partial" in lines[0]


def test_a_port_that_is_taken_is_a_local_error(bundle: Path) -> None:
    with read_only(bundle) as content, RegistryServer(content) as first:
        port = int(first.address.split(":")[1])
        with pytest.raises(LocalError, match="can't listen"), RegistryServer(content, port=port):
            pass


def test_an_interrupt_ends_it_cleanly(bundle: Path) -> None:
    main = threading.main_thread().ident
    assert main is not None

    def ask_and_interrupt(address: str) -> None:
        assert requests.get(f"http://{address}/v2/", timeout=10).status_code == 200
        signal.pthread_kill(main, signal.SIGINT)

    with read_only(bundle) as content, RegistryServer(content) as server:
        asking = threading.Thread(target=ask_and_interrupt, args=(server.address,))
        asking.start()
        server.serve_forever()
    asking.join()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://{server.address}/v2/", timeout=10)
