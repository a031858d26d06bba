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
  them; Go's tools use several. See the next section.
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

## What is left on loopback

oras and crane export 28 tags in less CPU time than Python needs to load its HTTP library. CPU time of whole
processes, medians of 15 rounds in turn on a busy machine, printed by `.venv/bin/python -m bench.floor 15`;
each line does what is in the line above it, and more:

| | export of 28 tags | second import |
|---|---|---|
| Python | 0.016 s | 0.015 s |
| click, requests and zstandard, loaded | 0.171 s | 0.168 s |
| the same requests by requests' own session, answers thrown away | 0.223 s | 0.217 s |
| the whole command | 0.319 s | 0.253 s |

- **What can't be had** with these packages: less than the second line, and much less than the third. That
  is 70 % of an export, where oras takes 0.08 s in all and crane 0.12 s, and 86 % of a second import. A
  request costs 0.8 ms in requests' session; a quarter of what urllib3 and `http.client` do is to parse
  headers as those of an e-mail.
- **Our share of a request**, by a profile of the threads that fetch (1,803 requests, 600 tags, each with a
  config and a layer): 54 % of the time are in those libraries. 11 % go into files that are opened, synced
  and renamed, 7 % into strict reading of manifests, the rest into logins, limits, retries and the hand-over
  between threads.
- **What was tried and is done**: commands load only what they use; documents of a usual length are read
  without pydantic (a third of the CPU time of `verify`, a quarter of an import's); types of documents are
  made without compiling code; requests' session is left out, its adapter is used; no error is made before it
  is raised; an answer that was read to its end is not read again. In instructions of the whole process
  (cachegrind), together: second import -38 %, `verify` -57 %, `inspect` -54 %, export -10 %, and a quarter
  less for each request of an export.
- **What was tried and left**: connecting while the rest is loaded. Only the modules that are needed after
  the first answer could be loaded meanwhile: 30 ms of CPU at most, less than 4 % of an export over 50 ms.
  Opening the other connections before they are needed would save a round trip, two with TLS, but the
  libraries have no way to open one without a request.
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
