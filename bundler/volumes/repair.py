"""Checking a set of volumes, and repairing damaged or missing ones from parity."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bundler.durable import WholeFile, begin_whole, sync_directory
from bundler.errors import BundlerError, IntegrityError
from bundler.folders import check_disk
from bundler.reporting.progress import SILENCE, Progress
from bundler.volumes import volume_format
from bundler.volumes.parity import data_pieces, parity_pieces, require_parity
from bundler.volumes.volume_reader import is_whole, lacking, opened_files, piece_of
from bundler.volumes.volume_sets import Found, find_volumes
from bundler.volumes.volume_writer import is_there


class VolumeCheck(NamedTuple):
    """The volumes of a set that exist, and which of them are damaged."""

    volumes: Found
    damaged: Mapping[Path, volume_format.Volume]
    """Volumes whose bytes do not have their digest."""

    @property
    def whole(self) -> dict[int, Path]:
        """Return the file of every good volume, by number."""
        return {volume.number: path for path, volume in self.volumes.items() if path not in self.damaged}

    @property
    def any(self) -> volume_format.Volume:
        """Return any volume, for the values that all share."""
        return next(iter(self.volumes.values()))

    @property
    def first(self) -> Path:
        """Return the file of the first volume that exists."""
        return next(iter(self.volumes))


def check_volumes(path: Path, more: Iterable[Path] = (), progress: Progress = SILENCE) -> VolumeCheck:
    """Hash every volume of a set. Raises NotFoundError, UsageError, IntegrityError, ContentError."""
    volumes = find_volumes(path, more)
    damaged: dict[Path, volume_format.Volume] = {}
    with progress.step("checking", len(volumes), sum(volume.size for volume in volumes.values())) as step:
        for file, volume in volumes.items():
            if not is_whole(file, volume):
                damaged[file] = volume
            step.advance(items=1, size=volume.size)
    return VolumeCheck(volumes, damaged)


def complaint(checked: VolumeCheck) -> BundlerError | None:
    """Return the error for what a set lacks: data volumes first, then parity; None for a whole set."""
    sample, whole = checked.any, checked.whole
    wrong = {volume.number for volume in checked.damaged.values()}
    parity = sum(number > sample.data for number in whole)
    if any(number not in whole for number in range(1, sample.data + 1)):
        return lacking(checked.first, list(checked.volumes.values()), wrong, parity)
    lost = [number for number in range(1, sample.parity + 1) if sample.data + number not in whole]
    if not lost:
        return None
    parts = volume_format.needed(lost, sample.parity)
    cause = f"parity {parts}: missing or damaged; the bundle is whole without it"
    return IntegrityError(str(checked.first.parent), cause, "`timoni-bundler volumes repair` makes it again")


def repair(checked: VolumeCheck, folder: Path, progress: Progress = SILENCE) -> list[Path]:
    """Make the missing and damaged volumes again, in `folder`, from any as many as there are data volumes.

    Raises IntegrityError if too few are left, and UsageError without the library.
    """
    sample, whole = checked.any, checked.whole
    missing = [number for number in range(1, sample.data + sample.parity + 1) if number not in whole]
    if not missing:
        return []
    if len(whole) < sample.data:
        cause = f"{len(whole)} good volumes are left, and {sample.data} are needed"
        lost = ", ".join(replace(sample, number=number).name for number in missing[:20])
        next_step = f"carry {sample.data - len(whole)} of these again, and repair: {lost}"
        raise IntegrityError(str(checked.first.parent), cause, next_step)
    require_parity()
    check_disk(
        [(folder, sum(replace(sample, number=number).size + volume_format.TRAILER for number in missing))]
    )
    bundle = folder / volume_format.bundle_name(checked.first.name, sample)
    files = {number: _begun(bundle, number, sample.data) for number in missing}
    try:
        digests = _rebuild(sample, whole, files, progress)
        _prove(sample, whole, files)
        for number, file in files.items():
            made = replace(sample, number=number, sha256=digests[number].hexdigest())
            file.write(volume_format.encode_trailer(made))
            is_there(file, made)
        for number in missing:
            files.pop(number).commit(sync_folder=False)
        sync_directory(folder)
    finally:
        for file in files.values():
            file.discard()
    return [bundle.with_name(volume_format.file_name(bundle.name, number, sample.data)) for number in missing]


def _begun(bundle: Path, number: int, data: int) -> WholeFile:
    path = bundle.with_name(volume_format.file_name(bundle.name, number, data))
    return begin_whole(path)


def _rebuild(
    sample: volume_format.Volume,
    whole: Mapping[int, Path],
    files: Mapping[int, WholeFile],
    progress: Progress,
) -> dict[int, hashlib._Hash]:
    """Make all data pieces from what is left, and parity pieces from these, stripe by stripe."""
    used = sorted(whole)[: sample.data]
    digests = {number: hashlib.sha256() for number in files}
    with (
        opened_files([whole[number] for number in used]) as opened,
        progress.step("making again", len(files), sample.piece * sample.data) as step,
    ):
        readers = {
            number - 1: partial(_within, file.read_at, replace(sample, number=number).size)
            for number, file in zip(used, opened, strict=True)
        }
        offset = 0
        for stripe in data_pieces(readers, sample.data, sample.parity, sample.piece):
            parts = [*stripe, *_parity_of(stripe, sample)]
            for number, file in files.items():
                part = parts[number - 1][: max(replace(sample, number=number).size - offset, 0)]
                digests[number].update(part)
                file.write(part)
            offset += len(stripe[0])
            step.advance(size=len(stripe[0]) * sample.data)
        step.advance(items=len(files))
    return digests


def _prove(sample: volume_format.Volume, whole: Mapping[int, Path], files: Mapping[int, WholeFile]) -> None:
    """Raise IntegrityError unless the pieces make the bundle that the set is identified by."""
    digest = hashlib.sha256()
    for number in range(1, sample.data + 1):
        path = files[number].temporary if number in files else whole[number]
        for chunk in piece_of(path, replace(sample, number=number)):
            digest.update(chunk)
    if digest.hexdigest() != sample.set:
        cause = f"the volumes make {digest.hexdigest()}, but the bundle was {sample.set}"
        raise IntegrityError(str(next(iter(whole.values())).parent), cause, "carry the volumes again")


def _parity_of(stripe: Sequence[bytes], sample: volume_format.Volume) -> list[bytes]:
    if not sample.parity:
        return []
    readers = [partial(_part, data) for data in stripe]
    return next(parity_pieces(readers, sample.parity, len(stripe[0])))


def _part(data: bytes, size: int, offset: int) -> bytes:
    return data[offset : offset + size]


def _within(read: Callable[[int, int], bytes], length: int, size: int, offset: int) -> bytes:
    """Read from a piece, and nothing of what follows it."""
    return read(min(size, max(length - offset, 0)), offset)
