"""Loopback servers that misbehave on purpose, and a clock that nobody has to wait for.

A `LoopbackServer` answers each request by a function. `FaultProxy` forwards to a real registry,
`MemoryRegistry` serves content from memory; both apply faults to the n-th matching request.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from io import BufferedReader
from typing import ClassVar, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

from bundler.oci.digest import Digest
from bundler.oci.manifest import OCI_INDEX
from bundler.oci.reference import RepositoryName
from tests.builders import Content

ALWAYS = float("inf")
PATIENCE = 10.0
"""Seconds after which anything here gives up, so that a failing test ends."""


class FakeClock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.naps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Take note, and be later."""
        self.naps.append(seconds)
        self.now += seconds


# --- what goes over the wire -------------------------------------------------------------------------


class Seen(NamedTuple):
    """One request as it arrived."""

    method: str
    target: str
    headers: Message
    body: bytes

    @property
    def path(self) -> str:
        """Without the query."""
        return urlsplit(self.target).path


class Reply(NamedTuple):
    """One answer; a Content-Length is added unless `headers` has one, or says chunked."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""

    def head(self, **more: str) -> bytes:
        """Status line and headers."""
        lines = [f"HTTP/1.1 {self.status} {http.client.responses.get(self.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in {**self.headers, **more}.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "surrogateescape")


class Wire:
    """One connection of a client."""

    def __init__(self, connection: socket.socket, ended: threading.Event) -> None:
        self.connection = connection
        self._ended = ended

    def send(self, request: Seen, reply: Reply) -> None:
        """The whole answer."""
        sized = {name.lower() for name in reply.headers} & {"content-length", "transfer-encoding"}
        length = {} if sized or reply.status == 204 else {"Content-Length": str(len(reply.body))}
        self.write(reply.head(**length) + (b"" if request.method == "HEAD" else reply.body))

    def write(self, data: bytes) -> None:
        """Bytes as they are; a client that has gone is no matter."""
        with contextlib.suppress(OSError):
            self.connection.sendall(data)

    def reset(self) -> None:
        """End the connection by RST."""
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """End the connection by FIN."""
        with contextlib.suppress(OSError):
            self.connection.close()

    def stall(self) -> None:
        """Say nothing more, until the server ends."""
        self._ended.wait(PATIENCE)


Answer = Callable[[], Reply]
"""Gives what a well-behaved server would say; not called, the request never reaches it."""
Fault = Callable[[Wire, Seen, Answer], bool]
"""Answers in place of the server; True if the connection may serve another request."""


# --- faults ------------------------------------------------------------------------------------------


def reset(wire: Wire, request: Seen, answer: Answer) -> bool:
    """The request is carried out, and the connection reset before a byte of the answer."""
    answer()
    wire.reset()
    return False


def hang_up(wire: Wire, request: Seen, answer: Answer) -> bool:
    """The request is carried out, and the connection closed before a byte of the answer."""
    answer()
    return False


def reset_after(size: int) -> Fault:
    """RST after `size` bytes of the body."""

    def fault(wire: Wire, request: Seen, answer: Answer) -> bool:
        reply = answer()
        wire.write(reply.head(**{"Content-Length": str(len(reply.body))}) + reply.body[:size])
        # What was sent must have been read, or RST would overtake it.
        with contextlib.suppress(OSError):
            wire.connection.shutdown(socket.SHUT_WR)
        wire.reset()
        return False

    return fault


def cut_after(size: int) -> Fault:
    """FIN after `size` bytes of the body, though its length says more."""

    def fault(wire: Wire, request: Seen, answer: Answer) -> bool:
        reply = answer()
        wire.write(reply.head(**{"Content-Length": str(len(reply.body))}) + reply.body[:size])
        return False

    return fault


def cut_chunked(size: int) -> Fault:
    """A chunked body that ends inside, without its last chunk."""

    def fault(wire: Wire, request: Seen, answer: Answer) -> bool:
        reply = _unsized(answer())
        chunk = b"%x\r\n%b\r\n" % (size, reply.body[:size])
        wire.write(reply.head(**{"Transfer-Encoding": "chunked"}) + chunk)
        return False

    return fault


def without_length(size: int | None = None) -> Fault:
    """No Content-Length: the end of the connection is the end of the body, after `size` bytes."""

    def fault(wire: Wire, request: Seen, answer: Answer) -> bool:
        reply = _unsized(answer())
        wire.write(reply.head(Connection="close") + reply.body[:size])
        return False

    return fault


def changed(change: Callable[[Reply], Reply]) -> Fault:
    """Another answer, made from the right one."""

    def fault(wire: Wire, request: Seen, answer: Answer) -> bool:
        wire.send(request, change(_unsized(answer())))
        return True

    return fault


def short(reply: Reply) -> Reply:
    """One byte less, and a Content-Length that agrees."""
    return reply._replace(body=reply.body[:-1])


def extra(reply: Reply) -> Reply:
    """One byte more."""
    return reply._replace(body=reply.body + b"!")


def flipped(reply: Reply) -> Reply:
    """One bit wrong, in the middle."""
    body = bytearray(reply.body)
    body[len(body) // 2] ^= 1
    return reply._replace(body=bytes(body))


def with_headers(**headers: str) -> Fault:
    """Headers replaced (`Content_Type` for `Content-Type`); an empty one is left out."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def change(reply: Reply) -> Reply:
        kept = {name: value for name, value in reply.headers.items() if name not in named}
        return reply._replace(headers=kept | {name: value for name, value in named.items() if value})

    return changed(change)


def stall_after(size: int | None) -> Fault:
    """Silence after `size` bytes of the body; None: before the headers."""

    def fault(wire: Wire, request: Seen, answer: Answer) -> bool:
        if size is not None:
            reply = answer()
            wire.write(reply.head(**{"Content-Length": str(len(reply.body))}) + reply.body[:size])
        wire.stall()
        return False

    return fault


def says(status: int, body: bytes | str = b"", **headers: str) -> Fault:
    """An answer of our own; the request never reaches the server behind."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    data = body.encode() if isinstance(body, str) else body

    def fault(wire: Wire, request: Seen, answer: Answer) -> bool:
        wire.send(request, Reply(status, named, data))
        return True

    return fault


def wants(accepted: Callable[[str], bool], challenge: str) -> Fault:
    """401 with this challenge, unless the `Authorization` header is accepted."""

    def fault(wire: Wire, request: Seen, answer: Answer) -> bool:
        if accepted(request.headers.get("Authorization", "")):
            wire.send(request, answer())
        else:
            wire.send(request, Reply(401, {"WWW-Authenticate": challenge} if challenge else {}))
        return True

    return fault


def writes(data: bytes) -> Fault:
    """Bytes of our own, whatever they are."""

    def fault(wire: Wire, request: Seen, answer: Answer) -> bool:
        wire.write(data)
        return False

    return fault


def _unsized(reply: Reply) -> Reply:
    kept = {name: value for name, value in reply.headers.items() if name.lower() != "content-length"}
    return reply._replace(headers=kept)


# --- servers -----------------------------------------------------------------------------------------


@dataclass
class _Rule:
    method: str
    pattern: re.Pattern[str]
    fault: Fault
    first: int
    times: float
    matched: int = 0

    def applies(self, request: Seen) -> bool:
        if request.method not in self.method.split("|") or not self.pattern.search(request.target):
            return False
        self.matched += 1
        return self.first <= self.matched < self.first + self.times


@dataclass
class LoopbackServer:
    """HTTP/1.1 on a random port of 127.0.0.1; keeps every request in `seen`."""

    address: ClassVar[str] = "127.0.0.1"
    respond: Callable[[Seen], Reply] = lambda request: Reply(404)
    tls: ssl.SSLContext | None = None
    seen: list[Seen] = field(default_factory=list)
    _rules: list[_Rule] = field(default_factory=list)
    _open: list[socket.socket] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._listener = socket.create_server((self.address, 0))
        self.host = f"{self.address}:{self._listener.getsockname()[1]}"
        self.base = f"{'https' if self.tls else 'http'}://{self.host}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def on(self, method: str, pattern: str, fault: Fault, *, first: int = 1, times: float = 1) -> None:
        """Apply a fault to matching requests, from the `first` on, so many times. `GET|HEAD` is a method."""
        self._rules.append(_Rule(method, re.compile(pattern), fault, first, times))

    def asked(self, method: str = "", pattern: str = "") -> list[Seen]:
        """The requests that were seen. `POST|PUT` is a method."""
        methods = method.split("|") if method else [seen.method for seen in self.seen]
        return [
            seen for seen in list(self.seen) if seen.method in methods and re.search(pattern, seen.target)
        ]

    def repository(self, path: str) -> RepositoryName:
        """The full name of a repository here."""
        return RepositoryName(f"{self.host}/{path}")

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), plain:
            connection = self.tls.wrap_socket(plain, server_side=True) if self.tls else plain
            self._open.append(connection)
            with connection, connection.makefile("rb") as file:
                wire = Wire(connection, self._ended)
                while (request := _read(file)) and self._answered(wire, request):
                    pass

    def _answered(self, wire: Wire, request: Seen) -> bool:
        with self._lock:
            self.seen.append(request)
            # The first that applies; it alone counts the request.
            rule = next((rule for rule in self._rules if rule.applies(request)), None)
        if rule:
            return rule.fault(wire, request, lambda: self.respond(request))
        wire.send(request, self.respond(request))
        return True


def _read(file: BufferedReader) -> Seen | None:
    words = file.readline().decode("latin-1").split()
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return None
    headers = http.client.parse_headers(file)
    if "chunked" in headers.get("Transfer-Encoding", ""):
        body = b"".join(_chunks(file))
    else:
        size = int(headers.get("Content-Length", "0"))
        body = file.read(size)
        if len(body) < size:
            return None  # the client gave up
    return Seen(words[0], words[1], headers, body)


def _chunks(file: BufferedReader) -> Iterator[bytes]:
    while size := int(file.readline().strip() or b"0", 16):
        yield file.read(size)
        file.readline()
    file.readline()


class Canary(LoopbackServer):
    """Answers everything, and remembers who asked with what."""

    @property
    def secrets(self) -> list[str]:
        """Headers that nobody should have sent here."""
        return [
            f"{name}: {value}"
            for seen in self.seen
            for name, value in seen.headers.items()
            if name.lower() in ("authorization", "cookie", "proxy-authorization")
            or name.lower().startswith("x-")
        ]


class FaultProxy(LoopbackServer):
    """Stands before a real registry, whose answers keep pointing here because `Host` is passed on."""

    def __init__(self, upstream: str) -> None:
        super().__init__(self._forward)
        self.upstream = upstream

    def _forward(self, request: Seen) -> Reply:
        connection = http.client.HTTPConnection(self.upstream, timeout=300)
        with contextlib.closing(connection):
            connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    connection.putheader(name, value)
            if request.body or request.method in ("POST", "PUT", "PATCH"):
                connection.putheader("Content-Length", str(len(request.body)))
            connection.endheaders(request.body or None)
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.getheaders()), answer.read())


class MemoryRegistry(LoopbackServer):
    """The reading half of the distribution API over content in memory: what no real registry would hold."""

    def __init__(
        self,
        repositories: Mapping[str, Content],
        *,
        tls: ssl.SSLContext | None = None,
        ranges: bool = True,
        referrers: bool = False,
        listed: int | None = None,
    ) -> None:
        super().__init__(self._answer, tls)
        self.repositories = dict(repositories)
        self.ranges = ranges
        self.referrers = referrers
        """Whether it has the Referrers API, in pages of one."""
        self.listed = listed
        """The number of tags at which it cuts a list without a word; None if it does not."""

    def _answer(self, request: Seen) -> Reply:
        if request.path == "/v2/_catalog":
            return _json(200, {"repositories": sorted(self.repositories)})
        match = re.fullmatch(r"/v2/(.+?)/(tags|manifests|blobs|referrers)/([^/]+)", request.path)
        if not match or match[1] not in self.repositories:
            return _error(404, "NAME_UNKNOWN")
        content = self.repositories[match[1]]
        if match[2] == "tags":
            return self._tags(match[1], content, request)
        if match[2] == "referrers":
            return self._referrers(content, match[3], request) if self.referrers else Reply(404)
        return (
            _manifest(content, match[3])
            if match[2] == "manifests"
            else self._blob(content, match[3], request)
        )

    def _tags(self, name: str, content: Content, request: Seen) -> Reply:
        last = parse_qs(urlsplit(request.target).query).get("last", [""])[0]
        tags = [tag for tag in sorted(content.tags) if tag > last][: self.listed]
        headers = {"Content-Type": "application/json", "Docker-Distribution-Api-Version": "registry/2.0"}
        return Reply(200, headers, json.dumps({"name": name, "tags": tags}).encode())

    def _referrers(self, content: Content, subject: str, request: Seen) -> Reply:
        found = [
            {"mediaType": manifest.blob.media_type, "digest": digest, "size": manifest.blob.size}
            for digest, manifest in content.parsed().items()
            if manifest.subject and manifest.subject.digest == subject
        ]
        page = int(parse_qs(urlsplit(request.target).query).get("page", ["0"])[0])
        following = f'<{request.path}?page={page + 1}>; rel="next"' if page + 1 < len(found) else ""
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found[page : page + 1]}
        headers = {"Content-Type": OCI_INDEX} | ({"Link": following} if following else {})
        return Reply(200, headers, json.dumps(document).encode())

    def _blob(self, content: Content, digest: str, request: Seen) -> Reply:
        data = content.blobs.get(Digest(digest))
        if data is None:
            return _error(404, "BLOB_UNKNOWN")
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest}
        wanted = re.fullmatch(r"bytes=([0-9]+)-([0-9]*)", request.headers.get("Range", ""))
        if not wanted or not self.ranges:
            return Reply(200, headers, data)
        start, end = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
        headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
        return Reply(206, headers, data[start : end + 1])


def _manifest(content: Content, reference: str) -> Reply:
    digest = content.tags.get(reference, Digest(reference))
    if digest not in content.manifests:
        return _error(404, "MANIFEST_UNKNOWN")
    media_type, data = content.manifests[digest]
    return Reply(200, {"Content-Type": media_type, "Docker-Content-Digest": digest}, data)


def _error(status: int, code: str) -> Reply:
    return _json(status, {"errors": [{"code": code, "message": "as the test wants it"}]})


def _json(status: int, document: object) -> Reply:
    return Reply(status, {"Content-Type": "application/json"}, json.dumps(document).encode())
