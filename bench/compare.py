"""Print figures against peers, measured in the same run. Nothing is asserted here.

usage: python -m bench.compare [--small]     needs docker-registry, skopeo, curl, tar, zstd
"""

from __future__ import annotations

import compileall
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from bundler.timoni.module import pack_module
from tests.builders import Content, manifest_document, push_to
from tests.registries import RealRegistry, running_registry

OURS = str(Path(sys.executable).parent / "timoni-bundler")
VERSIONS = 27
RUNS = 7


def row(name: str, ours: str, peer: str, ratio: str) -> None:
    """One line of the table."""
    print(f"{name:44} {ours:>14} {peer:>14} {ratio:>8}", flush=True)


def timed(command: list[str], prepare: Callable[[], object]) -> float:
    """Seconds that a whole process takes."""
    prepare()
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def paired(
    name: str, ours: list[str], peer: list[str], prepare: Callable[[], object], runs: int = RUNS
) -> None:
    """Both in turn, after one of each; medians, and the median of the ratios."""
    pairs = [(timed(ours, prepare), timed(peer, prepare)) for _ in range(runs + 1)][1:]
    mine, other = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    ratio = statistics.median(first / second for first, second in pairs)
    row(name, f"{mine:.3f} s", f"{other:.3f} s", f"{ratio:.2f}")


def a_repository(name: str) -> Content:
    """27 versions of a module as Timoni packs it, and `latest`: text like CUE, changing a little."""
    random, content = Random(name), Content()
    words = [f"{random.randrange(1 << 40):x}" for _ in range(4_000)]
    vendor = {f"cue.mod/gen/k8s.io/{n}.cue": _text(random, words, 40) for n in range(20)}
    for number in range(VERSIONS):
        if number % 6 == 5:
            vendor[f"cue.mod/gen/k8s.io/{number % 20}.cue"] = _text(random, words, 40)
        files = {**vendor, "timoni.cue": _text(random, words, 8), "templates/a.cue": _text(random, words, 30)}
        version = f"1.{number}.0"
        packed = pack_module(
            files, version=version, created="2026-01-01T00:00:00Z", source="bench", revision=version
        )
        for data in packed.blobs.values():
            content.add_blob(data)
        for tag in (version, "latest") if number == VERSIONS - 1 else (version,):
            content.add_bytes(packed.manifest.data, packed.manifest.blob.media_type, tag)
    return content


def _text(random: Random, words: list[str], lines: int) -> bytes:
    line = lambda: f"\t{random.choice(words)}?: {random.choice(words)} | *{random.choice(words)}\n"  # noqa: E731
    return "".join(line() for _ in range(lines)).encode() * 2


@contextmanager
def delayed(registry: RealRegistry, *rate: str) -> Iterator[str]:
    """The registry at 50 ms round trip; `rate`: megabytes a second of each connection."""
    port = registry.host.rpartition(":")[2]
    command = [sys.executable, str(Path(__file__).with_name("delay_proxy.py")), port, "25", *rate]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout is not None
        yield f"127.0.0.1:{proxy.stdout.readline().strip()}"
        proxy.kill()


def requests_of(registry: RealRegistry, path: str, action: Callable[[], object]) -> int:
    """How many requests one repository sees while something is done."""
    before = len(registry.accesses(path))
    action()
    return len(registry.accesses(path)) - before


PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak(command: list[str]) -> str:
    """The most memory that a process held, asked by a small one: a large parent's own would count."""
    asked = subprocess.run([sys.executable, "-c", PEAK, *command], check=True, capture_output=True, text=True)
    return f"{int(asked.stdout) / 1024:.0f} MiB"


def small_modules(source: RealRegistry, target: RealRegistry, folder: Path) -> None:
    """Start-up, loopback, far link, requests, sizes."""
    paths = [f"bench/m{number}" for number in range(4)]
    for path in paths:
        push_to(source.base, path, a_repository(path))
    out, copies = folder / "b.tar.zst", folder / "copies"

    def clean() -> None:
        for place in (out, out.with_name(f"{out.name}.sha256")):
            place.unlink(missing_ok=True)
        shutil.rmtree(copies, ignore_errors=True)

    def export(host: str, *chosen: str, jobs: int = 16) -> list[str]:
        names = [f"{host}/{path}" for path in chosen]
        return [OURS, "export", "-q", "-o", str(out), "-j", str(jobs), *names]

    def skopeo(host: str, *chosen: str) -> list[str]:
        sync = "skopeo sync --src docker --dest dir --src-tls-verify=false"
        return ["sh", "-c", " && ".join(f"{sync} {host}/{path} {copies}" for path in chosen)]

    paired("--version / python -c pass", [OURS, "--version"], [sys.executable, "-c", "pass"], clean)
    paired(
        "export of 28 tags / skopeo sync", export(source.host, paths[0]), skopeo(source.host, paths[0]), clean
    )
    with delayed(source) as far:
        paired(
            "4 x 28 tags at 50 ms / skopeo sync",
            export(far, *paths, jobs=32),
            skopeo(far, *paths),
            clean,
            runs=1,
        )
    clean()
    keep = [*export(source.host, paths[0]), "--store", str(folder / "store")]
    first = requests_of(source, paths[0], lambda: timed(keep, clean))
    second = requests_of(source, paths[0], lambda: timed(keep, clean))
    row("requests: export, again with --store", str(first), str(second), "")
    into = [OURS, "import", "-q", str(out), "--to", target.host]
    first = requests_of(target, paths[0], lambda: timed(into, lambda: None))
    second = requests_of(target, paths[0], lambda: timed(into, lambda: None))
    row("requests: import, again", str(first), str(second), "")
    unpacked = folder / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "--zstd", "-xf", out, "-C", unpacked], check=True)
    packed = subprocess.run(
        f"tar -cf - -C {unpacked} . | zstd -3 -c | wc -c", shell=True, check=True, capture_output=True
    )
    size, peer = out.stat().st_size, int(packed.stdout)
    row("bytes: bundle / tar | zstd -3", f"{size:,}", f"{peer:,}", f"{size / peer:.2f}")


def large_blob(source: RealRegistry, target: RealRegistry, folder: Path, size: int) -> None:
    """Throughput and memory of one long blob."""
    content = Content()
    layer = content.add_blob(os.urandom(size))
    content.add_manifest(manifest_document(content.add_blob(b"{}"), [layer]), "1.0.0")
    push_to(source.base, "bench/large", content)
    content.blobs.clear()
    out = folder / "large.tar.zst"
    blob = f"{source.base}/v2/bench/large/blobs/{layer['digest']}"

    def clean() -> None:
        out.unlink(missing_ok=True)
        out.with_name(f"{out.name}.sha256").unlink(missing_ok=True)

    export = [OURS, "export", "-q", f"{source.host}/bench/large", "-o", str(out)]
    verify, into = [OURS, "verify", "-q", str(out)], [OURS, "import", "-q", str(out), "--to", target.host]
    name = f"{size >> 20} MiB"
    paired(
        f"{name}: export / curl | sha256sum",
        export,
        ["sh", "-c", f"curl -s {blob} | sha256sum"],
        clean,
        runs=3,
    )
    timed(export, clean)
    paired(f"{name}: verify / sha256sum", verify, ["sha256sum", str(out)], lambda: None, runs=3)
    clean()
    with delayed(source, "5") as far:
        slowly = [OURS, "export", "-q", f"{far}/bench/large", "-o", str(out)]
        copy = f"skopeo copy --src-tls-verify=false docker://{far}/bench/large:1.0.0 dir:{folder / 'copy'}"
        paired(f"{name} at 5 MB/s a connection / skopeo copy", slowly, copy.split(), clean, runs=1)
    clean()
    for command in (export, verify, into):
        row(f"{name}: memory of {command[1]}", peak(command), "", "")


def main() -> None:
    """All figures."""
    missing = [tool for tool in ("docker-registry", "skopeo", "curl", "zstd") if not shutil.which(tool)]
    if missing:
        sys.exit(f"install these first: {', '.join(missing)}")
    # As pip leaves an installed package: where Python may keep nothing, an editable one has no bytecode.
    compileall.compile_dir("bundler", quiet=1)
    row("", "ours", "peer", "ratio")
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name).absolute()
        for side in ("source", "target"):
            (folder / side).mkdir()
        with running_registry(folder / "source") as source, running_registry(folder / "target") as target:
            small_modules(source, target, folder)
            large_blob(source, target, folder, (64 if "--small" in sys.argv else 1024) << 20)


if __name__ == "__main__":
    main()
