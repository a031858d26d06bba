"""Real parts for tests: Distribution's registry as a process, and a token server for it."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import requests
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from bundler.oci.reference import RepositoryName
from tests.doubles import LoopbackServer, Reply, Seen
from tools.second_registry import program

START = 120.0
"""Seconds that a registry may take to listen."""
_LISTENING = re.compile(r"listening on 127\.0\.0\.1:([0-9]+)")
_ACCESS = re.compile(r'"([A-Z]+) (\S+) HTTP/[0-9.]+" ([0-9]{3})')


def require(program: str) -> str:
    """The path of a program; without it the test is skipped, and fails in continuous integration."""
    found = shutil.which(program)
    if found:
        return found
    line = f"{program} is not installed: what needs it can't be tested here"
    if os.environ.get("CI") == "true":
        pytest.fail(line)
    pytest.skip(line)


def second_registry() -> str:
    """The path of a registry that is not Distribution; see `tools/second_registry.py`."""
    path = program(os.environ)
    if path.exists():
        return str(path)
    line = f"{path} is not there: run `make second-registry` to test with a second registry"
    if os.environ.get("CI") == "true":
        pytest.fail(line)
    pytest.skip(line)


class Access(NamedTuple):
    """One line of a registry's access log."""

    method: str
    target: str
    status: int


class RealRegistry:
    """A `docker-registry` process on a port of its own choice."""

    def __init__(self, folder: Path, port: int, log: _Lines, scheme: str = "http") -> None:
        self.folder = folder
        self.host = f"127.0.0.1:{port}"
        self.base = f"{scheme}://{self.host}"
        self._log = log

    def repository(self, path: str) -> RepositoryName:
        """The full name of a repository here."""
        return RepositoryName(f"{self.host}/{path}")

    def tags(self, path: str) -> list[str]:
        """What a plain client is told of a repository's tags."""
        answer = requests.get(f"{self.base}/v2/{path}/tags/list", timeout=START)
        return [str(tag) for tag in answer.json().get("tags") or ()]

    def catalog(self) -> list[str]:
        """All repositories."""
        answer = requests.get(f"{self.base}/v2/_catalog?n=1000", timeout=START)
        return [str(name) for name in answer.json()["repositories"]]

    def accesses(self, path: str) -> list[Access]:
        """What was asked of one repository, complete at the moment of the call."""
        marker = f"/v2/?{secrets.token_hex(8)}"
        requests.get(self.base + marker, timeout=START, verify=False)
        lines = self._log.until(marker)
        seen = [
            Access(match[1], match[2], int(match[3])) for line in lines if (match := _ACCESS.search(line))
        ]
        return [access for access in seen if access.target.startswith(f"/v2/{path}/")]


class _Lines:
    """The lines of a process's output, read by a thread, for others to wait for."""

    def __init__(self, stream: IO[str]) -> None:
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def until(self, part: str) -> list[str]:
        """All lines so far, as soon as one of them has `part`."""
        with self._news:
            if not self._news.wait_for(lambda: any(part in line for line in self._lines), timeout=START):
                raise AssertionError(f"no {part!r} in the log: {self._lines[-5:]}")
            return list(self._lines)

    def join(self) -> None:
        self._thread.join(START)

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                with self._news:
                    self._lines.append(line)
                    self._news.notify_all()


@contextmanager
def running_registry(
    folder: Path,
    *,
    auth: str = "",
    tls: trustme.LeafCert | None = None,
    clients: trustme.CA | None = None,
    port: int = 0,
    cache: bool = False,
    before: Sequence[str] = (),
) -> Iterator[RealRegistry]:
    """A registry that keeps its data in `folder`; `auth` is the YAML of its `auth` section.

    `before` is a program that starts it, such as nsenter. With `clients`, it serves nobody without a
    certificate of this authority.
    """
    program = require("docker-registry")
    config = folder / "config.yml"
    text = _config(folder, auth, tls, port)
    if clients:
        clients.cert_pem.write_to_path(folder / "clients.pem")
        text = text.replace("tls: {", f"tls: {{clientcas: [{folder / 'clients.pem'}], ")
    if cache:  # of what is known of blobs, in memory
        text = text.replace("storage: {", "storage: {cache: {blobdescriptor: inmemory}, ")
    config.write_text(text)
    process = subprocess.Popen(
        [*before, program, "serve", str(config)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stderr
    access, log = _Lines(process.stdout), _Lines(process.stderr)
    try:
        lines = log.until("listening on")
        found = next(match for line in lines if (match := _LISTENING.search(line)))
        registry = RealRegistry(folder, int(found[1]), access, "https" if tls else "http")
        yield registry
    finally:
        process.kill()
        process.wait(START)
        access.join()
        log.join()


_SERVING = re.compile(r"serving on port ([0-9]+)")


@contextmanager
def running_second_registry() -> Iterator[str]:
    """The registry of go-containerregistry, which keeps its content in memory; yields HOST:PORT."""
    command = [second_registry(), "-port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    log = _Lines(process.stderr)
    try:
        lines = log.until("serving on port")
        found = next(match for line in lines if (match := _SERVING.search(line)))
        yield f"localhost:{found[1]}"
    finally:
        process.kill()
        process.wait(START)
        log.join()


def _config(folder: Path, auth: str, tls: trustme.LeafCert | None, port: int) -> str:
    lines = [
        "version: 0.1",
        "log: {accesslog: {disabled: false}, level: info}",
        f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}, delete: {{enabled: true}}}}",
    ]
    section = ""
    if tls:
        tls.cert_chain_pems[0].write_to_path(folder / "tls.pem")
        tls.private_key_pem.write_to_path(folder / "tls.key")
        section = f", tls: {{certificate: {folder / 'tls.pem'}, key: {folder / 'tls.key'}}}"
    lines.append(f'http: {{addr: "127.0.0.1:{port}", secret: tests{section}}}')
    return "\n".join([*lines, f"auth: {auth}" if auth else ""])


def htpasswd_auth(folder: Path, user: str, password: str) -> str:
    """The `auth` section for one user, and the file that it names."""
    made = subprocess.run(
        [require("htpasswd"), "-Bbn", "-C", "4", user, password], capture_output=True, text=True, check=True
    )
    (folder / "htpasswd").write_text(made.stdout)
    return f"{{htpasswd: {{realm: tests, path: {folder / 'htpasswd'}}}}}"


class TokenServer(LoopbackServer):
    """Signs tokens as Distribution's token authentication wants them; anonymous users may pull.

    With `users`, those may push, and a wrong password is a 401.
    """

    def __init__(self, users: Mapping[str, str], *, expires_in: int = 300) -> None:
        super().__init__(self._answer)
        self.users = users
        self.expires_in = expires_in
        self._authority = trustme.CA()
        self._signer = self._authority.issue_cert("tokens")

    def auth(self, folder: Path) -> str:
        """The registry's `auth` section, and the file that it names."""
        self._authority.cert_pem.write_to_path(folder / "tokens.pem")
        return (
            f"{{token: {{realm: {self.base}/token, service: registry, issuer: tests, "
            f"rootcertbundle: {folder / 'tokens.pem'}}}}}"
        )

    def _answer(self, request: Seen) -> Reply:
        user = self._user(request.headers.get("Authorization", ""))
        if user is None:
            return Reply(401)
        scopes = parse_qs(urlsplit(request.target).query).get("scope", [])
        document = {"token": self._token(user, " ".join(scopes).split()), "expires_in": self.expires_in}
        return Reply(200, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def _user(self, authorization: str) -> str | None:
        if not authorization:
            return ""
        name, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        return name if self.users.get(name) == password else None

    def _token(self, user: str, scopes: list[str]) -> str:
        access: list[dict[str, Any]] = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            granted = [action for action in actions.split(",") if user or action == "pull"]
            access.append({"type": kind, "name": name, "actions": granted})
        now = int(time.time())
        claims = {
            "iss": "tests", "sub": user, "aud": "registry", "iat": now, "nbf": now - 60, "exp": now + 3600,
            "jti": secrets.token_hex(8), "access": access,
        }  # fmt: skip
        leaf = x509.load_pem_x509_certificate(self._signer.cert_chain_pems[0].bytes())
        chain = [base64.b64encode(leaf.public_bytes(Encoding.DER)).decode()]
        key = self._signer.private_key_pem.bytes().decode()
        return jwt.encode(claims, key, algorithm="ES256", headers={"x5c": chain})
