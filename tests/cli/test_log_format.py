"""`--log-format json`: whatever comes to standard error is one object per line, as the schema says."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from bundler.__main__ import run
from bundler.cli.main import COMMANDS, program
from bundler.cli.terminal.log import OPTION, VARIABLE, JsonLog, Log, log_for
from bundler.cli.terminal.progress_bars import Lines
from tests.builders import Content, a_bundle, a_module
from tests.doubles import ALWAYS, Answer, MemoryRegistry, Seen, Wire, says
from tests.processes import PROGRAM, bundler, clean_environment
from tests.schema_checks import valid
from tests.server.client import writable_registry

Output = pytest.CaptureFixture[str]
Line = dict[str, Any]
AS_JSON = ("--log-format", "json")


@pytest.fixture
def registry() -> Iterator[MemoryRegistry]:
    """A module with two versions."""
    with MemoryRegistry({"app": a_module("1.0.0", "1.1.0")}) as server:
        yield server


def parsed(text: str) -> list[Line]:
    """Every line, each as the published schema says."""
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        valid("log-line", line)
    return lines


def test_steps_are_told_with_their_counts(registry: MemoryRegistry, tmp_path: Path, capsys: Output) -> None:
    assert run(["export", f"{registry.host}/app", "-o", str(tmp_path / "b.tar.zst"), *AS_JSON]) == 0
    steps = {line["step"]: line for line in parsed(capsys.readouterr().err)}
    assert {line["event"] for line in steps.values()} == {"step"}
    blobs = steps["blobs"]
    assert blobs["items"] == blobs["itemsTotal"] > 0
    assert blobs["size"] == blobs["sizeTotal"] > 0
    assert blobs["message"].startswith(f"blobs: {blobs['items']} of")


def test_a_failed_item_is_told_in_its_parts(registry: MemoryRegistry, tmp_path: Path, capsys: Output) -> None:
    sources = [f"{registry.host}/app", f"{registry.host}/missing"]
    assert run(["export", *sources, "-o", str(tmp_path / "b.tar.zst"), "-q", *AS_JSON]) == 8
    (line,) = parsed(capsys.readouterr().err)
    assert (line["level"], line["event"], line["exitCode"]) == ("error", "error", 4)
    assert line["item"] == sources[1]
    assert "404" in line["cause"]
    assert line["time"].endswith("Z")


@pytest.mark.slow
def test_warnings_and_retries_are_told(registry: MemoryRegistry, tmp_path: Path, capsys: Output) -> None:
    registry.repositories["empty"] = Content()
    registry.on("GET", "empty/tags", says(503))
    sources = [f"{registry.host}/app", f"{registry.host}/empty"]
    assert run(["export", *sources, "-o", str(tmp_path / "b.tar.zst"), *AS_JSON]) == 0
    lines = parsed(capsys.readouterr().err)
    assert [line["message"] for line in lines if line["level"] == "warning"] == [
        f"{sources[1]}: the repository has no tags"
    ]
    assert any("503" in line["message"] for line in lines if line["event"] == "note")


@pytest.mark.parametrize(
    ("arguments", "code", "item"),
    [
        (["export", "--no-such-option"], 2, "export"),
        (["no-such-command"], 2, "command line"),
        (["export", "-o"], 2, "export"),
        (["verify", "/nonexistent"], 4, "/nonexistent"),
        (["verify", "/etc/hostname"], 7, "/etc/hostname"),
        (["volumes", "check", "/nonexistent"], 4, "/nonexistent"),
        (["store", "check", "/nonexistent"], 4, "/nonexistent"),
        (["export", "h.example/a", "-o", "/nonexistent/b.tar.zst"], 2, "/nonexistent/b.tar.zst"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_an_error_is_told_wherever_the_option_stands(
    arguments: list[str], code: int, item: str, first: bool, capsys: Output
) -> None:
    if arguments == ["export", "-o"] and not first:
        arguments = ["export", "--jobs", "x"]
    whole = [*AS_JSON, *arguments] if first else [*arguments, *AS_JSON]
    assert run(whole) == code
    (line,) = parsed(capsys.readouterr().err)
    assert (line["event"], line["item"], line["exitCode"]) == ("error", item, code)


def test_the_environment_says_it_for_all_commands(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    monkeypatch.setenv(VARIABLE, "json")
    assert run(["inspect", "/nonexistent"]) == 4
    assert parsed(capsys.readouterr().err)
    assert run(["inspect", "/nonexistent", "--log-format=text"]) == 4
    assert capsys.readouterr().err == "timoni-bundler: error: /nonexistent: not there; check the path\n"


@pytest.mark.parametrize("by_variable", [True, False])
def test_another_format_is_refused(
    by_variable: bool, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setenv(VARIABLE, "xml" if by_variable else "")
    assert run(["inspect", "/nonexistent", *([] if by_variable else [OPTION, "xml"])]) == 2
    assert "'xml' is not one of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "structured"),
    [
        (["export", OPTION, "json"], True),
        ([f"{OPTION}=json"], True),
        ([OPTION, "json", "export", OPTION, "text"], False),
        (["export", "--", OPTION, "json"], False),
        (["export", OPTION], False),
        ([], False),
    ],
)
def test_the_last_word_counts(words: list[str], structured: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert log_for(words).structured is structured


def test_several_errors_are_several_lines(tmp_path: Path, capsys: Output) -> None:
    file = tmp_path / "export.yaml"
    file.write_text("version: 1\nsources: 7\nouput: x\n")
    assert run(["explain", "-c", str(file), *AS_JSON]) == 2
    lines = parsed(capsys.readouterr().err)
    assert len(lines) == 2
    assert {line["exitCode"] for line in lines} == {2}


@pytest.mark.slow
def test_the_summary_is_a_line_when_stdout_is_the_bundle(registry: MemoryRegistry, tmp_path: Path) -> None:
    command = ["export", f"{registry.host}/app", "-o", "-", "--store", str(tmp_path / "store"), *AS_JSON]
    for as_json in (False, True):
        with (tmp_path / "b.tar.zst").open("wb") as file:
            ended = subprocess.run(
                [*PROGRAM, *command, *(["--json"] if as_json else [])], stdout=file, stderr=subprocess.PIPE,
                text=True, check=False, timeout=300,
            )  # fmt: skip
        last = parsed(ended.stderr)[-1]
        assert (last["event"], last["exitCode"], ended.returncode) == ("result", 0, 0)
        assert ("report" in last) is as_json
    valid("report", last["report"])


@pytest.mark.slow
def test_an_interruption_is_a_line(registry: MemoryRegistry, tmp_path: Path) -> None:
    asked, ended = threading.Event(), threading.Event()

    def silent(wire: Wire, request: Seen, answer: Answer) -> bool:
        asked.set()
        ended.wait(300)
        return False

    registry.on("GET", "tags/list", silent, times=ALWAYS)
    command = [*PROGRAM, "export", f"{registry.host}/app", "-o", str(tmp_path / "b.tar.zst"), *AS_JSON]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert asked.wait(300)
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=300)
        ended.set()
    last = parsed(said)[-1]
    assert (last["event"], last["exitCode"], running.returncode) == ("terminated", 143, 143)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_server_that_is_ended_says_stopped(number: int, code: int, tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0")})
    command = [*PROGRAM, "serve", str(bundle), "--port", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as running:  # type: ignore[call-overload]
        assert running.stdout.readline().startswith("http://127.0.0.1:")
        running.send_signal(number)
        _, said = running.communicate(timeout=30)
    assert (said, running.returncode) == ("stopped\n", code)


def test_a_mistaken_command_line_has_a_report_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "b.tar.zst", "--json", "--frobnicate"]) == 2
    report = json.loads(capsys.readouterr().out)
    valid("report", report)
    assert (report["command"], report["exitCode"]) == ("verify", 2)
    assert "--frobnicate" in report["failures"][0]["cause"]


@pytest.mark.slow
def test_a_closed_standard_output_is_a_line(tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0")})
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*PROGRAM, "inspect", str(bundle), *AS_JSON], stdout=full, stderr=subprocess.PIPE, text=True,
            check=False, timeout=300,
        )  # fmt: skip
    (line,) = parsed(ended.stderr)
    assert (line["item"], line["exitCode"], ended.returncode) == ("standard output", 9, 9)


def test_a_bug_is_a_line(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("bundler.cli.commands.review.inspect_command.open_bundle", broken)
    assert run(["inspect", "x", *AS_JSON]) == 1
    (line,) = parsed(capsys.readouterr().err)
    assert (line["event"], line["exitCode"]) == ("internal error", 1)


def test_no_secret_is_told(registry: MemoryRegistry, tmp_path: Path, capsys: Output) -> None:
    secrets = tmp_path / "creds"
    secrets.write_text("carrier:correct-horse\n")
    registry.on("GET", "", says(401, **{"WWW-Authenticate": 'Basic realm="x"'}), times=ALWAYS)
    arguments = ["export", f"{registry.host}/app", "-o", str(tmp_path / "b.tar.zst")]
    assert run([*arguments, "--creds-file", str(secrets), *AS_JSON]) == 3
    said = capsys.readouterr().err
    assert parsed(said)
    assert "horse" not in said
    assert "Y2Fycmllcjpjb3JyZWN0LWhvcnNl" not in said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["inspect", "diff", "extract", "verify", "import"])
def test_other_commands_tell_the_same_way(name: str, tmp_path: Path, capsys: Output) -> None:
    bundle = str(a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0")}, sidecar=False))
    with writable_registry(tmp_path / "inside") as inside:
        more = {
            "diff": [bundle],
            "extract": ["app:1.0.0", "-o", str(tmp_path / "app.tar")],
            "import": ["--to", f"{inside.address}/mirror"],
        }
        assert run([name, bundle, *more.get(name, []), *AS_JSON]) == 0
    parsed(capsys.readouterr().err)


def every_command() -> Iterator[str]:
    """Each command, and each of a group."""
    for name in COMMANDS:
        yield name
        found = program.get_command(click.Context(program), name)
        yield from (f"{name} {one}" for one in getattr(found, "commands", ()))


@pytest.mark.parametrize("name", list(every_command()))
def test_every_command_has_the_option_once(name: str, capsys: Output) -> None:
    for _ in range(2):
        assert run([*name.split(), "--help"]) == 0
        assert capsys.readouterr().out.count(f"{OPTION} [text|json]") == 1


def test_lines_of_many_threads_do_not_mix(capsys: Output) -> None:
    lines = Lines(JsonLog())

    def tell(number: int) -> None:
        for _ in range(50):
            lines.note(f"{number} " * 200)

    threads = [threading.Thread(target=tell, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(parsed(capsys.readouterr().err)) == 400


@pytest.mark.slow
@pytest.mark.parametrize("make", [Log, JsonLog])
def test_odd_letters_are_told_in_any_locale(make: Callable[[], Log]) -> None:
    words = list(AS_JSON) if make is JsonLog else []
    ended = bundler("verify", "/nonexistent/ü\u2028x", *words, env=clean_environment(LANG="C", LC_ALL="C"))
    assert (ended.returncode, len(ended.stderr.splitlines())) == (4, 1)
