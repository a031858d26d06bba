"""What commands print of many things."""

from __future__ import annotations

import pytest

from bundler.cli.terminal.outcome import SHOWN, print_failures
from bundler.reporting.json_report import Failure


@pytest.mark.parametrize("more", [0, 1, 19_000])
def test_a_thousand_failures_are_shown_and_the_others_counted(
    more: int, capsys: pytest.CaptureFixture[str]
) -> None:
    failures = tuple(Failure(f"h.example/app:{number}", "broken", 6) for number in range(SHOWN + more))
    assert print_failures(failures, 8) == 8
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("h.example/app:0: broken")
    assert lines[SHOWN:] == (
        [f"timoni-bundler: error: {more:,} more: not shown; --report FILE or --json tells all of them"]
        if more
        else []
    )
