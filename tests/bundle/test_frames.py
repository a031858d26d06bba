"""Frames that are held in memory: those asked for last, however many bundles share them."""

from __future__ import annotations

from bundler.bundle.bundle_format import FRAME_CONTENT
from bundler.bundle.wire import KEPT, FrameCache


class Counted:
    """A bundle whose frames are large, and that counts how often it unpacks one."""

    def __init__(self) -> None:
        self.unpacked: list[int] = []

    def frame(self, number: int) -> bytes:
        """Unpack it."""
        self.unpacked.append(number)
        return bytes(FRAME_CONTENT)


def test_neighbours_are_unpacked_once() -> None:
    frames, bundle = FrameCache(), Counted()
    for number in (0, 1, 0, 1, 2, 0):
        frames.get(bundle, number, bundle.frame)
    assert bundle.unpacked == [0, 1, 2]


def test_many_bundles_together_hold_no_more_than_one_alone() -> None:
    frames, bundles = FrameCache(), [Counted() for _ in range(2 * KEPT // FRAME_CONTENT)]
    for _ in range(2):
        for bundle in bundles:
            frames.get(bundle, 0, bundle.frame)
    assert [bundle.unpacked for bundle in bundles] == [[0, 0]] * len(bundles)
