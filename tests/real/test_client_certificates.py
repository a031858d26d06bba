"""Registries that serve nobody without a certificate, and hosts that must not see ours."""

from __future__ import annotations

import io
import re
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from bundler.__main__ import run
from tests.builders import a_bundle, a_module
from tests.doubles import LoopbackServer, Reply, Seen, Wire
from tests.registries import RealRegistry, running_registry

Output = pytest.CaptureFixture[str]

CLIENT = ("--client-cert", "client.pem", "--client-key", "client.key")


@pytest.fixture(scope="module")
def clients() -> trustme.CA:
    """The authority whose clients are served."""
    return trustme.CA()


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA, clients: trustme.CA
) -> Iterator[RealRegistry]:
    """Distribution's registry with `clientcas`."""
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    with running_registry(tmp_path_factory.mktemp("guarded"), tls=certificate, clients=clients) as registry:
        yield registry


@pytest.fixture(autouse=True)
def files(
    tmp_path: Path, authority: trustme.CA, clients: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A working directory with a bundle, the authority, and a client's certificate and key."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    identity = clients.issue_cert("client.example")
    identity.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    identity.private_key_pem.write_to_path(tmp_path / "client.key")
    identity.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    for name in ("client.key", "both.pem"):
        (tmp_path / name).chmod(0o600)
    a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0", size=100_000)})
    return tmp_path


@pytest.mark.slow
def test_every_command_shows_the_certificate(
    guarded: RealRegistry, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, reach = guarded.host, ["--ca-file", "ca.pem", *CLIENT]
    assert run(["import", "b.tar.zst", "--to", f"oci://{host}/in", *reach, "-q"]) == 0
    assert run(["verify", "b.tar.zst", "--against", f"oci://{host}/in", *reach, "-q"]) == 0
    assert run(["export", f"{host}/in/app", "-o", "back.tar.zst", *reach, "-q"]) == 0
    assert run(["explain", f"{host}/in/app", *reach, "-q"]) == 0
    assert run(["ls", f"{host}/in/app", *reach, "--digests", "-q"]) == 0
    assert run(["catalog", host, "--ca-file", "ca.pem", "--client-cert", "both.pem"]) == 0
    assert f"{host}/in/app" in capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a-password")))
    login = ["login", host, "-u", "carrier", "--password-stdin", "--authfile", "auth.json"]
    assert run([*login, *reach]) == 0
    assert "answers without a login" in capsys.readouterr().err


def test_without_one_the_line_says_what_is_missing(guarded: RealRegistry, capsys: Output) -> None:
    assert run(["ls", f"{guarded.host}/in/app", "--ca-file", "ca.pem"]) == 3
    line = capsys.readouterr().err
    assert re.search("refuses this client in TLS: (certificate required|bad certificate); give one", line)


def test_one_of_another_authority_is_refused(guarded: RealRegistry, files: Path, capsys: Output) -> None:
    trustme.CA().issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(files / "x.pem")
    line = ["catalog", guarded.host, "--ca-file", "ca.pem", "--client-cert", "x.pem"]
    assert run(line) == 3
    assert "it refuses this client in TLS: " in capsys.readouterr().err


@pytest.mark.slow
def test_files_name_certificates_per_host(guarded: RealRegistry, files: Path) -> None:
    """Paths are those beside the file; another host's certificate, which does not exist, is not missed."""
    hosts = (
        f"hosts: [{{host: '{guarded.host}', caFile: ca.pem, clientCert: client.pem, clientKey: client.key}}]"
    )
    reach = f"registries: {{limitRate: 64M, {hosts}}}"
    (files / "import.yaml").write_text(f"version: 1\nto: oci://{guarded.host}/file\n{reach}\n")
    sources = f"sources: [{{repository: {guarded.host}/file/app, newest: 1}}]"
    (files / "export.yaml").write_text(f"version: 1\n{sources}\n{reach}\n")
    assert run(["import", "b.tar.zst", "-c", "import.yaml", "-q"]) == 0
    assert run(["verify", "b.tar.zst", "-c", "import.yaml", "-q"]) == 0
    assert run(["export", "-c", "export.yaml", "-o", "back.tar.zst", "-q"]) == 0


@pytest.mark.slow
def test_what_is_no_certificate_is_refused_at_once(files: Path, capsys: Output) -> None:
    key = load_pem_private_key((files / "client.key").read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a-passphrase"))
    (files / "locked.key").write_bytes(locked)
    trustme.CA().issue_cert("x.example").private_key_pem.write_to_path(files / "other.key")
    (files / "text").write_text("hello")
    said = {
        (
            "client.pem",
            "locked.key",
        ): "locked.key: --client-key: this key is encrypted, and only a key without",
        (
            "client.pem",
            "other.key",
        ): "other.key: --client-key: it is not the key of the certificate in client",
        ("client.pem", "missing"): "missing: --client-key: No such file",
        ("missing", "client.key"): "missing: --client-cert: No such file",
        ("text", "client.key"): "--client-key: no PEM certificate, or no PEM key, that can be used",
        (".", "client.key"): "no PEM certificate, or no PEM key, that can be used",
    }
    for (cert, key_file), words in said.items():
        line = ["ls", "127.0.0.1:1/x", "--client-cert", cert, "--client-key", key_file]
        assert run(line) == 2, words
        assert words in capsys.readouterr().err
    assert run(["ls", "127.0.0.1:1/x", "--client-cert", "client.pem"]) == 2
    assert "client.pem: --client-cert: no PEM certificate" in capsys.readouterr().err
    assert run(["ls", "127.0.0.1:1/x", "--client-key", "client.key"]) == 2


@pytest.mark.slow
def test_a_key_that_others_can_read_is_warned_of(guarded: RealRegistry, files: Path, capsys: Output) -> None:
    (files / "both.pem").chmod(0o644)
    assert run(["catalog", guarded.host, "--ca-file", "ca.pem", "--client-cert", "both.pem"]) == 0
    assert "both.pem: other users can read this key; run chmod 600 on it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ("[{host: h}]", "it names no file"),
        ("[{caFile: ca.pem}]", "host"),
        ("[{host: h, caFile: ca.pem}, {host: h, caFile: both.pem}]", "it stands there twice"),
        ("[{host: h, clientKey: client.key}]", "there is no --client-cert"),
        ("[]", "registries.hosts"),
    ],
)
def test_entries_that_say_nothing_are_refused(entries: str, words: str, files: Path, capsys: Output) -> None:
    (files / "import.yaml").write_text(
        f"version: 1\nto: oci://127.0.0.1:1\nregistries: {{hosts: {entries}}}\n"
    )
    assert run(["import", "b.tar.zst", "-c", "import.yaml"]) == 2
    assert words in capsys.readouterr().err


# --- who sees it -------------------------------------------------------------------------------------


class Curious(LoopbackServer):
    """Asks every client for a certificate, and notes who showed one."""

    def __init__(self, authority: trustme.CA, clients: trustme.CA, name: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        clients.configure_trust(context)
        context.verify_mode = ssl.CERT_OPTIONAL
        super().__init__(tls=context)
        self.shown: list[bool] = []
        self.on("GET", "", self._note, times=float("inf"))

    def _note(self, wire: Wire, request: Seen, answer: object) -> bool:
        assert isinstance(wire.connection, ssl.SSLSocket)
        self.shown.append(bool(wire.connection.getpeercert()))
        wire.send(request, self.respond(request))
        return True


@pytest.mark.slow
@pytest.mark.parametrize("configured", [False, True], ids=["elsewhere", "configured"])
def test_a_host_that_is_redirected_to_sees_none(
    configured: bool, files: Path, authority: trustme.CA, clients: trustme.CA
) -> None:
    with (
        Curious(authority, clients, "127.0.0.1") as storage,
        Curious(authority, clients, "127.0.0.1") as source,
    ):
        # Another name for this machine: an address here would not be followed.
        place = f"https://{storage.host}/blob"
        source.respond = lambda request: Reply(307, {"Location": place})
        storage.respond = lambda request: Reply(200, {}, b'{"tags": ["1.0.0"], "name": "app"}')
        entry = f"hosts: [{{host: '{storage.host}', clientCert: both.pem}}]" if configured else ""
        sources = f"sources: [{{repository: {source.host}/app, newest: 1}}]"
        reach = f"registries: {{caFile: ca.pem, clientCert: both.pem, {entry}}}"
        (files / "export.yaml").write_text(f"version: 1\n{sources}\n{reach}\n")
        run(["explain", "-c", "export.yaml", "-q"])
        assert source.shown
        assert all(source.shown)
        assert storage.shown
        assert set(storage.shown) == {configured}
