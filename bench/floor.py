"""Print where the CPU time of an export and an import goes: Python, the libraries, and our share.

usage: python -m bench.floor [ROUNDS]     needs docker-registry

Each line is a whole process that does all of the line above it and more; CPU time is the median of the
rounds, in which the processes run in turn.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from bench.compare import QUICK, Bench, a_repository, ready
from bench.measured import run
from tests.builders import push_to

PATH = "bench/floor"

LOADED = "import click, requests, zstandard"

QUIET = 'import sys; sys.modules.update(dict.fromkeys(["chardet", "charset_normalizer", "backports.zstd"]))'
"""What our command does before it loads requests: what is never used is not loaded."""

ASKED = """
import warnings; warnings.simplefilter("ignore")
import hashlib, json, click, requests, zstandard
from concurrent.futures import ThreadPoolExecutor
base, method, session = sys.argv[1], sys.argv[2], requests.Session()
session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=16))
def ask(path, method="GET"):
    return session.request(method, base + path, headers={"Accept": "*/*"}).content
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
    """Measure, and print two tables."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    with ready(QUICK) as bench:
        push_to(bench.source.base, PATH, a_repository(PATH))
        _shown(bench, rounds)


def _shown(bench: Bench, rounds: int) -> None:
    kept = bench.folder / "kept.tar.zst"
    run(bench.export(bench.source.host, PATH))
    Path(bench.out).rename(kept)
    bench.clean()
    again = bench.into(bench.target.host, "again", str(kept))
    run(again)
    python, base = sys.executable, f"{bench.source.base}/v2/{PATH}"

    def script(text: str, *words: str) -> str:
        return " ".join((python, "-c", f"'{text}'", *words))

    start = {
        "Python": script("pass"),
        "click, requests, zstandard loaded": script(f"{QUIET}\n{LOADED}"),
    }
    export = {
        "their requests, answers thrown away": _asked(folder=bench.folder, base=base, method="GET"),
        "the whole export": bench.export(bench.source.host, PATH),
    }
    second = {
        "their requests, answers thrown away": _asked(folder=bench.folder, base=base, method="HEAD"),
        "the whole second import": again,
    }
    for title, commands in (
        ("export of 28 tags", start | export),
        ("second import of 28 tags", start | second),
    ):
        used: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                bench.clean()
                used[name].append(run(command).cpu)
        print(f"\n| {title} | CPU |\n|---|---|")
        for name, seconds in used.items():
            print(f"| {name} | {statistics.median(seconds):.3f} s |")


def _asked(folder: Path, base: str, method: str) -> str:
    file = folder / "asked.py"
    file.write_text(f"{QUIET}\n{ASKED}")
    return f"{sys.executable} {file} {base} {method}"


if __name__ == "__main__":
    main()
