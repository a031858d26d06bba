"""A run that a signal stops: its report says so, and no report of an earlier night stays in its place."""

import json
import sys
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.cli.commands.inside import import_command
from bundler.cli.commands.outside import merge_command
from bundler.cli.terminal.outcome import StopReport
from bundler.cli.terminal.stops import Terminated
from tests.builders import a_bundle, a_module
from tests.schema_checks import valid

BEFORE = '{"exitCode": 0}'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The report of the night before."""
    path = tmp_path / "report.json"
    path.write_text(BEFORE)
    return path


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
@pytest.mark.parametrize(
    ("module", "function", "command"),
    [
        (import_command, "carry_out", ["import", "BUNDLE", "--to", "127.0.0.1:9/x"]),
        (import_command, "_rolled_back", ["import", "--rollback", "BUNDLE"]),
        (merge_command, "merge_bundles", ["merge", "BUNDLE", "-o", "OUT"]),
    ],
)
def test_a_stopped_run_has_a_report(
    module: object,
    function: str,
    command: list[str],
    stop: type[BaseException],
    code: int,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle = a_bundle(file.with_name("b.tar.zst"), {"h.example/app": a_module("1.0.0")})
    names = {"BUNDLE": str(bundle), "OUT": str(file.with_name("all.tar.zst"))}

    def stopped(*_: object, **__: object) -> None:
        raise stop

    monkeypatch.setattr(module, function, stopped)
    words = [names.get(word, word) for word in command]
    assert run([*words, "--report", str(file), "--json", "-q"]) == code
    printed = capsys.readouterr().out
    assert printed == file.read_text()
    valid("report", report := json.loads(printed))
    assert (report["command"], report["exitCode"]) == (command[0], code)


def test_a_stopped_dry_run_leaves_the_report_of_a_run(file: Path) -> None:
    stops = StopReport("export", dry_run=True, as_json=False, stream=sys.stdout)
    stops.file = file
    with pytest.raises(Terminated), stops:
        raise Terminated
    assert file.read_text() == BEFORE


def test_a_report_that_cannot_be_written_is_no_second_error(tmp_path: Path) -> None:
    stops = StopReport("export", as_json=False, stream=sys.stdout)
    stops.file = tmp_path / "no folder" / "report.json"
    with pytest.raises(KeyboardInterrupt), stops:
        raise KeyboardInterrupt
