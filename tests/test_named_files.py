"""A place that can't take a file is told before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.errors import UsageError
from bundler.named_files import check_folder


@pytest.mark.parametrize("option", ["", "--report"])
def test_a_file_without_a_folder_names_the_folder_to_create(option: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        check_folder(tmp_path / "none" / "file.json", option)
    assert error.value.cause == f"{option}: its folder does not exist".removeprefix(": ")
    assert error.value.next_step == f"create {tmp_path / 'none'}"


def test_a_file_in_a_folder_may_be_new(tmp_path: Path) -> None:
    check_folder(tmp_path / "file.json")
