"""Which options go together: every pair either works, or is refused by name."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.cli.main import COMMANDS
from bundler.cli.option_combinations import RULES, CombinationRule, faults
from bundler.cli.selected import export_file, selected
from bundler.config.option import defaults_of
from bundler.config.selection_options import SelectionOptions, SourceOptions
from bundler.errors import LocalError
from bundler.oci.reference import RegistryName
from bundler.session import Session
from tests.builders import a_bundle, a_module
from tests.cli.option_values import given, options_of, prepare
from tests.processes import bundler
from tests.registries import RealRegistry
from tests.schema_checks import valid

Output = pytest.CaptureFixture[str]

SELECTION = defaults_of(SelectionOptions)

LINES = {
    "export": ["export", "h.example/app", "-o", "out.tar.zst"],
    "explain": ["explain", "h.example/app"],
    "import": ["import", "bundle.tar.zst", "--to", "h.example"],
    "verify": ["verify", "bundle.tar.zst"],
    "volumes": ["volumes", "split", "bundle.tar.zst"],
    "kit": ["kit", "bundle.tar.zst", "-o", "kit"],
    "diff": ["diff", "a", "b"],
    "serve": ["serve", "."],
    "compact": ["compact", "b", "-o", "c.compact.zst"],
    "expand": ["expand", "b", "-o", "e.tar.zst"],
    "ls": ["ls", "h.example/app"],
    "catalog": ["catalog", "h.example"],
    "login": ["login", "h.example"],
}
"""A command line to which options can be added."""

CASES = [
    pytest.param(command, rule, id=f"{command} {rule.option} {'-' if rule.excludes else 'alone'}")
    for rule in RULES
    for command in rule.commands.split()
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_pair_works_or_is_refused_by_name(command: str) -> None:
    flags = sorted(options_of(command))
    for pair in combinations(flags, 2):
        for fault in faults(command, frozenset(pair)):
            assert any(flag in fault.item for flag in pair)
            assert fault.cause
            assert fault.next_step


STOPPED = "the command line has passed"

DECIDED_BY_VALUES = {
    # These go together or not by what is in the files that they name.
    frozenset({"--base", "--full-every"}): "error: --full-every: ",
    frozenset({"--lock", "--shard"}): "a shard needs an existing lock file",
    frozenset({"--client-key", "--config"}): "error: client.pem: --client-key: there is no --client-cert",
    frozenset({"--allowed-signers", "--policy"}): "the policy already says whose signatures count",
}

IN_LINE = {"export": {"--output"}, "explain": set[str](), "import": {"--to", "--state"}, "verify": set[str]()}


def line_of(command: str, pair: Iterable[str]) -> list[str]:
    """The command line with these options, in which everything that is named is there."""
    line = {
        "export": ["export", "h.example/app", "-o", f"out.{'compact' if '--compact' in pair else 'tar'}.zst"],
        "explain": ["explain", "h.example/app"],
        "import": ["import", "b.tar.zst", "--to", "127.0.0.1:1/x", "--state", "state"],
        "verify": ["verify", "b.tar.zst"],
    }[command]
    return [*line, *(word for flag in pair for word in given(command, flag))]


@pytest.mark.slow
@pytest.mark.parametrize("command", IN_LINE)
def test_every_pair_runs_or_is_refused_as_the_table_says(
    command: str, capsys: Output, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever passes is stopped where the first registry or bundle would be opened."""

    def stop(*_: object, **__: object) -> None:
        raise LocalError("stop", STOPPED)

    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Session, "__init__", stop)
    flags = sorted(options_of(command).keys() - IN_LINE[command] - {"--rollback"})
    for pair in combinations([*flags, ""], 2):
        options = [flag for flag in pair if flag]
        for left in ("m.prom", "report.json"):
            (tmp_path / left).unlink(missing_ok=True)
        code = run(line_of(command, options))
        said = capsys.readouterr().err
        refused = list(faults(command, frozenset({*options, *IN_LINE[command]})))
        if cause := DECIDED_BY_VALUES.get(frozenset(options)):
            assert (code, cause in said) == (2, True), said
        elif refused:
            assert (code, f"error: {refused[0].item}: {refused[0].cause}" in said) == (2, True), (
                options,
                said,
            )
        else:
            assert (code, STOPPED in said) == (9, True), (options, said)


def test_the_page_has_every_rule_of_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs/choosing-tags.md").read_text()
    section = page.partition("### Options that need another")[2].partition("\n## ")[0]
    for rule in RULES:
        lines = [line for line in section.replace("\n`", " `").splitlines() if f"`{rule.option}`" in line]
        named = " ".join(lines)
        for other in {*rule.needs, *rule.excludes, *rule.together} - {"--config"}:
            assert f"`{other}`" in named or "each other" in named, (rule.option, other)


@pytest.mark.parametrize(("command", "rule"), CASES)
def test_an_option_without_effect_is_refused_by_name(
    command: str, rule: CombinationRule, capsys: Output, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for other in rule.excludes or (None,):
        options = [*given(command, rule.option), *(given(command, other) if other else [])]
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
        assert {rule.option, *rule.excludes, *rule.together} <= options_of(command).keys()
        assert options_of(command).keys() & set(rule.needs) or not rule.needs


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


@pytest.mark.parametrize("command", ["compact", "expand"])
def test_a_report_is_never_where_the_bundle_goes(command: str, capsys: Output) -> None:
    assert run([command, "b", "-o", "-", "--jobs", "3", "--json"]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        ["inspect", "n" * 300],
        ["verify", "n" * 300],
        ["merge", "n" * 300, "-o", "m.tar.zst"],
        ["import", "n" * 300, "--to", "h.example"],
        ["import", "--rollback", "n" * 300],
        ["export", "h.example/a", "-o", "a.tar.zst", "--lock", "n" * 300],
        ["export", "h.example/a", "-o", "a.tar.zst", "--report", "n" * 300],
        ["store", "list", "n" * 300],
    ],
    ids=lambda line: " ".join(line[:-1]),
)
def test_a_name_that_is_too_long_is_in_the_report(line: list[str], capsys: Output) -> None:
    assert run([*line, "--json"]) == 9
    report = json.loads(capsys.readouterr().out)
    assert report["exitCode"] == 9
    assert "File name too long" in report["failures"][0]["cause"]


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "link to itself"])
@pytest.mark.parametrize(
    "option", ["--report", "--receipt", "--rollback-file", "--write-image-map", "--lock", "--metrics"]
)
def test_no_file_is_written_over_a_device_or_a_pipe(
    option: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("a.prom" if kind == "pipe" else "pipe")
    if kind != "pipe":
        Path("a.prom").symlink_to("pipe" if kind == "link to a pipe" else "a.prom")
    a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0")})
    line = ["import", "b.tar.zst", "--to", "127.0.0.1:1/x"]
    if option == "--lock":
        line = ["export", "127.0.0.1:1/app", "-o", "c.tar.zst"]
    assert run([*line, option, "a.prom", "-q"]) == 9
    assert "error: a.prom: can't " in capsys.readouterr().err
    assert not Path("a.prom").is_file()


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
    assert not [name for name in target_registry.catalog() if name.startswith("refused/")]


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


FORCING = [
    ["export", "h.example/a"], ["merge", "b"], ["report", "b"], ["compact", "b"], ["expand", "b"],
    ["extract", "b", "h.example/a:1"],
]  # fmt: skip


@pytest.mark.parametrize("line", FORCING, ids=lambda line: str(line[0]))
def test_force_is_refused_for_standard_output(line: list[str], capsys: Output) -> None:
    assert run([*line, "--force", "-o", "-"]) == 2
    assert "error: --force: standard output replaces nothing" in capsys.readouterr().err


def test_the_default_registry_is_said_on_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "export.yaml"
    file.write_text("version: 1\nsources: [{repository: org/app}, {repository: other.example/b}]\n")
    place = SourceOptions(("team/app:1.0",), (file,), RegistryName("h.example"))
    found = selected(SelectionOptions(place, *SELECTION[1:]), export_file((file,), place.default_registry))
    assert found.registries == {"h.example", "other.example"}
