"""The page of figures: docs/performance.md, written by `make bench`."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.measured import Row, cells

_HEAD = """# Performance

Written by `make bench`, which measures all of it in one run on one machine. It takes about a quarter of
an hour on an idle machine; `.venv/bin/python -m bench.compare --quick` tries it in a few minutes, and
writes nothing.

## How the figures are made

- {machine}. {versions}.
- Source and target are two registries of Debian's `docker-registry` on this machine. 50 ms is a proxy
  that delivers each byte 25 ms later in each direction; 5 MB/s is a proxy with this limit for each
  connection, as content networks have it.
- Each figure is that of a whole process, with its start: wall time, CPU time, and the memory of the
  largest process. Tools run in turn, and the median of the rounds is shown. *Ours/theirs* is the median
  of the ratios of the rounds: below 1, we are faster. Requests are counted in the registry's access log.
- skopeo copies with `sync`; crane with `pull --format=oci` and a `push` for each tag; oras with `backup`
  and `restore`; regctl with an `image copy` for each tag. None of them verifies a signed bundle, reads
  back what it has pushed, or writes a rollback file: our imports do more than theirs.

## Figures

| case | tool | time | ours/theirs | requests | CPU | peak memory |
|---|---|---|---|---|---|---|
"""

_FOOT = """
## Where the limit is

- **Loopback**: the start of Python, then the CPU time of each request. One process uses one core for
  them; Go's tools use several.
- **Far registry, export**: three round trips (tag list, manifests, blobs) and the start. `--jobs` is the
  number of requests under way.
- **Far registry, import**: blobs take two requests each where the registry does not take their bytes in
  the first one (Distribution does not); tags take three each: read right before, set, and read back. The
  groups of tags follow each other: signatures, versions, `latest`.
- **Slow connections**: as many connections as `--jobs`. An export also takes one large blob over several
  connections. An upload of one blob goes over one connection, because the protocol has no other way.
- **A pipe**: it is read once. Up to 40 MiB are read ahead of what is sent, so layers of up to that size
  go side by side; the last bytes of larger ones overlap with the next. The time is that of the slower of
  pipe and registry.
- **Many tags**: the CPU time of each request, and the manifests in memory.
"""


ESCAPED = r"\|"
"""A bar in a cell of a table."""


def write_page(path: Path, rows: Sequence[Row], tools: Sequence[str]) -> None:
    """Write the page."""
    head = _HEAD.format(machine=_machine(), versions=", ".join(_versions(tools)))
    table = "".join(f"| {' | '.join(cell.replace('|', ESCAPED) for cell in cells(row))} |\n" for row in rows)
    path.write_text(head + table + _FOOT)


def _machine() -> str:
    return f"{os.cpu_count()} processors, {platform.system()}, Python {platform.python_version()}"


def _versions(tools: Sequence[str]) -> list[str]:
    asked = {
        "skopeo": "skopeo --version",
        "crane": "crane version",
        "oras": "oras version",
        "regctl": "regctl version",
    }
    found = []
    for tool in tools:
        said = subprocess.run(asked[tool].split(), capture_output=True, text=True, check=False).stdout
        number = next((word for word in said.split() if word.lstrip("v")[:1].isdigit()), "of unknown version")
        found.append(f"{tool} {number.lstrip('v')}")
    return found
