"""A set of volumes looked after: what is damaged or missing, and made again from parity."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bundler.disk_space import check_disk
from bundler.durable import WholeFile, sync_directory, temporary_of
from bundler.errors import BundlerError, IntegrityError
from bundler.reporting.progress import SILENCE, Progress
from bundler.volumes.volume_format import (
    TRAILER,
    Volume,
    bundle_name,
    decoded,
    encode_trailer,
    encoded,
    file_name,
    needed,
    require_parity,
)
from bundler.volumes.volume_reader import is_whole, lacking, opened_files, piece_of
from bundler.volumes.volume_sets import Found, find_volumes
from bundler.volumes.volume_writer import is_there


class VolumeCheck(NamedTuple):
    """What is there of a set."""

    volumes: Found
    damaged: Mapping[Path, Volume]
    """Whose bytes are not what they were."""

    @property
    def whole(self) -> dict[int, Path]:
        """The file of every good volume, by number."""
        return {volume.number: path for path, volume in self.volumes.items() if path not in self.damaged}

    @property
    def any(self) -> Volume:
        """One of them, for what they share."""
        return next(iter(self.volumes.values()))

    @property
    def first(self) -> Path:
        """The file of the first that is there."""
        return next(iter(self.volumes))


def check_volumes(path: Path, more: Iterable[Path] = (), progress: Progress = SILENCE) -> VolumeCheck:
    """Hash every volume of a set. Raises what keeps the set from being found."""
    found = find_volumes(path, more)
    damaged: dict[Path, Volume] = {}
    with progress.step("checking", len(found), sum(volume.size for volume in found.values())) as step:
        for file, volume in found.items():
            if not is_whole(file, volume):
                damaged[file] = volume
            step.advance(items=1, size=volume.size)
    return VolumeCheck(found, damaged)


def complaint(checked: VolumeCheck) -> BundlerError | None:
    """What the set lacks: data volumes before those of parity, without which the bundle is whole."""
    one, whole = checked.any, checked.whole
    wrong = {volume.number for volume in checked.damaged.values()}
    parity = sum(number > one.data for number in whole)
    if any(number not in whole for number in range(1, one.data + 1)):
        return lacking(checked.first, list(checked.volumes.values()), wrong, parity)
    lost = [number for number in range(1, one.parity + 1) if one.data + number not in whole]
    if not lost:
        return None
    cause = f"parity {needed(lost, one.parity)}: missing or damaged; the bundle is whole without"
    return IntegrityError(str(checked.first.parent), cause, "`timoni-bundler volumes repair` makes it again")


def repair(checked: VolumeCheck, folder: Path, progress: Progress = SILENCE) -> list[Path]:
    """Make the missing and damaged volumes again, in `folder`, from any as many as there are data volumes.

    Raises IntegrityError if too few are left, and UsageError without the library.
    """
    one, whole = checked.any, checked.whole
    missing = [number for number in range(1, one.data + one.parity + 1) if number not in whole]
    if not missing:
        return []
    if len(whole) < one.data:
        cause = f"{len(whole)} good volumes are left, and {one.data} are needed"
        lost = ", ".join(replace(one, number=number).name for number in missing[:20])
        next_step = f"carry {one.data - len(whole)} of these again, and repair: {lost}"
        raise IntegrityError(str(checked.first.parent), cause, next_step)
    require_parity()
    check_disk([(folder, sum(replace(one, number=number).size + TRAILER for number in missing))])
    bundle = folder / bundle_name(checked.first.name, one)
    files = {number: _begun(bundle, number, one.data) for number in missing}
    try:
        digests = _rebuild(one, whole, files, progress)
        _prove(one, whole, files)
        for number, file in files.items():
            made = replace(one, number=number, sha256=digests[number].hexdigest())
            file.write(encode_trailer(made))
            is_there(file, made)
        for number in missing:
            files.pop(number).commit(sync_folder=False)
        sync_directory(folder)
    finally:
        for file in files.values():
            file.discard()
    return [bundle.with_name(file_name(bundle.name, number, one.data)) for number in missing]


def _begun(bundle: Path, number: int, data: int) -> WholeFile:
    path = bundle.with_name(file_name(bundle.name, number, data))
    return WholeFile(path, temporary_of(path))


def _rebuild(
    one: Volume, whole: Mapping[int, Path], files: Mapping[int, WholeFile], progress: Progress
) -> dict[int, hashlib._Hash]:
    """All data pieces from what is left, and of these the parity pieces, stripe by stripe."""
    used = sorted(whole)[: one.data]
    digests = {number: hashlib.sha256() for number in files}
    with (
        opened_files([whole[number] for number in used]) as opened,
        progress.step("making again", len(files), one.piece * one.data) as step,
    ):
        readers = {
            number - 1: partial(_within, file.read_at, replace(one, number=number).size)
            for number, file in zip(used, opened, strict=True)
        }
        offset = 0
        for stripe in decoded(readers, one.data, one.parity, one.piece):
            parts = [*stripe, *_parity_of(stripe, one)]
            for number, file in files.items():
                part = parts[number - 1][: max(replace(one, number=number).size - offset, 0)]
                digests[number].update(part)
                file.write(part)
            offset += len(stripe[0])
            step.advance(size=len(stripe[0]) * one.data)
        step.advance(items=len(files))
    return digests


def _prove(one: Volume, whole: Mapping[int, Path], files: Mapping[int, WholeFile]) -> None:
    """Raise IntegrityError unless the pieces make the bundle that the set is named by."""
    digest = hashlib.sha256()
    for number in range(1, one.data + 1):
        path = files[number].temporary if number in files else whole[number]
        for chunk in piece_of(path, replace(one, number=number)):
            digest.update(chunk)
    if digest.hexdigest() != one.set:
        cause = f"what was made of the volumes is {digest.hexdigest()}, and the bundle was {one.set}"
        raise IntegrityError(str(next(iter(whole.values())).parent), cause, "carry the volumes again")


def _parity_of(stripe: Sequence[bytes], one: Volume) -> list[bytes]:
    if not one.parity:
        return []
    readers = [partial(_part, data) for data in stripe]
    return next(encoded(readers, one.parity, len(stripe[0])))


def _part(data: bytes, size: int, offset: int) -> bytes:
    return data[offset : offset + size]


def _within(read: Callable[[int, int], bytes], length: int, size: int, offset: int) -> bytes:
    """A piece read without what stands behind it."""
    return read(min(size, max(length - offset, 0)), offset)
