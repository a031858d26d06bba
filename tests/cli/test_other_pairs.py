"""All pairs of options of the commands that read no files of options: each works, or is refused by name."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from bundler.__main__ import run
from bundler.cli.main import program
from tests.builders import a_module
from tests.cli.option_values import VALUES, prepare
from tests.doubles import MemoryRegistry
from tests.trust.keys import a_key

Output = pytest.CaptureFixture[str]


class Case(NamedTuple):
    """A command line that ends well, to which options are added; `HOST` is the registry's."""

    words: str
    values: str = ""
    """Values that an option has here, `--option value` behind each other."""


CASES = {
    "catalog": Case("HOST"),
    "ls": Case("HOST/app"),
    "merge": Case("1.tar.zst 2.tar.zst -o m.tar.zst"),
    "compact": Case("2.tar.zst --with 1.tar.zst -o c.compact.zst"),
    "expand": Case("c2.compact.zst --with 1.tar.zst -o e.tar.zst"),
    "extract": Case("1.tar.zst HOST/app:1.0.0 -o x.tar"),
    "kit": Case("signed.tar.zst -o k", "--to h.example/x"),
    "sign": Case("b.tar.zst --key alice"),
    "inspect": Case("b.tar.zst"),
    "diff": Case("1.tar.zst b.tar.zst"),
    "report": Case("signed.tar.zst -o p.html", "--since b.tar.zst --title T --revoked-keys bob.pub"),
    "login": Case("HOST --username u --password-stdin --authfile auth.json"),
    "logout": Case("h.example --authfile auth.json"),
    "store gc": Case("st"),
    "store list": Case("st"),
    "store check": Case("st"),
    "volumes split": Case("b.tar.zst --volume-size 1MiB", "--output st"),
    "volumes check": Case("to"),
    "volumes repair": Case("to", "--output ."),
}
NO_EFFECT_HERE = {"--volumes-in", "--with", "--from"}
"""For volumes, and for a delta whose base is not at hand: what is in the files decides."""


@pytest.fixture(scope="module")
def registry() -> Iterator[MemoryRegistry]:
    """A module with two versions, and a registry that takes every login."""
    with MemoryRegistry({"app": a_module("1.0.0", "1.1.0")}) as server:
        yield server


@pytest.fixture(scope="module")
def prepared(registry: MemoryRegistry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the command lines name."""
    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        prepare(folder)
        a_key(folder, "bob")
        app, store = f"{registry.host}/app", ["--store", "st", "-q"]
        assert run(["export", f"{app}:1.0.0", "-o", "1.tar.zst", *store]) == 0
        assert run(["export", app, "-o", "2.tar.zst", "--base", "last", *store]) == 0
        assert run(["export", app, "-o", "signed.tar.zst", "--sign-key", "alice", "-q"]) == 0
        assert run(["compact", "2.tar.zst", "--with", "1.tar.zst", "-o", "c2.compact.zst", "-q"]) == 0
        volumes = ["--volume-size", "1MiB", "--parity", "100", "-o", "to", "-q"]
        assert run(["volumes", "split", "b.tar.zst", *volumes]) == 0
        Path("auth.json").write_text('{"auths": {"h.example": {"auth": "dTpw"}}}')
    return folder


def flags_of(name: str) -> dict[str, click.Option]:
    """The options of a command, or of one command of a group."""
    command: click.Command = program
    for word in name.split():
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found
        command = found
    options = [param for param in command.params if isinstance(param, click.Option)]
    return {max(option.opts, key=len): option for option in options}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_pair_of_other_commands_works_or_is_refused(
    name: str,
    registry: MemoryRegistry,
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Output,
) -> None:
    words = CASES[name].words.replace("HOST", registry.host).split()
    special = dict(zip(*[iter(CASES[name].values.split())] * 2, strict=True))
    options = flags_of(name)
    in_line = {flag for flag, option in options.items() if set(option.opts) & set(words)}
    kept = in_line | NO_EFFECT_HERE | {"--log-format", "--tool"}

    def outcome(flags: tuple[str, ...]) -> tuple[int, str]:
        folder = tmp_path / "run"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(prepared, folder)
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"secret")))
        line = [*name.split(), *words]
        for flag in flags:
            value = (
                special.get(flag) or VALUES.get(flag) or {"FILE": "new.txt"}.get(str(options[flag].metavar))
            )
            line += [flag] if options[flag].is_flag else [flag, str(value)]
        code = run(line)
        return code, capsys.readouterr().err

    alone = {flag: outcome((flag,)) for flag in sorted(options.keys() - kept)}
    without, _ = outcome(())
    assert without == (4 if name == "login" else 0)
    for flag, (code, said) in alone.items():
        assert code == without or (code == 2 and f"{flag}" in said), (flag, said)
    good = [flag for flag, (code, _) in alone.items() if code == without]
    refused = [flag for flag, (code, _) in alone.items() if code == 2]
    for pair in [*combinations(good, 2), *((a, b) for a in refused for b in alone if a != b)]:
        code, said = outcome(pair)
        assert code == without or (code == 2 and any(flag in said for flag in pair)), (pair, code, said)
