"""Which options go together: every pair either works, or is refused by name."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import click
import pytest

from bundler.__main__ import run
from bundler.cli.main import COMMANDS, program
from bundler.cli.option_combinations import RULES, CombinationRule, faults
from bundler.cli.selected import export_file, selected
from bundler.config.option import defaults_of
from bundler.config.selection_options import SelectionOptions, SourceOptions
from bundler.oci.reference import RegistryName
from tests.builders import a_bundle, a_module
from tests.processes import bundler
from tests.registries import RealRegistry
from tests.schema_checks import valid

Output = pytest.CaptureFixture[str]

SELECTION = defaults_of(SelectionOptions)

VALUES = {
    "--set": "A=b", "--timoni-bundle": "bundle.cue", "--timoni-bundle-to": ".", "--parity": "20",
    "--sequence": "7", "--expires": "30d", "--keep": "3", "--keep-days": "3", "--immutable": "semver",
    "--job": "nightly", "--jobs": "3", "--plain-http": "h.example", "--ca-file": "ca.pem",
    "--debug-file": "f",
    "--creds-file": "creds", "--token-host": "t.example", "--proxy": "none", "--repository": "*",
    "--tag": "1.*", "--tag-regex": "1.*", "--versions": "^1", "--newest": "1", "--newest-per-major": "1",
    "--newest-per-minor": "1", "--exclude": "x", "--require": "sbom", "--cosign-key": "key.pem",
    "--trusted-root": "root.json", "--volumes-in": ".", "--only": "1", "--level": "3",
    "--exclude-image": "*", "--optional-image": "*",
}  # fmt: skip
"""What each option is given; the others are flags."""

LINES = {
    "export": ["export", "h.example/app", "-o", "out.tar.zst"],
    "explain": ["explain", "h.example/app"],
    "import": ["import", "bundle.tar.zst", "--to", "h.example"],
    "verify": ["verify", "bundle.tar.zst"],
    "volumes": ["volumes", "split", "bundle.tar.zst"],
    "kit": ["kit", "bundle.tar.zst", "-o", "kit"],
    "diff": ["diff", "a", "b"],
    "serve": ["serve", "."],
}
"""A command line to which options can be added."""

CASES = [
    pytest.param(command, rule, id=f"{command} {rule.option} {'-' if rule.excludes else 'alone'}")
    for rule in RULES
    for command in rule.commands.split()
]


def flags_of(name: str) -> set[str]:
    """The long options of a command, and of those in a group."""
    command = program.get_command(click.Context(program), name)
    assert command
    parts = command.commands.values() if isinstance(command, click.Group) else [command]
    return {max(option.opts, key=len) for part in parts for option in part.params if option.opts}


def given(flag: str) -> list[str]:
    """An option with a value, if it takes one."""
    return [flag, VALUES[flag]] if flag in VALUES else [flag]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_pair_works_or_is_refused_by_name(command: str) -> None:
    flags = sorted(flags_of(command))
    for pair in combinations(flags, 2):
        for fault in faults(command, frozenset(pair)):
            assert any(flag in fault.item for flag in pair)
            assert fault.cause
            assert fault.next_step


@pytest.mark.parametrize(("command", "rule"), CASES)
def test_an_option_without_effect_is_refused_by_name(
    command: str, rule: CombinationRule, capsys: Output, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for other in rule.excludes or (None,):
        options = [*given(rule.option), *(given(other) if other else [])]
        assert run([*LINES[command], *options]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"timoni-bundler: error: {rule.option}")
        assert rule.cause in line


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.needs], ids=lambda rule: str(rule.option))
def test_an_option_works_beside_each_that_it_needs(rule: CombinationRule) -> None:
    for needed in rule.needs:
        assert rule.fault(frozenset({rule.option, needed})) is None


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.commands} {rule.option}")
def test_every_option_of_a_rule_is_one_of_its_commands(rule: CombinationRule) -> None:
    for command in rule.commands.split():
        assert {rule.option, *rule.excludes} <= flags_of(command)
        assert flags_of(command) & set(rule.needs) or not rule.needs


@pytest.mark.parametrize(
    "line",
    [
        ["import", "b", "--to", "h.example/a", "--to", "h.example/b"],
        ["export", "h.example/a", "-o", "a.tar.zst", "--output", "b.tar.zst"],
        ["verify", "b", "-j", "1", "--jobs", "2"],
    ],
    ids=lambda line: str(line[0]),
)
def test_an_option_with_one_value_is_given_once(line: list[str], capsys: Output) -> None:
    assert run(line) == 2
    assert "is given 2 times" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line", [["inspect", "none"], ["diff", "a", "b"], ["verify", "none"], ["extract", "none", "x", "-o", "y"]]
)
def test_a_failing_command_with_json_prints_its_report(line: list[str], capsys: Output) -> None:
    code = run([*line, "--json"])
    report = json.loads(capsys.readouterr().out)
    valid("report", report)
    assert (report["command"], report["exitCode"]) == (line[0], code)
    assert report["failures"][0]["item"] in line


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        (["--prune", "3"], "--prune: "),
        (["--with", "b.tar.zst"], "--with: "),
        (["--allow-gap"], "--allow-gap: "),
        (["--volumes-in", "."], "--volumes-in: "),
    ],
)
def test_what_is_for_deltas_and_volumes_is_refused_elsewhere(
    options: list[str], cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.chdir(tmp_path)
    a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0")})
    assert run(["import", "b.tar.zst", "--to", "127.0.0.1:1/x", "-q", "--state", ".", *options]) == 2
    assert f"error: {cause}" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--prune", "3"], ["--with", "b.tar.zst"], ["--allow-gap"]])
def test_options_for_deltas_are_refused_for_a_full_pipe(
    options: list[str], target_registry: RealRegistry, tmp_path: Path
) -> None:
    bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/refused": a_module("1.0.0")})
    options = [str(bundle) if word == "b.tar.zst" else word for word in options]
    with bundle.open("rb") as pipe:
        to = ["--to", f"{target_registry.host}/refused", "--state", str(tmp_path / "state")]
        done = bundler("import", "-", *to, "-q", *options, stdin=pipe)
    assert (done.returncode, f"error: {options[0]}: standard input is a full bundle" in done.stderr) == (
        2,
        True,
    )
    assert not [name for name in target_registry.catalog() if "refused" in name]


@pytest.mark.parametrize(
    "line",
    [
        ["verify"],
        ["inspect"],
        ["extract", "x", "-o", "y"],
        ["merge", "-o", "y.tar.zst"],
        ["diff", "b.tar.zst"],
        ["report", "-o", "y.html"],
        ["report", "-o", "y.html", "--since", "b.tar.zst"],
        ["compact", "-o", "y.compact.zst"],
        ["expand", "-o", "y.tar.zst"],
        ["serve"],
    ],
    ids=" ".join,
)
def test_folders_of_volumes_are_refused_for_one_file(
    line: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.chdir(tmp_path)
    bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0")})
    name, *more = line
    assert run([name, str(bundle), *more, "--volumes-in", str(tmp_path)]) == 2
    assert "error: --volumes-in: " in capsys.readouterr().err


@pytest.mark.parametrize("line", [["export", "h.example/a"], ["merge", "b.tar.zst"], ["report", "b.tar.zst"]])
def test_force_is_refused_for_standard_output(line: list[str], capsys: Output) -> None:
    assert run([*line, "--force", "-o", "-"]) == 2
    assert "error: --force: standard output replaces nothing" in capsys.readouterr().err


def test_the_default_registry_is_said_on_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "export.yaml"
    file.write_text("version: 1\nsources: [{repository: org/app}, {repository: other.example/b}]\n")
    place = SourceOptions(("team/app:1.0",), (file,), RegistryName("h.example"))
    found = selected(SelectionOptions(place, *SELECTION[1:]), export_file((file,), place.default_registry))
    assert found.registries == {"h.example", "other.example"}
