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

- **Loopback**: the start of Python and the registry, which shares the processors. See the next section.
- **Far registry, export**: three round trips (tag list, manifests, blobs) and the start. `--jobs` is the
  number of requests under way. Whether a list was cut, and whether there is a Referrers API, is asked
  beside the manifests.
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

Python needs two thirds of the time of an export by oras to load its HTTP library. Whole processes, medians
of 21 rounds in turn on an idle machine, printed by `.venv/bin/python -m bench.floor`; each of the first four
lines does what is in the line above it, and more:

| export of 28 tags | time | CPU |
|---|---|---|
| Python | 0.013 s | 0.012 s |
| click, requests and zstandard, loaded | 0.124 s | 0.124 s |
| the same requests by requests' own session, answers thrown away | 0.253 s | 0.197 s |
| the whole command | 0.292 s | 0.232 s |
| skopeo | 0.482 s | 0.188 s |
| crane | 0.309 s | 0.076 s |
| oras | 0.188 s | 0.058 s |

- **What can't be had** with these packages: much less than the third line. It alone takes 1.35 times as
  long as oras, 0.82 times as long as crane and 0.52 times as long as skopeo. We take 1.55, 0.94 and 0.61
  times as long as they. Of a second import (0.223 s), the same requests and the start take 0.180 s.
- **The registry** takes the time between the second line and the third: some 2 ms of its CPU for each
  request, whoever asks. We make 64, oras 89, crane 112, skopeo 113.
- **A request more**, of exports of 10 and of 610 tags: 0.73 ms of CPU in an export, all in all; 0.94 ms in
  requests' own session, answers thrown away. By a profile of the threads that fetch, 57 % of ours are in
  urllib3 and `http.client`, a third of that to parse headers as those of an e-mail.
- **What was tried and is done**: commands load only what they use; documents of a usual length are read
  without pydantic (a third of the CPU time of `verify`, a quarter of an import's); types of documents are
  made without compiling code; requests' session is left out, its adapter is used; no error is made before it
  is raised; an answer that was read to its end is not read again; manifests are parsed once; small blobs
  have no file of their own.
- **What was tried and left**: connecting while the rest is loaded. Only the modules that are needed after
  the first answer could be loaded meanwhile: 15 to 30 ms, less than 5 % of an export over 50 ms. Opening the
  other connections before they are needed would save a round trip, two with TLS, but the libraries have no
  way to open one without a request. Fewer threads, or another interval at which Python switches between
  them, make no difference.
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
