"""What commands print of many things."""

from __future__ import annotations

import pytest

from bundler.cli.terminal.failure_groups import SHOWN, grouped
from bundler.cli.terminal.log import Log
from bundler.cli.terminal.outcome import print_failures
from bundler.errors import ContentError, UsageError, ViolationsError
from bundler.reporting.json_report import Failure

MANY = 20_000


def failures(count: int, cause: str = "broken") -> tuple[Failure, ...]:
    """Of different tags; `{}` in the cause becomes the number."""
    return tuple(
        Failure(f"h.example/app:{number}", cause.format(number), 6, "mend it") for number in range(count)
    )


def test_twenty_thousand_equal_failures_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_failures(failures(MANY), 8) == 8
    assert capsys.readouterr().err == (
        "timoni-bundler: error: 20,000 tags (h.example/app:0, h.example/app:1, h.example/app:2, ...): "
        "broken; mend it\n"
    )


def test_two_equal_failures_are_both_named(capsys: pytest.CaptureFixture[str]) -> None:
    print_failures(failures(2), 8)
    line = "timoni-bundler: error: 2 tags (h.example/app:0, h.example/app:1): broken; mend it\n"
    assert capsys.readouterr().err == line


def test_a_failure_alone_is_told_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_failures(failures(1), 6)
    assert capsys.readouterr().err == "timoni-bundler: error: h.example/app:0: broken; mend it\n"


@pytest.mark.parametrize("more", [0, 1, MANY])
def test_a_hundred_causes_are_shown_and_the_others_counted(
    more: int, capsys: pytest.CaptureFixture[str]
) -> None:
    print_failures(failures(SHOWN + more, "broken in way {}"), 8)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("h.example/app:0: broken in way 0; mend it")
    hidden = f"{more:,} more causes: not shown; the report has all: --report FILE or --json"
    assert lines[SHOWN:] == ([f"timoni-bundler: error: {hidden}"] if more else [])


@pytest.mark.parametrize(
    ("cause", "shown"),
    [
        ("the target has sha256:{:064}", "the target has sha256:..."),
        ("http://h.example/v2/app/manifests/{}: 500", "http://h.example/... 500"),
    ],
)
def test_causes_that_differ_by_digest_or_path_are_one(cause: str, shown: str) -> None:
    assert [item.cause for item in grouped(failures(3, cause))] == [shown]


def test_failures_with_other_exit_codes_stay_apart() -> None:
    others = tuple(item.__class__(item.item, item.cause, 5, item.next_step) for item in failures(2))
    assert [item.exit_code for item in grouped((*failures(2), *others))] == [6, 5]


def test_what_is_not_a_tag_is_an_item() -> None:
    found = grouped(Failure(f"volume {number}", "damaged", 6) for number in range(2))
    assert [item.item for item in found] == ["2 items (volume 0, volume 1)"]


def test_mistakes_in_a_file_keep_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    print_failures(tuple(Failure(f"export.yaml:{line}", "unknown key", 2) for line in (2, 7)), 2)
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_violations_of_a_policy_are_grouped_too(capsys: pytest.CaptureFixture[str]) -> None:
    found = [ContentError(f"h.example/app:{number}", "not allowed") for number in range(MANY)]
    error = ViolationsError("policy", found)
    assert len(error.problems) == MANY
    Log().error(error)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("timoni-bundler: error: 20,000 tags (h.example/app:0, ")
    assert "and 19,989 more" in error.cause


def test_one_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Log().error(UsageError("export", "no output", "use -o"))
    assert capsys.readouterr().err == "timoni-bundler: error: export: no output; use -o\n"
