"""TLS and passwords: what makes a registry usable beyond this machine."""

from __future__ import annotations

import importlib.util
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import trustme

from bundler.errors import UsageError
from bundler.server.listener import Access, RegistryServer, server_context
from bundler.server.passwords import Passwords, read_htpasswd
from bundler.server.served_content import read_only
from bundler.session import Session
from tests.builders import a_bundle, a_module
from tests.processes import PROGRAM, bundler, needs

HASH = "$2y$04$E7gL2W1bKkPPtOgJxPbFweF8kK3y5VfT0b1QH6XzO0y9cS0i4bW3u"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle to serve."""
    return a_bundle(tmp_path / "bundle.tar.zst", {"ghcr.io/app": a_module("1.0.0")})


@pytest.fixture
def pem(authority: trustme.CA, tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for this machine, and its key."""
    made = authority.issue_cert("localhost", "127.0.0.1")
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    certificate.write_bytes(b"".join(part.bytes() for part in made.cert_chain_pems))
    key.write_bytes(made.private_key_pem.bytes())
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return certificate, key


@pytest.fixture
def users() -> dict[str, bytes]:
    """One user, as `htpasswd -B` writes them."""
    needs(importlib.util.find_spec("bcrypt") is not None, "bcrypt")
    import bcrypt

    return {"alice": bcrypt.hashpw(b"correct horse", bcrypt.gensalt(4))}


def test_a_registry_speaks_tls(bundle: Path, pem: tuple[Path, Path], tmp_path: Path) -> None:
    access = Access(server_context(*pem))
    with read_only(bundle, Session()) as content, RegistryServer(content, access=access) as server:
        assert server.url == f"https://{server.address}"
        with requests.Session() as client:
            client.trust_env = False
            client.verify = str(tmp_path / "ca.pem")
            for _ in range(3):
                tags = client.get(f"{server.url}/v2/app/tags/list", timeout=10).json()
                assert tags["tags"] == ["1.0.0"]
            manifest = client.get(f"{server.url}/v2/app/manifests/1.0.0", timeout=10).json()
            for layer in manifest["layers"]:
                blob = client.get(f"{server.url}/v2/app/blobs/{layer['digest']}", timeout=10)
                assert len(blob.content) == layer["size"]


def test_plain_clients_of_a_tls_port_are_let_go(bundle: Path, pem: tuple[Path, Path]) -> None:
    access = Access(server_context(*pem))
    with read_only(bundle, Session()) as content, RegistryServer(content, access=access) as server:
        host, _, port = server.address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as plain:
            plain.sendall(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"HTTP/1.1 200" not in plain.recv(100)


def test_a_stalled_handshake_holds_up_nobody(bundle: Path, pem: tuple[Path, Path], tmp_path: Path) -> None:
    access = Access(server_context(*pem))
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    with read_only(bundle, Session()) as content, RegistryServer(content, access=access) as server:
        host, _, port = server.address.rpartition(":")
        stalled = [socket.create_connection((host, int(port)), timeout=10) for _ in range(20)]
        for one in stalled:
            one.sendall(b"\x16\x03\x01")
        with context.wrap_socket(
            socket.create_connection((host, int(port)), timeout=10), server_hostname="localhost"
        ) as client:
            client.sendall(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        for one in stalled:
            one.close()


def test_only_users_get_an_answer(bundle: Path, users: dict[str, bytes]) -> None:
    access = Access(passwords=Passwords(users))
    with read_only(bundle, Session()) as content, RegistryServer(content, access=access) as server:
        for path in ("/v2/", "/v2/app/manifests/1.0.0"):
            refused = requests.get(f"{server.url}{path}", timeout=10)
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"].startswith("Basic realm=")
            for wrong in (("alice", "wrong"), ("bob", "correct horse"), ("", "")):
                assert requests.get(f"{server.url}{path}", auth=wrong, timeout=10).status_code == 401
            for _ in range(2):
                right = requests.get(f"{server.url}{path}", auth=("alice", "correct horse"), timeout=10)
                assert right.status_code == 200


@pytest.mark.parametrize("header", ["Basic", "Basic !", "Basic YWxpY2U=", "Bearer x", "Basic AAA6AAA="])
def test_a_malformed_login_is_no_login(users: dict[str, bytes], header: str) -> None:
    assert not Passwords(users).allow(header)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "it has no user"),
        ("alice:secret", "users:1: this is not a user with a bcrypt hash"),
        ("# users\nalice:$apr1$x$y", "users:2: this is not a user with a bcrypt hash"),
        (f"alice:{HASH}\nalice:{HASH}", "users:2: alice is there twice"),
    ],
)
def test_a_file_of_users_is_read_strictly(text: str, cause: str) -> None:
    with pytest.raises(UsageError) as error:
        read_htpasswd("users", text)
    assert cause in str(error.value)
    assert "secret" not in str(error.value)


def test_a_key_of_another_certificate_is_refused(pem: tuple[Path, Path], tmp_path: Path) -> None:
    other = trustme.CA().issue_cert("localhost").private_key_pem
    other.write_to_path(str(tmp_path / "other.key"))
    with pytest.raises(UsageError, match="not a certificate with its key"):
        server_context(pem[0], tmp_path / "other.key")
    with pytest.raises(UsageError, match="not a file"):
        server_context(pem[0], tmp_path / "none.key")


@pytest.mark.slow
def test_a_certificate_without_a_key_is_refused(bundle: Path, pem: tuple[Path, Path]) -> None:
    done = bundler("serve", str(bundle), "--tls-cert", str(pem[0]), "--port", "0")
    assert done.returncode == 2
    assert "a certificate needs its key" in done.stderr


@pytest.fixture
def started(bundle: Path) -> Iterator[subprocess.Popen[str]]:
    """The command, listening on every address."""
    command = [*PROGRAM, "serve", str(bundle), "--host", "0.0.0.0", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.terminate()


@pytest.mark.slow
def test_an_open_registry_beyond_this_machine_is_warned_of(started: subprocess.Popen[str]) -> None:
    assert started.stdout
    assert started.stdout.readline().startswith("http://0.0.0.0:")
    started.terminate()
    assert started.stderr
    told = started.stderr.read()
    assert "everybody who reaches this address can use the registry; add --htpasswd" in told
    assert "content travels unencrypted; add --tls-cert and --tls-key" in told
