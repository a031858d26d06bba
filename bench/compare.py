"""Print figures against peers, measured in the same run, and write docs/performance.md; assert nothing.

usage: python -m bench.compare [--quick]     needs docker-registry, skopeo, curl; takes crane, oras, regctl

`--quick` tries it with small sizes, once each, and writes no page. The whole takes a quarter of an hour.
"""

from __future__ import annotations

import compileall
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

from bench import peers
from bench.measured import OURS as TOOL
from bench.measured import Command, Row, compared, run, shown
from bench.performance_page import write_page
from bundler.timoni.module import pack_module
from tests.builders import Content, a_bundle, manifest_document, push_to
from tests.registries import RealRegistry, running_registry

OURS = str(Path(sys.executable).parent / "timoni-bundler")
VERSIONS = 27
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
SLOWLY = "import sys,time\nbegun,sent,rate=time.monotonic(),0,float(sys.argv[1])*1e6\n" + (
    "while data:=sys.stdin.buffer.read(65536):\n sys.stdout.buffer.write(data);sent+=len(data)\n"
    " time.sleep(max(0,begun+sent/rate-time.monotonic()))"
)


class Sizes(NamedTuple):
    """The sizes of a run."""

    rounds: int = 7
    far_rounds: int = 2
    tags: int = 10_000
    large: int = 1 << 30
    layers: int = 64 << 20


QUICK = Sizes(rounds=1, far_rounds=1, tags=200, large=16 << 20, layers=12 << 20)


class Bench(NamedTuple):
    """The place of a run: two registries and a folder."""

    source: RealRegistry
    target: RealRegistry
    folder: Path
    sizes: Sizes

    @property
    def copies(self) -> str:
        """Return the folder that peers copy to."""
        return str(self.folder / "copies")

    @property
    def out(self) -> str:
        """Return the bundle that we write."""
        return str(self.folder / "b.tar.zst")

    def clean(self) -> None:
        """Remove what a run has written."""
        for name in (self.out, f"{self.out}.sha256"):
            Path(name).unlink(missing_ok=True)
        shutil.rmtree(self.copies, ignore_errors=True)

    def export(self, host: str, path: str, *more: str) -> str:
        """Return our command that exports a repository."""
        return shlex.join([OURS, "export", "-q", "-o", self.out, *more, f"{host}/{path}"])

    def into(self, host: str, run_name: str, bundle: str) -> str:
        """Return our command that imports a bundle; what it remembers is of this run only."""
        state = str(self.folder / "states" / run_name)
        return shlex.join([OURS, "import", "-q", bundle, "--state", state, "--to", f"{host}/{run_name}"])


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
    def line() -> str:
        return f"\t{random.choice(words)}?: {random.choice(words)} | *{random.choice(words)}\n"

    return "".join(line() for _ in range(lines)).encode() * 2


@contextmanager
def delayed(registry: RealRegistry, milliseconds: int = 25, *rate: str) -> Iterator[str]:
    """The registry so far away in each direction; `rate`: megabytes a second of each connection."""
    port = registry.host.rpartition(":")[2]
    proxy_file = Path(__file__).with_name("delay_proxy.py")
    command = [sys.executable, str(proxy_file), port, str(milliseconds), *rate]
    quiet = subprocess.DEVNULL  # it is ended while connections are open
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=quiet, text=True) as proxy:
        assert proxy.stdout is not None
        yield f"127.0.0.1:{proxy.stdout.readline().strip()}"
        proxy.kill()


class Modules(NamedTuple):
    """28 tags of modules in the source registry."""

    bench: Bench
    path: str
    tags: list[str]

    @property
    def ready(self) -> Path:
        """Return the folder with what is to be imported."""
        return self.bench.folder / "ready"

    def pulls(self, host: str) -> dict[str, Command]:
        """Return the commands that copy all tags out of a registry."""
        copies = self.bench.copies

        def theirs(tool: str) -> Command:
            return lambda _: peers.pull(tool, host, self.path, self.tags, copies)

        ours = {TOOL: lambda _: self.bench.export(host, self.path)}
        return ours | {tool: theirs(tool) for tool in peers.installed()}

    def folder_of(self, tool: str) -> str:
        """Return the folder that a tool imports; skopeo takes the names of what is in it."""
        return str(self.ready / tool)

    def make_ready(self) -> None:
        """Make what is imported later."""
        self.bench.clean()
        self.ready.mkdir()
        run(self.bench.export(self.bench.source.host, self.path))
        Path(self.bench.out).rename(self.ready / "b.tar.zst")
        for tool in peers.installed():
            run(peers.for_push(tool, self.bench.source.host, self.path, self.tags, self.folder_of(tool)))

    def pushes(self, host: str, case: str, *, again: bool = False) -> dict[str, Command]:
        """Return the commands that import it: each run to a new place; `again`, each tool to the same."""
        bundle = str(self.ready / "b.tar.zst")

        def theirs(tool: str) -> Command:
            folder = self.folder_of(tool)
            return lambda name: peers.push(
                tool, host, f"{case}{tool if again else name}/{self.path}", self.tags, folder
            )

        ours = {TOOL: lambda name: self.bench.into(host, f"{case}{TOOL if again else name}", bundle)}
        return ours | {tool: theirs(tool) for tool in peers.installed()}


def small_modules(bench: Bench) -> Iterator[Row]:
    """28 tags: out, out of a far registry, in, and in again."""
    path, content = "bench/m0", a_repository("bench/m0")
    push_to(bench.source.base, path, content)
    modules, sizes = Modules(bench, path, sorted(content.tags)), bench.sizes
    starts = {TOOL: lambda _: f"{OURS} --version", "python -c pass": _python}
    yield from compared("start: --version", starts, rounds=sizes.rounds)

    def seen(_: str) -> int:
        return len(bench.source.accesses(path))

    what = f"export of {len(modules.tags)} tags"
    near = modules.pulls(bench.source.host)
    yield from compared(f"{what}, loopback", near, rounds=sizes.rounds, clean=bench.clean, requests=seen)
    with delayed(bench.source) as far:
        distant, rounds = modules.pulls(far), sizes.far_rounds
        yield from compared(f"{what}, 50 ms", distant, rounds=rounds, clean=bench.clean, requests=seen)
    stored = bench.export(bench.source.host, path, "--store", str(bench.folder / "store"))
    run(stored)
    again = {TOOL: lambda _: stored}
    yield from compared("the same again, with --store", again, rounds=1, clean=bench.clean, requests=seen)
    modules.make_ready()
    yield from _imports(modules, bench.target.host, "loopback", "near-", min(sizes.rounds, 3))
    with delayed(bench.target) as far:
        yield from _imports(modules, far, "50 ms", "far-", 1)


def _imports(modules: Modules, host: str, case: str, short: str, rounds: int) -> Iterator[Row]:
    target, path = modules.bench.target, modules.path

    def new(name: str) -> int:
        return len(target.accesses(f"{short}{name}/{path}"))

    def same(name: str) -> int:
        return len(target.accesses(f"{short}{name.removeprefix('w-')}/{path}"))

    what = f"import of {len(modules.tags)} tags, {case}"
    yield from compared(f"first {what}", modules.pushes(host, short), rounds=rounds, requests=new)
    again = modules.pushes(host, short, again=True)
    for command in again.values():
        run(command(""))
    yield from compared(f"second {what}", again, rounds=rounds, requests=same)


def _python(_: str) -> str:
    return f"{sys.executable} -c pass"


def many_tags(bench: Bench) -> Iterator[Row]:
    """Time per tag of many and of a tenth of them, in and out."""
    for count in (bench.sizes.tags // 10, bench.sizes.tags):
        path, content = f"bench/tags{count}", Content()
        layer = content.add_blob(b"layer")
        config = content.add_blob(b"{}")
        for number in range(count):
            document = manifest_document(config, [layer], annotations={"number": str(number)})
            content.add_manifest(document, f"1.{number}.0")
        bundle = a_bundle(bench.folder / "tags.tar.zst", {f"h.example/{path}": content})
        content.manifests.clear()

        def into(_: str, bundle: str = str(bundle)) -> str:
            return bench.into(bench.source.host, "w-tags", bundle)

        def again(_: str, path: str = path) -> str:
            return bench.export(bench.source.host, f"w-tags/{path}")

        def theirs(_: str, path: str = path) -> str:
            return peers.pull("oras", bench.source.host, f"w-tags/{path}", (), bench.copies)

        yield from shown([Row(f"first import of {count:,} tags", TOOL, run(into("")), None, None)])
        commands = {TOOL: again, "oras": theirs} if "oras" in peers.installed() else {TOOL: again}
        if count == bench.sizes.tags:
            commands.pop("oras", None)
        bench.clean()
        yield from compared(f"export of {count:,} tags", commands, rounds=1, clean=bench.clean)


def large_blob(bench: Bench) -> Iterator[Row]:
    """Throughput and memory of one long blob, also where a connection is slow."""
    size, source, path = bench.sizes.large, bench.source, "bench/large"
    name = f"{size >> 20} MiB"
    content = Content()
    layer = content.add_blob(os.urandom(size))
    content.add_manifest(manifest_document(content.add_blob(b"{}"), [layer]), "1.0.0")
    push_to(source.base, path, content)
    content.blobs.clear()
    blob = f"{source.base}/v2/{path}/blobs/{layer['digest']}"
    few = min(bench.sizes.rounds, 3)
    curl = {
        TOOL: lambda _: bench.export(source.host, path),
        "curl | sha256sum": lambda _: f"curl -s {blob} | sha256sum",
    }
    yield from compared(f"export of {name}, loopback", curl, rounds=few, clean=bench.clean)
    bench.clean()
    run(bench.export(source.host, path))
    kept = bench.folder / "large.tar.zst"
    Path(bench.out).rename(kept)
    hashed = {TOOL: lambda _: f"{OURS} verify -q {kept}", "sha256sum": lambda _: f"sha256sum {kept}"}
    yield from compared(f"verify of {name}", hashed, rounds=few)
    target = bench.target.host
    yield from shown(
        [
            Row(
                f"first import of {name}, loopback",
                TOOL,
                run(bench.into(target, "w-one", str(kept))),
                None,
                None,
            )
        ]
    )
    kept.unlink()
    bench.clean()
    with delayed(source, 0, "5") as slow, ThreadPoolExecutor(len(peers.TOOLS)) as pool:
        case = f"export of {name}, 5 MB/s a connection"
        ours = run(bench.export(slow, path))
        bench.clean()
        # The limit is that of a connection: they don't disturb each other.
        pulls = {
            tool: pool.submit(run, peers.pull(tool, slow, path, ["1.0.0"], f"{bench.copies}/{tool}"))
            for tool in peers.installed()
        }
        theirs = {tool: pulled.result() for tool, pulled in pulls.items()}
        rows = [
            Row(case, tool, figures, ours.seconds / figures.seconds, None) for tool, figures in theirs.items()
        ]
        yield from shown([Row(case, TOOL, ours, None, None), *rows])
        bench.clean()


def pipes(bench: Bench) -> Iterator[Row]:
    """Several large layers from a file and a pipe, where disk and registry are slow."""
    content, megabytes = Content(), bench.sizes.layers / 1e6
    layers = [content.add_blob(os.urandom(bench.sizes.layers)) for _ in range(4)]
    content.add_manifest(manifest_document(content.add_blob(b"{}"), layers), "1.0.0")
    bundle = str(a_bundle(bench.folder / "layers.tar.zst", {"h.example/layers": content}))
    content.blobs.clear()
    rate = megabytes / 5
    slow_disk = f"{sys.executable} -c {shlex.quote(SLOWLY)} {rate} < {bundle}"
    what = f"import of 4 x {megabytes:.0f} MB"
    with delayed(bench.target, 0, str(rate)) as slow:
        near = bench.target.host
        for case, command in (
            (f"{what}, registry {rate:.0f} MB/s a connection", bench.into(slow, "p-file", bundle)),
            (f"{what}, pipe, the same registry", f"cat {bundle} | {bench.into(slow, 'p-pipe', '-')}"),
            (
                f"{what}, pipe at {rate:.0f} MB/s, fast registry",
                f"{slow_disk} | {bench.into(near, 'p-disk', '-')}",
            ),
            (
                f"{what}, pipe and registry {rate:.0f} MB/s",
                f"{slow_disk} | {bench.into(slow, 'p-both', '-')}",
            ),
        ):
            yield from shown([Row(case, TOOL, run(command), None, None)])


@contextmanager
def ready(sizes: Sizes) -> Iterator[Bench]:
    """Yield a place with two empty registries, the program compiled."""
    # As pip leaves an installed package: where Python may keep nothing, an editable one has no bytecode.
    compileall.compile_dir("bundler", quiet=1)
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name).absolute()
        for side in ("source", "target"):
            (folder / side).mkdir()
        with running_registry(folder / "source") as source, running_registry(folder / "target") as target:
            yield Bench(source, target, folder, sizes)


def main() -> None:
    """Measure everything; write the page if nothing was left out."""
    missing = [tool for tool in ("docker-registry", "skopeo", "curl") if not shutil.which(tool)]
    if missing:
        sys.exit(f"install these first: {', '.join(missing)}")
    quick = "--quick" in sys.argv
    with ready(QUICK if quick else Sizes()) as bench:
        rows = [row for part in (small_modules, many_tags, pipes, large_blob) for row in part(bench)]
    if not quick:
        write_page(PAGE, rows, peers.installed())


if __name__ == "__main__":
    main()
