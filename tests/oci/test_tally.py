"""A count with a limit."""

from __future__ import annotations

import pytest

from bundler.errors import ContentError
from bundler.oci.graph import Tally


def test_the_limit_may_be_reached_and_not_passed() -> None:
    tally = Tally("bundle", 1_000, "layers")
    tally.add(400)
    tally.add(600)
    with pytest.raises(ContentError, match="more than the limit of 1,000 layers"):
        tally.add(1)
