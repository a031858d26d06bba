"""B. A bad link: case 38. Loss, little bandwidth, no link for two seconds: 0, or 5 in bounded time.

With the doubles everywhere; where the machine lets us, also over a real link, in a network namespace.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import Content, manifest_document, noise
from tests.doubles import ALWAYS, Answer, FakeClock, Fault, MemoryRegistry, Seen, Wire, reset, stall_after
from tests.flows import SILENCE, exported, registries_for
from tests.processes import PROGRAM, clean_environment

SIZE = 300_000


def some_layers() -> Content:
    content = Content()
    layers = [content.add_blob(noise(f"layer {number}", SIZE)) for number in range(3)]
    content.add_manifest(manifest_document(content.add_blob(b"{}"), layers), "1.0.0")
    return content


# --- worked out --------------------------------------------------------------------------------------


@pytest.fixture
def source() -> Iterator[MemoryRegistry]:
    with MemoryRegistry({"app": some_layers()}) as registry:
        yield registry


def lossy(*faults: Fault) -> Fault:
    """Each of them in turn, and then an answer that arrives; again and again."""
    turns = itertools.cycle([*faults, _arrives])

    def fault(wire: Wire, request: Seen, answer: Answer) -> bool:
        return next(turns)(wire, request, answer)

    return fault


def _arrives(wire: Wire, request: Seen, answer: Answer) -> bool:
    wire.send(request, answer())
    return True


def test_answers_that_are_lost_half_the_time_are_asked_for_again(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 38."""
    source.on("GET", "", lossy(stall_after(1000), reset), times=ALWAYS)
    registries = registries_for(clock, limits=SILENCE)
    report = exported(tmp_path / "b.tar.zst", f"{source.host}/app", registries=registries, jobs=1)
    assert report.exit_code == 0
    assert report.traffic.retries >= 5


@pytest.mark.parametrize(("seconds", "code"), [(2.0, 0), (1_000_000.0, 5)])
def test_a_link_that_is_down_is_waited_for_but_not_for_ever(
    seconds: float, code: int, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 38."""
    up = clock.now + seconds

    def down(wire: Wire, request: Seen, answer: Answer) -> bool:
        return (_arrives if clock.now >= up else reset)(wire, request, answer)

    source.on("GET", "", down, times=ALWAYS)
    report = exported(tmp_path / "b.tar.zst", f"{source.host}/app", registries=registries_for(clock))
    assert report.exit_code == code
    assert sum(clock.naps) < 120


# --- over a real link --------------------------------------------------------------------------------


_NET = f"10.203.{os.getpid() >> 6 & 255}"
_FIRST = (os.getpid() & 63) * 4
"""Four addresses of this process's own: others may test at the same time."""


class _FarRegistry(MemoryRegistry):
    address = f"{_NET}.{_FIRST + 1}"


class Link:
    """A registry, and a namespace that reaches it by one virtual cable; both are this test's own."""

    def __init__(self) -> None:
        self._space, self._near, self._far = (f"tb{os.getpid()}{end}" for end in "snf")

    def __enter__(self) -> Link:
        near, far, space = self._near, self._far, self._space
        for command in (
            f"ip netns add {space}",
            f"ip link add {near} type veth peer name {far} netns {space}",
            f"ip addr add {_FarRegistry.address}/30 dev {near}",
            f"ip link set {near} up",
            f"ip -n {space} addr add {_NET}.{_FIRST + 2}/30 dev {far}",
            f"ip -n {space} link set {far} up",
        ):
            if not self.run(command):
                self.__exit__()
                # Also in continuous integration: the tests above hold the same promises.
                pytest.skip(f"no network namespaces here ({command}): bad links are only worked out")
        return self

    def __exit__(self, *exception: object) -> None:
        self.run(f"ip link del {self._near}")
        self.run(f"ip netns del {self._space}")
        self.run(f"nft delete table netdev {self._near}")

    def run(self, command: str) -> bool:
        try:
            return subprocess.run(command.split(), capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            return False

    def shaped(self, rule: str) -> None:
        """Give the cable a rule; skip where the kernel lacks it."""
        done = self.run(rule.format(near=self._near, far=self._far, space=self._space))
        if not done:
            pytest.skip(f"the kernel can't: {rule}")

    def cut(self, seconds: float) -> None:
        """Take the link down, and up again later."""
        self.run(f"ip link set {self._near} down")
        threading.Timer(seconds, self.run, [f"ip link set {self._near} up"]).start()

    def export(self, source: MemoryRegistry, out: Path) -> int:
        """The program, at the other end of the cable."""
        command = ["ip", "netns", "exec", self._space, *PROGRAM, "export", f"{source.host}/app", "-q"]
        more = ["-o", str(out), "--plain-http", source.host, "--proxy", "none"]
        ended = subprocess.run(
            [*command, *more],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env=clean_environment(),
        )
        assert "Traceback" not in ended.stderr
        return ended.returncode


@pytest.fixture
def link() -> Iterator[Link]:
    with Link() as cable:
        yield cable


@pytest.mark.parametrize(
    "rule",
    [
        "tc qdisc add dev {near} root tbf rate 6mbit burst 16kb latency 50ms",
        "nft add table netdev {near}; add chain netdev {near} in {{ type filter hook ingress device {near} "
        "priority 0; }}; add rule netdev {near} in numgen random mod 100 < 5 drop",
    ],
    ids=["slow", "lossy"],
)
def test_a_slow_or_lossy_link_is_0(rule: str, link: Link, tmp_path: Path) -> None:
    """Case 38."""
    link.shaped(rule)
    with _FarRegistry({"app": some_layers()}) as source:
        assert link.export(source, tmp_path / "b.tar.zst") == 0


def test_a_link_that_goes_for_two_seconds_is_0_or_5(link: Link, tmp_path: Path) -> None:
    """Case 38."""

    def down(wire: Wire, request: Seen, answer: Answer) -> bool:
        link.cut(2.0)
        return _arrives(wire, request, answer)

    begun = time.monotonic()
    with _FarRegistry({"app": some_layers()}) as source:
        source.on("GET", "/blobs/", down)
        code = link.export(source, tmp_path / "b.tar.zst")
    assert code in (0, 5)
    assert (tmp_path / "b.tar.zst").exists() == (code == 0)
    assert time.monotonic() - begun < 300
