"""H. The environment: cases 114 to 131. What is true after each: no final name holds partial bytes,
and the same command again, without the fault, ends with 0 and the same bytes.

The sweeps of cases 115 and 117 stand in `test_h_sweep_outside.py` and `test_h_sweep_inside.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builders import Content, a_bundle, a_module, manifest_document, noise, push_to
from tests.doubles import FaultProxy, stall_after
from tests.processes import PROGRAM, bundler, clean_environment, enlarge, small_disk, strace
from tests.registries import RealRegistry
from tests.schema_checks import valid

MIB = 1 << 20


@pytest.fixture
def source(source_registry: RealRegistry, fresh: Callable[[str], str]) -> str:
    """A small module in a real registry."""
    path = fresh("app")
    push_to(source_registry.base, path, a_module("1.0.0", "1.1.0", size=2_000))
    return f"{source_registry.host}/{path}"


@pytest.fixture
def large_source(source_registry: RealRegistry, fresh: Callable[[str], str]) -> str:
    """One tag with a layer of 6 MiB that does not compress."""
    path, content = fresh("large"), Content()
    content.add_manifest(
        manifest_document(content.add_blob(b"{}"), [content.add_blob(noise("l", 6 * MIB))]), "1.0.0"
    )
    push_to(source_registry.base, path, content)
    return f"{source_registry.host}/{path}"


def assert_absent_or_whole(out: Path) -> None:
    if out.exists():
        assert bundler("verify", str(out), "-q").returncode == 0


# --- 117: the order that a power cut needs ---------------------------------------------------------------


@pytest.mark.strace
def test_a_bundle_is_durable_before_and_after_it_gets_its_name(source: str, tmp_path: Path) -> None:
    log, out = tmp_path / "strace.log", tmp_path / "b.tar.zst"
    before = strace(log, "-y", "-e", "trace=fsync,rename")
    assert bundler("export", source, "-o", str(out), "-q", "-j", "1", before=before).returncode == 0
    lines = log.read_text().splitlines()
    named = next(n for n, line in enumerate(lines) if re.search(r'rename\(.*b\.tar\.zst"\)', line))
    assert any("fsync" in line and ".b.tar.zst.tmp>" in line for line in lines[:named])
    assert any("fsync" in line and f"<{tmp_path}>" in line for line in lines[named:])


# --- 114, 122, 124: real limits -------------------------------------------------------------------------


def test_a_disk_too_small_is_said_before_the_first_byte(large_source: str, tmp_path: Path) -> None:
    """Case 114."""
    disk = tmp_path / "disk"
    with small_disk(disk, 8 * MIB):
        ended = bundler("export", large_source, "-o", str(disk / "b.tar.zst"), "-q")
        assert ended.returncode == 9
        assert "are needed, and" in ended.stderr
        assert str(disk) in ended.stderr
        assert list(disk.iterdir()) == []
        enlarge(disk, 64 * MIB)
        assert bundler("export", large_source, "-o", str(disk / "b.tar.zst"), "-q").returncode == 0


def test_a_disk_that_fills_is_9_and_the_next_run_goes_on(large_source: str, tmp_path: Path) -> None:
    """Case 114."""
    disk = tmp_path / "disk"
    with small_disk(disk, 64 * MIB), FaultProxy(large_source.partition("/")[0]) as proxy:
        proxy.on("GET", "/blobs/", _filling(disk))
        out = disk / "b.tar.zst"
        ended = bundler("export", f"{proxy.host}/{large_source.partition('/')[2]}", "-o", str(out), "-q")
        assert ended.returncode == 9, ended.stderr
        assert "No space left" in ended.stderr
        assert not out.exists()
        (disk / "filler").unlink()
        again = bundler("export", f"{proxy.host}/{large_source.partition('/')[2]}", "-o", str(out), "-q")
        assert again.returncode == 0, again.stderr


def _filling(disk: Path) -> Callable[..., bool]:
    """A fault that takes all room on the disk, and then lets the request pass."""

    def fault(*_: object) -> bool:
        with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(MIB))
        with contextlib.suppress(OSError), (disk / "filler").open("ab", buffering=0) as filler:
            while True:
                filler.write(b"\0")
        return False

    return fault


def test_a_limit_on_file_sizes_is_9(large_source: str, tmp_path: Path) -> None:
    """Case 122."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    ended = bundler("export", large_source, "-o", str(tmp_path / "b.tar.zst"), "-q", preexec_fn=limit)
    assert ended.returncode == 9, ended.stderr
    assert "no larger file" in ended.stderr
    assert not (tmp_path / "b.tar.zst").exists()


def test_few_open_files_are_enough_or_9(source: str, tmp_path: Path) -> None:
    """Case 124."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))

    ended = bundler("export", source, "-o", str(tmp_path / "b.tar.zst"), "-q", preexec_fn=limit)
    assert ended.returncode in (0, 9, 5, 8), ended.stderr
    assert "Traceback" not in ended.stderr
    assert_absent_or_whole(tmp_path / "b.tar.zst")


def test_a_large_blob_needs_little_memory(
    source_registry: RealRegistry, target_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    """Case 123."""
    path, content = fresh("big"), Content()
    layer = content.add_blob(os.urandom(192 * MIB))
    content.add_manifest(manifest_document(content.add_blob(b"{}"), [layer]), "1.0.0")
    push_to(source_registry.base, path, content)
    del content, layer
    out = str(tmp_path / "b.tar.zst")
    commands = (
        ["export", f"{source_registry.host}/{path}", "-o", out],
        ["verify", out],
        ["import", out, "--to", f"{target_registry.host}/{fresh('to')}"],
    )
    for command in commands:
        assert _peak(command) < 150 * MIB


def _peak(arguments: list[str]) -> int:
    """Bytes of memory that a command held at most; the figure of its own address space."""
    script = (
        "import sys; from bundler.__main__ import run; code = run(sys.argv[1:]);"
        "line = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'));"
        "print('PEAK', int(line.split()[1]) * 1024); sys.exit(code)"
    )
    command = [sys.executable, "-c", script, *arguments, "-q"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(ended.stdout.split("PEAK")[1])


# --- 120, 125, 131 -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_while_a_registry_stays_silent(
    number: signal.Signals, code: int, large_source: str, tmp_path: Path
) -> None:
    """Case 120."""
    host, _, path = large_source.partition("/")
    with FaultProxy(host) as proxy:
        proxy.on("GET", "/blobs/", stall_after(100), times=99)
        out, file, metrics = (tmp_path / name for name in ("b.tar.zst", "report.json", "night.prom"))
        file.write_text('{"exitCode": 0}')  # of the night before
        told = ["--json", "--report", str(file), "--metrics", str(metrics), "-q"]
        command = [*PROGRAM, "export", f"{proxy.host}/{path}", "-o", str(out), *told]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, **pipes) as running:  # type: ignore[call-overload]
            _wait_for(lambda: bool(proxy.asked("GET", "/blobs/")))
            running.send_signal(number)
            printed, said = running.communicate(timeout=40)
        assert running.returncode == code
        assert "run the same command again" in said
        assert not out.exists()
        assert printed == file.read_text()
        valid("report", report := json.loads(printed))
        assert (report["exitCode"], [failure["exitCode"] for failure in report["failures"]]) == (code, [code])
        assert re.search(rf"^timoni_bundler_last_exit_code\{{.*\}} {code}$", metrics.read_text(), re.M)
    assert bundler("export", large_source, "-o", str(out), "-q").returncode == 0


def _wait_for(condition: Callable[[], bool]) -> None:
    """Look again and again, for some minutes at most."""
    for _ in range(60_000):
        if condition():
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(["sleep", "0.005"], check=False, timeout=5)
    pytest.fail("it did not come so far")


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["inspect", "BUNDLE"], ["export", "SOURCE", "-o", "-"]]
)
def test_a_full_or_closed_standard_output_is_no_traceback(
    arguments: list[str], source: str, tmp_path: Path
) -> None:
    """Case 125."""
    bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0")})
    names = {"BUNDLE": str(bundle), "SOURCE": source}
    command = [*PROGRAM, *(names.get(word, word) for word in arguments)]
    if "export" in arguments:
        command += ["--store", str(tmp_path / "store")]
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 9, ended.stderr
    assert "Traceback" not in ended.stderr
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        ended = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 9, ended.stderr
    assert "Traceback" not in ended.stderr


def closing(streams: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The command, its streams closed as a shell does it."""
    script = f'exec "$@" {streams}'
    command = ["sh", "-c", script, "sh", *PROGRAM, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_closed_standard_streams_are_no_traceback(tmp_path: Path) -> None:
    """Case 125."""
    bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0")})
    ended = closing(">&-", "verify", bundle, "-q")
    assert (ended.returncode, ended.stderr.count("\n")) == (9, 1), ended.stderr
    assert "standard output: Bad file descriptor" in ended.stderr
    ended = closing("2>&-", "verify", bundle)
    assert (ended.returncode, ended.stdout.count("status")) == (0, 1)
    assert closing("2>&-", "verify", tmp_path / "none").returncode == 4
    ended = closing("<&-", "import", "-", "--to", "oci://127.0.0.1:1/x")
    assert ended.returncode == 9, ended.stderr
    assert "standard input: can't read: Bad file descriptor" in ended.stderr


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    """Case 125."""
    bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0")})
    for name, streams in (("open.tar", ""), ("closed.tar", "<&- >&- 2>&-")):
        closing(streams, "extract", bundle, "app:1.0.0", "-o", tmp_path / name)
    assert (tmp_path / "closed.tar").read_bytes() == (tmp_path / "open.tar").read_bytes()


def test_without_a_home_it_works(source: str, tmp_path: Path) -> None:
    """Case 131."""
    out = tmp_path / "b.tar.zst"
    assert bundler("export", source, "-o", str(out), "-q", env=clean_environment()).returncode == 0


def test_the_state_of_a_run_is_the_users_own(source: str, tmp_path: Path) -> None:
    """Case 129."""
    store = tmp_path / "store"
    arguments = ("export", source, "-o", str(tmp_path / "b.tar.zst"), "--store", str(store), "-q")
    assert bundler(*arguments).returncode == 0
    assert (store / ".lock").stat().st_mode & 0o777 == 0o600
