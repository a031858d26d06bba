"""`python -m tests.fuzz.run [TARGET...] [--seconds N] [--patience N] [--keep DIR]`: look for harmful inputs.

With atheris (the group `fuzz`: Linux on x86-64, Python up to 3.13) it is led by coverage. Without it,
the same changes are made without being led. An input that does harm ends it, and is left in `--keep`.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

MOST_MIB = 1024
"""Of memory: the fuzzer's own coverage counts, so this only ends what grows without bound."""


def main() -> None:
    """Each target in a child of this process, because libFuzzer ends its process."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run")
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--patience", type=int, default=10, help="seconds that one input may take")
    parser.add_argument("--keep", type=Path, default=Path())
    options = parser.parse_args()
    fuzzer = _fuzzer()
    with fuzzer.instrument_imports(include=["bundler"]) if fuzzer else contextlib.nullcontext():
        from tests.fuzz.targets import TARGETS
    for name in options.targets or TARGETS:
        with tempfile.TemporaryFile("w+") as said:
            child = os.fork()
            if child == 0:
                os.dup2(said.fileno(), 2)
                (_led if fuzzer else _unled)(name, options.seconds, options.patience, options.keep)
                os._exit(0)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            said.seek(0)
            text = said.read()
        if code:
            sys.exit(f"{text}\n{name}: an input does harm (exit {code}); it is in {options.keep.resolve()}")
        runs = re.findall(r"Done (\d+) runs", text)
        print(f"{name}: nothing found in {options.seconds:g} s, {''.join(runs) or 'unled'} runs", flush=True)


def _fuzzer() -> Any:
    try:
        import atheris
    except ImportError:
        return None
    return atheris


def _led(name: str, seconds: float, patience: int, keep: Path) -> None:
    from tests.fuzz.mutation import LONGEST, mutated
    from tests.fuzz.targets import TARGETS, run

    fuzzer, target = _fuzzer(), TARGETS[name]
    seeds = target.seeds()

    def change(data: bytes, longest: int, seed: int) -> bytes:
        random = Random(seed)
        other: bytes = fuzzer.Mutate(data, longest) if random.random() < 0.3 else mutated(data, random, seeds)
        return other[:longest]

    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds):
            (Path(folder) / str(number)).write_bytes(seed)
        settings = [
            f"-max_total_time={max(1, round(seconds))}", f"-timeout={patience}",
            f"-rss_limit_mb={MOST_MIB}", f"-max_len={LONGEST}", f"-artifact_prefix={keep}/{name}-",
        ]  # fmt: skip
        attempt = target.attempt
        fuzzer.Setup(["fuzz", *settings, folder], lambda data: run(attempt, data), custom_mutator=change)
        fuzzer.Fuzz()


def _unled(name: str, seconds: float, patience: int, keep: Path) -> None:
    from tests.fuzz.mutation import mutated
    from tests.fuzz.targets import TARGETS, run

    target, random, tried = TARGETS[name], Random(), keep / f"{name}-last"
    seeds = target.seeds()
    waiting = list(seeds)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = waiting.pop() if waiting else mutated(random.choice(seeds), random, seeds)
        tried.write_bytes(data)
        faulthandler.dump_traceback_later(patience, exit=True)
        run(target.attempt, data)
    faulthandler.cancel_dump_traceback_later()
    tried.unlink()


if __name__ == "__main__":
    main()
