"""What stands where a volume is to go: it itself, what is left of it, or something that must not be lost."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bundler.bundle.pieces import chunks_of, is_whole
from bundler.bundle.volume_format import Volume
from bundler.bundle.volume_sets import is_volume, read_trailer
from bundler.durable import WholeFile, local_errors
from bundler.errors import IntegrityError, UsageError

_ELSEWHERE = "choose another name or folder, or remove it"


def is_there(made: WholeFile, volume: Volume) -> bool:
    """Whether a volume stands whole where it is to go; `made` has its bytes, and no name yet.

    False if nothing is there, or only this volume damaged or cut off. Raises UsageError for all else.
    """
    path = made.path
    if not path.exists():
        return False
    if not is_volume(path):
        if _begins(made.temporary, path):
            return False
        raise UsageError(str(path), "it exists, and is no volume", _ELSEWHERE)
    try:
        there = read_trailer(path)
    except IntegrityError:
        return False
    if there.shared != volume.shared:
        raise UsageError(str(path), f"it exists, and belongs to another set{_cut(there, volume)}", _ELSEWHERE)
    if there.number != volume.number:
        raise UsageError(str(path), f"it exists, and is {there.name}", "choose another folder: -o DIR")
    return is_whole(path, there)


def _cut(there: Volume, volume: Volume) -> str:
    return f": the same bundle, cut into {there.data} and {there.parity}" if there.set == volume.set else ""


def _begins(whole: Path, part: Path) -> bool:
    """Whether a file is the beginning of another: a copy that broke off."""
    with local_errors(part, "look at"):
        size = part.stat().st_size
    digests = [hashlib.sha256(), hashlib.sha256()]
    for digest, path in zip(digests, (whole, part), strict=True):
        for chunk in chunks_of(path, size):
            digest.update(chunk)
    return size <= whole.stat().st_size and digests[0].digest() == digests[1].digest()
