"""Whole processes, measured: time, CPU, peak memory, requests; ours beside others, round by round."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

Command = Callable[[str], str]
"""The shell command of one run, given a name that no other run has."""

OURS = "timoni-bundler"

_LAUNCHER = """
import json, resource, subprocess, sys, time
begun = time.perf_counter()
command, null = ["sh", "-ec", sys.argv[1]], subprocess.DEVNULL
done = subprocess.run(command, stdout=null, stderr=subprocess.PIPE, text=True)
seconds, used = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
said = (done.stderr.strip().splitlines() or [""])[-1][:100]
cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
print(json.dumps([seconds, cpu, peak, done.returncode, said]))
"""


class Figures(NamedTuple):
    """One run: seconds, seconds of CPU, MiB of the largest process, and why it failed."""

    seconds: float
    cpu: float
    peak: float
    failed: str = ""


class Row(NamedTuple):
    """One line of a table: a tool in a case, medians over the rounds."""

    case: str
    tool: str
    figures: Figures
    ratio: float | None
    """The median of our time over its time, round by round; None for ourselves."""
    requests: int | None


def run(command: str) -> Figures:
    """Run a shell command to its end, in a small process of its own: a large parent's memory would count."""
    asked = subprocess.run(
        [sys.executable, "-c", _LAUNCHER, command], check=True, capture_output=True, text=True
    )
    seconds, cpu, peak, code, said = json.loads(asked.stdout)
    return Figures(seconds, cpu, peak, f"exit code {code}: {said}" if code else "")


def compared(
    case: str,
    commands: Mapping[str, Command],
    *,
    rounds: int,
    clean: Callable[[], None] = lambda: None,
    requests: Callable[[str], int] | None = None,
) -> list[Row]:
    """Run each command once to count its requests, then all in turn for some rounds; return their rows.

    `requests` returns how many were made in the run of a name, and before.
    The first command is ours. One that fails is left out of the rounds, and its row says so.
    """
    counts: dict[str, int | None] = {}
    failed: dict[str, Figures] = {}
    for tool, command in commands.items():
        clean()
        before = requests(f"w-{tool}") if requests else 0
        figures = run(command(f"w-{tool}"))
        counts[tool] = requests(f"w-{tool}") - before if requests else None
        if figures.failed:
            failed[tool] = figures
    rest = {tool: command for tool, command in commands.items() if tool not in failed}
    runs = in_turn(rest, rounds=rounds, clean=clean)
    rows = [Row(case, tool, *_medians_of(runs, tool), counts[tool]) for tool in rest]
    return shown([*rows, *(Row(case, tool, figures, None, None) for tool, figures in failed.items())])


def in_turn(
    commands: Mapping[str, Command], *, rounds: int, clean: Callable[[], None]
) -> dict[str, list[Figures]]:
    """Run all commands in turn for some rounds."""
    runs: dict[str, list[Figures]] = {tool: [] for tool in commands}
    for number in range(rounds):
        for tool, command in commands.items():
            clean()
            runs[tool].append(run(command(f"r{number}-{tool}")))
    return runs


def medians(runs: Sequence[Figures]) -> Figures:
    """Return the medians of some runs."""
    middle = statistics.median
    return Figures(*(middle(values) for values in zip(*(run[:3] for run in runs), strict=True)))


def _medians_of(runs: Mapping[str, list[Figures]], tool: str) -> tuple[Figures, float | None]:
    ours, its = next(iter(runs.values())), runs[tool]
    if its is ours:
        return medians(its), None
    return medians(its), statistics.median(
        first.seconds / second.seconds for first, second in zip(ours, its, strict=True)
    )


def shown(rows: list[Row]) -> list[Row]:
    """Print rows as they come, and return them."""
    for row in rows:
        print(
            "  ".join(
                f"{cell:>{width}}" for cell, width in zip(cells(row), (44, 14, 9, 6, 8, 8, 8), strict=True)
            ),
            flush=True,
        )
    return rows


def cells(row: Row) -> tuple[str, ...]:
    """Return a row's cells: case, tool, seconds, ratio, requests, CPU, peak."""
    seconds, cpu, peak, failed = row.figures
    if failed:
        return row.case, row.tool, "failed", "", "", "", failed
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    requests = "" if row.requests is None else f"{row.requests:,}"
    return row.case, row.tool, f"{seconds:.2f} s", ratio, requests, f"{cpu:.2f} s", f"{peak:.0f} MiB"
