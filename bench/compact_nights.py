"""Print what one more night of an image costs, portable and compact. Nothing is asserted here.

usage: python -m bench.compact_nights [FOLDER]     needs zstd; with go on the path, more
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

from bundler.bundle.reader import open_bundle
from bundler.compact.codecs import CodecNumber
from tests.builders import TIMONI_CONFIG, TIMONI_LAYER, Content, manifest_document
from tests.compact.layers import a_layer, a_night

OURS = str(Path(sys.executable).parent / "timoni-bundler")
IMAGE_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
MOST = 80 << 20

GO = """package main
import ("crypto/tls"; "encoding/json"; "fmt"; "html/template"; "net/http"; "os")
var version = "VERSION"
func main() {
    page := template.Must(template.New("x").Parse("hello {{.}}"))
    http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
        json.NewEncoder(w).Encode(map[string]string{"version": version})
        page.Execute(w, r.URL.Path)
    })
    EXTRA
    server := &http.Server{Addr: ":8080", TLSConfig: &tls.Config{}}
    fmt.Fprintln(os.Stderr, server.ListenAndServe())
}
"""
ROUTE = (
    'http.HandleFunc("/new", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%s", r.Host) })'
)

PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def go_service(folder: Path) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """A service in Go, and the same with one more route."""
    built = []
    for number, extra in enumerate(("", ROUTE)):
        source, out = folder / f"main{number}.go", folder / f"app{number}"
        source.write_text(GO.replace("VERSION", f"1.{number}.0").replace("EXTRA", extra))
        subprocess.run(["go", "build", "-o", str(out), str(source)], check=True, cwd=folder)
        built.append({"app/service": out.read_bytes(), "etc/passwd": b"app:x:1:1::/:/\n"})
    return built[0], built[1]


def python_application() -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The packages beside this Python; every fifth was upgraded: text edited, libraries linked anew."""
    root = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    old: dict[str, bytes] = {}
    size = 0
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.suffix != ".pyc" and size < MOST:
            old[f"app/{path.relative_to(root)}"] = path.read_bytes()
            size += path.stat().st_size
    packages = sorted({name.split("/")[1] for name in old})
    chosen = set(packages[::5])
    new = {_renamed(name, chosen): _upgraded(name, data, chosen) for name, data in old.items()}
    return old, new


def _renamed(name: str, chosen: set[str]) -> str:
    package = name.split("/")[1]
    if package in chosen and package.endswith(".dist-info"):
        return re.sub(r"\d+\.dist-info", "99.dist-info", name, count=1)
    return name


def _upgraded(name: str, data: bytes, chosen: set[str]) -> bytes:
    chance = Random(name)
    if name.split("/")[1] not in chosen or chance.random() < 0.5 or not data:
        return data
    if name.endswith((".py", ".pyi", ".txt", ".md", "RECORD", "METADATA")):
        lines = data.splitlines(keepends=True)
        for _ in range(1 + len(lines) // 40):
            place = chance.randrange(len(lines))
            lines[place] = lines[place] + b"# %x\n" % chance.getrandbits(60)
        return b"".join(lines)
    changed = bytearray(data)
    for _ in range(len(data) // 400):
        place = chance.randrange(len(changed))
        changed[place : place + 4] = chance.randbytes(4)
    return bytes(changed)


def image(*versions: Mapping[str, bytes]) -> Content:
    """An image with a tag for each version, as BuildKit packs it."""
    content = Content()
    for number, files in enumerate(versions):
        layer = content.add_blob(
            a_layer(dict(files), CodecNumber.GO_A, 1_700_000_000 + 86_400 * number), IMAGE_LAYER
        )
        config = content.add_blob(b'{"v":%d}' % number, "application/vnd.oci.image.config.v1+json")
        content.add_manifest(manifest_document(config, [layer]), f"1.{number}.0")
    return content


def module(versions: int) -> Content:
    """A module of 20 files, of which each version changes one."""
    content, chance = Content(), Random(7)
    files = {f"templates/{number}.cue": chance.randbytes(500).hex().encode() for number in range(20)}
    for version in range(versions):
        files[f"templates/{version % 20}.cue"] += b"\n// changed %d\n" % version
        layer = content.add_blob(a_layer(files), TIMONI_LAYER)
        config = content.add_blob(b'{"v":%d}' % version, TIMONI_CONFIG)
        content.add_manifest(manifest_document(config, [layer]), f"1.{version}.0")
    return content


def changed_in_one_stream(old: Mapping[str, bytes], new: Mapping[str, bytes], folder: Path) -> int:
    """Bytes of what changed behind its old versions, as `zstd --patch-from` makes it."""
    there = set(old.values())
    changed = {name: data for name, data in new.items() if data not in there}
    unversioned = {re.sub(r"[0-9]+", "", name): data for name, data in old.items()}
    before = [old.get(name) or unversioned.get(re.sub(r"[0-9]+", "", name), b"") for name in changed]
    (folder / "old").write_bytes(b"".join(before))
    (folder / "new").write_bytes(b"".join(changed.values()))
    command = ["zstd", "-3", "-q", "-f", "--long=27", f"--patch-from={folder / 'old'}", str(folder / "new")]
    subprocess.run([*command, "-o", str(folder / "patch")], check=True)
    return (folder / "patch").stat().st_size


def measured(*command: str) -> tuple[float, float]:
    """Seconds and MiB at most of one command."""
    start = time.perf_counter()
    # A process in between: what this one has in memory would count as its child's.
    done = subprocess.run(
        [sys.executable, "-c", PEAK, OURS, *command, "-q"], check=True, capture_output=True, text=True
    )
    return time.perf_counter() - start, int(done.stdout.split()[-1]) / 1024


def night(name: str, before: Content, after: Content, folder: Path, ideal: int | None) -> None:
    """One line of the table."""
    folder = folder / name.replace(" ", "-")
    folder.mkdir()
    made = a_night(folder, before, after)
    made.compact.unlink()
    base = ["--with", str(made.base)]
    seconds, memory = measured("compact", str(made.portable), "-o", str(made.compact), *base)
    back, least = measured("verify", str(made.compact), *base)
    with open_bundle(made.portable) as bundle:
        manifests = sum(blob.size for blob in bundle.inventory.manifests)
    size = made.compact.stat().st_size
    ratio = f"{size / ideal:.3f}" if ideal else f"+{size - manifests:,}"
    print(
        f"{name:28} {made.portable.stat().st_size:>12,} {size:>12,} {ideal or 0:>12,} {ratio:>8}"
        f" {seconds:>7.1f} s {memory:>5.0f} MiB {back:>7.1f} s {least:>5.0f} MiB",
        flush=True,
    )


def cases(folder: Path) -> Iterator[tuple[str, dict[str, bytes], dict[str, bytes]]]:
    """Images of two nights."""
    if shutil.which("go"):
        yield "service in Go", *go_service(folder)
    yield "application in Python", *python_application()
    chance = Random(5)
    large = chance.randbytes(128 << 20)
    edited = bytearray(large)
    for _ in range(2_000):
        place = chance.randrange(len(edited))
        edited[place : place + 8] = chance.randbytes(8)
    yield "a file of 128 MiB", {"data/large": large}, {"data/large": bytes(edited)}


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        folder = Path(name)
        print(f"{'night':28} {'portable':>12} {'compact':>12} {'one stream':>12} {'ratio':>8}", end="")
        print(f" {'made in':>9} {'peak':>9} {'verified':>9} {'peak':>9}")
        night("module, one more of 27", module(27), module(28), folder, None)
        for title, old, new in cases(folder):
            ideal = changed_in_one_stream(old, new, folder)
            night(title, image(old), image(old, new), folder, ideal)


if __name__ == "__main__":
    main()
