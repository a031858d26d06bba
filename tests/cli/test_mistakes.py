"""What a beginner does wrong: one line each, with item, cause and next step."""

from __future__ import annotations

from pathlib import Path

import pytest
from click import Option
from click.shell_completion import BashComplete

from bundler.__main__ import run
from bundler.about import PROGRAM
from bundler.cli.declared_command import MANY
from bundler.cli.main import COMMANDS, program
from bundler.server.listener import RegistryServer
from bundler.server.served_content import read_only
from bundler.server.writable import writable
from bundler.session import Session
from tests.builders import a_bundle, a_module

Output = pytest.CaptureFixture[str]

MISTAKES: dict[str, tuple[list[str], str]] = {
    "a command misspelt": (["exprot"], "command line: no such command: exprot, did you mean export?; see"),
    "an option misspelt": (["export", "--tags", "x"], "export: no such option '--tags'"),
    "an option without its value": (["export", "h.io/a", "--lock"], "export: option '--lock' requires"),
    "an option for a value": (
        ["export", "h.io/a", "--plain-http", "-o", "a.tar.zst"],
        "export: --plain-http needs a value, and -o follows it; see `timoni-bundler export --help`",
    ),
    "too small a number": (
        ["export", "h.io/a", "-o", "x", "--keep", "0"],
        "export: invalid value for '--keep': '0' is not a whole number of 1 or more; see",
    ),
    "a part of a number": (
        ["export", "h.io/a", "-o", "x", "--level", "1.5"],
        "export: invalid value for '--level': '1.5' is not a whole number from 1 to 19; see",
    ),
    "a report on standard output": (
        ["export", "h.io/a", "-o", "a.tar.zst", "--report", "-"],
        "--report: this can't be written to standard output; name a file",
    ),
    "a trace on standard output": (
        ["ls", "h.io/a", "--debug-file", "-"],
        "--debug-file: this can't be written to standard output; name a file",
    ),
    "a password before a registry": (
        ["catalog", "https://me:secret@h.io"],
        "HOST: a user or password does not belong here; write HOST",
    ),
    "two arguments too many": (["verify", "a", "b"], "verify: got unexpected extra argument (b); see"),
    "nothing said": (["completion"], "completion: missing argument '{bash|zsh|fish}'"),
    "a part's option misspelt": (["store", "gc", "--al"], "store gc: no such option '--al'"),
    "no output": (["export", "h.io/a"], "export: no output given; add -o NAME.tar.zst"),
    "no target": (["import", "b"], "import: no target given; add --to oci://HOST[/PREFIX]"),
    "no bundle": (["import", "--to", "h.io"], "import: no bundle given; name a file or directory"),
    "a runtime value without a name": (
        ["import", "b", "--to", "oci://h.io", "--set", "=secret"],
        "--set: this is not NAME=VALUE; write NAME=VALUE",
    ),
    "another scheme": (
        ["export", "docker://h.io/a", "-o", "x"],
        "docker:// can't be used here;",
    ),
    "a web address": (["import", "b", "--to", "https://h.io"], "https:// can't be used here;"),
    "tags in a glob": (["export", "h.io/a:6.*", "-o", "x"], "choose tags with --tag"),
    "a path misspelt": (["inspect", "b.tar.zst"], "b.tar.zst: not there; check the path"),
    "a config misspelt": (["export", "-c", "e.yaml"], "e.yaml: No such file or directory; name a text file"),
    "another file": (["verify", "/etc/hostname"], "/etc/hostname: not a bundle (found text); name a file"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_with_the_next_step(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, said = MISTAKES[case]
    assert run(arguments) in (2, 4, 7)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("timoni-bundler: error: ")
    assert said in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "me:horse@h.io/a", "-o", "x"],
        ["export", "oci://me:horse@h.io/a/*", "-o", "x"],
        ["import", "b", "--to", "oci://me:horse@h.io"],
        ["import", "b", "--to", "https://me:horse@h.io"],
        ["import", "b", "--to", "h.io", "--plain-http", "me:horse@h.io"],
    ],
)
def test_a_password_before_a_host_is_not_repeated(arguments: list[str], capsys: Output) -> None:
    assert run(arguments) in (2, 4)
    assert "horse" not in capsys.readouterr().err


def test_help_and_version_are_understood_as_words(capsys: Output) -> None:
    assert run(["help", "volumes", "split"]) == 0
    assert "Usage: timoni-bundler volumes split" in capsys.readouterr().out
    assert run(["version"]) == 0
    assert capsys.readouterr().out.startswith("timoni-bundler ")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_options_of_a_long_command_stand_under_headings(name: str) -> None:
    command = program.get_command(program.make_context("x", ["x"], resilient_parsing=True), name)
    assert command
    params = [param for param in command.params if isinstance(param, Option)]
    if len(params) > MANY:
        assert [param.name for param in params if not getattr(param, "heading", "")] in ([], ["config"])


def test_a_port_that_is_taken_is_said_plainly(tmp_path: Path, capsys: Output) -> None:
    with writable(tmp_path / "a", Session()) as content, RegistryServer(content) as server:
        port = server.address.rpartition(":")[2]
        assert run(["serve", "--writable", str(tmp_path / "b"), "--port", port]) == 9
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("can't listen there: address already in use; choose another port")


def test_an_unreadable_path_is_one_line_with_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    def refused(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refused)
    assert run(["export", "h.io/a", "-o", str(tmp_path / "b.tar.zst")]) == 9
    assert "b.tar.zst: Permission denied; check the permissions" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["import", "export --base", "export -o", "merge x -o"])
def test_the_shell_completes_names_of_files(words: str) -> None:
    shell = BashComplete(program, {}, PROGRAM, "_TIMONI_BUNDLER_COMPLETE")
    assert [item.type for item in shell.get_completions(words.split(), "b")] == ["file"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.tar.gz", "a.tar", "a.tar.zst"])
def test_a_directory_that_is_named_like_an_archive_is_warned_of(
    name: str, tmp_path: Path, capsys: Output
) -> None:
    out = tmp_path / name
    bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0")})
    with read_only(bundle, Session()) as content, RegistryServer(content) as server:
        assert run(["export", f"{server.address}/app", "-o", str(out)]) == 0
    assert out.is_dir() == (f"{name}: this will be a directory" in capsys.readouterr().err)
    assert out.is_dir() == (name != "a.tar.zst")
