"""Answers that no registry should need, and that HTTP allows: they are answers all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builders import a_bundle, a_module
from tests.doubles import ALWAYS, Answer, FakeClock, Fault, FaultProxy, MemoryRegistry, Reply, Seen, Wire
from tests.flows import PATIENT, exported, imported, registries_for
from tests.registries import RealRegistry


@pytest.fixture
def registry() -> Iterator[MemoryRegistry]:
    with MemoryRegistry({"app": a_module("1.0.0", "1.1.0")}) as server:
        yield server


def after(interim: bytes) -> Fault:
    """The right answer, behind others that are none yet."""

    def fault(wire: Wire, request: Seen, answer: Answer) -> bool:
        wire.write(interim)
        wire.send(request, answer())
        return True

    return fault


def headed(change: bytes, into: bytes) -> Fault:
    """The right answer; a part of its head is spelt otherwise."""

    def fault(wire: Wire, request: Seen, answer: Answer) -> bool:
        reply = answer()
        length = {"Content-Length": str(len(reply.body)), **reply.headers}
        head = Reply(reply.status, length).head()
        wire.write(head.replace(change, into) + (b"" if request.method == "HEAD" else reply.body))
        return True

    return fault


def said_twice(wire: Wire, request: Seen, answer: Answer) -> bool:
    """Every header twice: a proxy adds what the registry has said already."""
    reply = answer()
    head = Reply(reply.status, {"Content-Length": str(len(reply.body)), **reply.headers}).head()
    first, _, lines = head.removesuffix(b"\r\n\r\n").partition(b"\r\n")
    wire.write(b"\r\n".join([first, lines, lines, b"", b""]))
    wire.write(b"" if request.method == "HEAD" else reply.body)
    return True


def with_trailers(wire: Wire, request: Seen, answer: Answer) -> bool:
    """In chunks that have extensions, with trailers behind them."""
    reply = answer()
    kept = {name: value for name, value in reply.headers.items() if name.lower() != "content-length"}
    body = b"%x;a=b\r\n%b\r\n" % (len(reply.body), reply.body) if reply.body else b""
    wire.write(Reply(reply.status, kept).head(**{"Transfer-Encoding": "chunked"}))
    wire.write(b"" if request.method == "HEAD" else body + b"0\r\nX-Checksum: none\r\n\r\n")
    return True


LEGAL: dict[str, Fault] = {
    "100 Continue": after(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "102 Processing": after(b"HTTP/1.1 102 Processing\r\n\r\n"),
    "103 Early Hints": after(b"HTTP/1.1 103 Early Hints\r\nLink: </style>; rel=preload\r\n\r\n"),
    "several of them": after(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 199 x\r\nX: y\r\n\r\n" * 3),
    "no reason": headed(b"200 OK", b"200"),
    "HTTP/1.0": headed(b"HTTP/1.1", b"HTTP/1.0"),
    "lower case": headed(b"Docker-Content-Digest", b"docker-content-digest"),
    "bare line feeds": headed(b"\r\n", b"\n"),
    "said twice": said_twice,
    "trailers": with_trailers,
}


@pytest.mark.parametrize("name", LEGAL)
def test_a_sources_answer_that_is_odd_and_legal_is_an_answer(
    name: str, registry: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    def export(out: Path) -> int:
        report = exported(out, f"{registry.host}/app", registries=registries_for(clock, limits=PATIENT))
        assert (report.exit_code, report.warnings) == (0, ())
        return report.traffic.requests

    usual = export(tmp_path / "usual.tar.zst")
    registry.on("GET", "", LEGAL[name], times=ALWAYS)
    assert export(tmp_path / "odd.tar.zst") == usual
    assert (tmp_path / "odd.tar.zst").read_bytes() == (tmp_path / "usual.tar.zst").read_bytes()


@pytest.mark.parametrize("name", ["103 Early Hints", "said twice", "lower case"])
def test_a_targets_answer_that_is_odd_and_legal_is_an_answer(
    name: str, target_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    content, path = a_module("1.0.0"), fresh("app")
    bundle = a_bundle(tmp_path / "b.tar.zst", {f"h.example/{path}": content})
    with FaultProxy(target_registry.host) as proxy:
        proxy.on("GET|HEAD|POST|PUT", "", LEGAL[name], times=ALWAYS)
        report = imported(bundle, proxy.host)
        assert report.exit_code == 0
        assert imported(bundle, proxy.host).traffic.requests == len(content.tags)
