"""Print where the CPU time of an export and an import goes: Python, the libraries, and our share.

usage: python -m bench.floor [ROUNDS]     needs docker-registry, skopeo; takes oras and crane

Each line of ours is a whole process that does all of the line above it and more; the figures are medians of
the rounds, in which the processes run in turn.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from bench import peers
from bench.compare import QUICK, Bench, a_repository, ready
from bench.measured import Figures, in_turn, medians, run
from tests.builders import Content, manifest_document, push_to

PATH = "bench/floor"

LOADED = "import click, requests, zstandard"

QUIET = 'import sys; sys.modules.update(dict.fromkeys(["chardet", "charset_normalizer", "backports.zstd"]))'
"""What our command does before it loads requests: what is never used is not loaded."""

ASKED = """
import warnings; warnings.simplefilter("ignore")
import hashlib, json, click, requests, zstandard
from concurrent.futures import ThreadPoolExecutor
ACCEPTED = "application/vnd.oci.image.manifest.v1+json, application/json, application/octet-stream"
base, method, session = sys.argv[1], sys.argv[2], requests.Session()
session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=16))
def ask(path, method="GET"):
    answer = session.request(method, base + path, headers={"Accept": ACCEPTED})
    answer.raise_for_status()
    return answer.content
tags = json.loads(ask("/tags/list"))["tags"]
with ThreadPoolExecutor(16) as pool:
    manifests = list(pool.map(lambda tag: ask("/manifests/" + tag, method), tags))
    if method == "GET":
        documents = map(json.loads, manifests)
        blobs = {part["digest"] for text in documents for part in (text["config"], *text["layers"])}
        for data in pool.map(lambda digest: ask("/blobs/" + digest), blobs):
            hashlib.sha256(data)
"""
"""The same questions by requests' own session, from as many threads; the answers are thrown away."""


def main() -> None:
    """Measure, and print three tables."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    with ready(QUICK) as bench:
        push_to(bench.source.base, PATH, a_repository(PATH))
        _shown_whole(bench, rounds)
        _shown_by_request(bench, rounds)


def _shown_whole(bench: Bench, rounds: int) -> None:
    kept = bench.folder / "kept.tar.zst"
    run(bench.export(bench.source.host, PATH))
    Path(bench.out).rename(kept)
    bench.clean()
    second = bench.into(bench.target.host, "again", str(kept))
    run(second)
    base, tags = f"{bench.source.base}/v2/{PATH}", sorted(a_repository(PATH).tags)

    def script(text: str) -> str:
        return f"{sys.executable} -c '{text}'"

    start = {
        "Python": script("pass"),
        "click, requests, zstandard loaded": script(f"{QUIET}\n{LOADED}"),
    }
    export = {
        "the same requests, answers thrown away": _asked(folder=bench.folder, base=base, method="GET"),
        "the whole export": bench.export(bench.source.host, PATH),
    }
    others = {
        tool: peers.pull(tool, bench.source.host, PATH, tags, bench.copies)
        for tool in peers.installed()
        if tool != "regctl"
    }
    again = {
        "the same requests, answers thrown away": _asked(folder=bench.folder, base=base, method="HEAD"),
        "the whole second import": second,
    }
    for title, commands in (
        ("export of 28 tags", start | export | others),
        ("second import of 28 tags", start | again),
    ):
        print(f"\n| {title} | time | CPU |\n|---|---|---|")
        for name, figures in _medians(bench, commands, rounds).items():
            print(f"| {name} | {figures.seconds:.3f} s | {figures.cpu:.3f} s |")


def _shown_by_request(bench: Bench, rounds: int) -> None:
    """Print what each request more costs, of exports of 10 tags and of many."""
    used: dict[str, list[float]] = {}
    numbers = (10, 610)
    for number in numbers:
        path, content = f"{PATH}-{number}", Content()
        for tag in range(number):
            config, layer = (content.add_blob(f"{kind} {tag}".encode()) for kind in ("config", "layer"))
            content.add_manifest(manifest_document(config, [layer]), f"1.{tag}.0")
        push_to(bench.source.base, path, content)
        base = f"{bench.source.base}/v2/{path}"
        commands = {
            "requests' own session": _asked(folder=bench.folder, base=base, method="GET"),
            "an export": bench.export(bench.source.host, path),
        }
        for name, figures in _medians(bench, commands, rounds).items():
            used.setdefault(name, []).append(figures.cpu)
    requests = 3 * (numbers[1] - numbers[0])
    print("\n| each request more | CPU |\n|---|---|")
    for name, (few, many) in used.items():
        print(f"| {name} | {1000 * (many - few) / requests:.2f} ms |")


def _medians(bench: Bench, commands: Mapping[str, str], rounds: int) -> dict[str, Figures]:
    named = {name: lambda _, command=command: command for name, command in commands.items()}
    runs = in_turn(named, rounds=rounds, clean=bench.clean)
    for name, figures in runs.items():
        if failed := next((each.failed for each in figures if each.failed), ""):
            sys.exit(f"{name}: {failed}")
    return {name: medians(figures) for name, figures in runs.items()}


def _asked(folder: Path, base: str, method: str) -> str:
    file = folder / "asked.py"
    file.write_text(f"{QUIET}\n{ASKED}")
    return f"{sys.executable} {file} {base} {method}"


if __name__ == "__main__":
    main()
