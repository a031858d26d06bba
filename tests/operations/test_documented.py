"""What `docs/operations.md` says: all exit codes, all metrics."""

from __future__ import annotations

import re
from pathlib import Path

from bundler.cli.main import HELP
from bundler.errors import BundlerError
from bundler.reporting.prometheus import HELP as METRICS
from tests.operations.test_systemd import MOST_EXPOSED

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
CODES = {kind.exit_code for kind in BundlerError.__subclasses__()} | {0, 1, 8}


def test_every_exit_code_is_explained() -> None:
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)} == CODES
    assert "| 128+N |" in PAGE


def test_the_help_names_every_exit_code() -> None:
    told = " ".join(HELP.partition("Exit codes:")[2].split())
    assert {int(code) for code in re.findall(r"(?:^|, | )(\d+) [a-z]", told)} == CODES
    assert "128+N signal" in told


def test_every_metric_is_in_the_table_and_no_other() -> None:
    cells = [line.split(" | ")[0] for line in PAGE.splitlines() if line.startswith(("| `last_", "| `build_"))]
    assert sorted(re.findall(r"`(\w+)`", " ".join(cells))) == sorted(METRICS)


def test_the_exposure_is_what_the_test_allows() -> None:
    assert f"exposure at most {MOST_EXPOSED / 10}" in PAGE
