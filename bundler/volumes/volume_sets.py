"""Finding the volumes of a set in folders, by their own descriptions. Names and order don't matter."""

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bundler.durable import local_errors
from bundler.errors import BundlerError, ContentError, IntegrityError, LocalError, NotFoundError, UsageError
from bundler.volumes.volume_format import MAGIC, TRAILER, Volume, bundle_name, decode_trailer, is_trailer
from bundler.volumes.volume_reader import OneFile, VolumeSet, is_whole, lacking

_MOST_FILES = 10_000
"""Files of a folder that are looked at."""

_NUMBER = re.compile(r"\.p?[0-9]{2,3}", re.IGNORECASE)
"""The end of a volume's file name."""


def is_volume(path: Path) -> bool:
    """Return True if a file ends like a volume. Raises LocalError."""
    file = OneFile(path)
    try:
        return ends_like_volume(file)
    finally:
        file.close()


def ends_like_volume(file: OneFile) -> bool:
    """Return True if an open file ends like a volume. Raises LocalError."""
    return file.size >= TRAILER and file.read_at(len(MAGIC), file.size - len(MAGIC)) == MAGIC


def volumes_among(folder: Path) -> list[Path]:
    """Return the files of a folder that end like volumes, or can't be read and are named like volumes."""
    volumes: list[Path] = []
    with local_errors(folder, "read"):
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for path in entries[:_MOST_FILES]:
        try:
            with local_errors(path, "read"):
                is_one = path.is_file() and is_volume(path)
        except LocalError:
            is_one = bool(_NUMBER.fullmatch(path.suffix))
        if is_one:
            volumes.append(path)
    return volumes


def names_lost_volume(path: Path) -> bool:
    """Return True if a missing path stands for volumes beside it: their bundle, or a lost volume."""
    return path.parent.is_dir() and not path.exists() and any(_namesakes(path, volumes_among(path.parent)))


def _namesakes(path: Path, files: Iterable[Path]) -> Iterator[Path]:
    bundle = path.stem if _NUMBER.fullmatch(path.suffix) else path.name
    for file in files:
        if file.parent == path.parent and file.stem == bundle and _NUMBER.fullmatch(file.suffix):
            yield file


class Found(Mapping[Path, Volume]):
    """The volumes of one set that exist; and volumes whose description can't be read, with the error."""

    def __init__(self, volumes: dict[Path, Volume], wrong: dict[Path, BundlerError]) -> None:
        self._volumes = volumes
        self.wrong = wrong

    def __getitem__(self, path: Path) -> Volume:
        return self._volumes[path]

    def __iter__(self) -> Iterator[Path]:
        return iter(self._volumes)

    def __len__(self) -> int:
        return len(self._volumes)


def find_volumes(path: Path, more: Iterable[Path] = ()) -> Found:
    """Return the set that a volume belongs to, or that a folder holds, in this folder and in `more` of them.

    `path` may also be the name of a volume that is lost, or of the bundle that the volumes make.
    Of volumes that are there twice, a whole one is taken. Raises NotFoundError if there is none,
    UsageError for several sets, and for a file that is no volume.
    """
    folder = path if path.is_dir() else path.parent
    volumes, wrong = _read(folder, *more)
    if path.is_file() and path not in volumes and path not in wrong:
        raise UsageError(str(path), "not a volume", "name a file that --volume-size made")
    if not volumes and wrong:
        raise next(iter(wrong.values()))
    sets = {volume.shared for volume in _meant(path, volumes).values()}
    if not sets:
        cause = "no volumes found" if path.is_dir() else "not there"
        raise NotFoundError(str(path), cause, "name a volume, or a folder of them")
    if len(sets) > 1:
        cause = f"found volumes of {len(sets)} sets"
        raise UsageError(str(path), cause, "name one volume of the set that you mean")
    (chosen,) = sets
    return Found(
        _each_once({file: candidate for file, candidate in volumes.items() if candidate.shared == chosen}),
        wrong,
    )


def _read(*folders: Path) -> tuple[dict[Path, Volume], dict[Path, BundlerError]]:
    """Return all volumes of some folders, and what is wrong with those that can't be read."""
    volumes: dict[Path, Volume] = {}
    wrong: dict[Path, BundlerError] = {}
    # The same folder may be named twice.
    for folder in {folder.resolve(): folder for folder in reversed(folders)}.values():
        for file in volumes_among(folder):
            try:
                volumes[file] = read_trailer(file)
            except (IntegrityError, ContentError, UsageError, LocalError) as error:
                wrong[file] = error
    return volumes, wrong


def _meant(path: Path, volumes: Mapping[Path, Volume]) -> Mapping[Path, Volume]:
    """Return the volumes that determine which set is meant."""
    if path in volumes:
        return {path: volumes[path]}
    if not path.exists():
        return {file: volumes[file] for file in _namesakes(path, volumes)}
    # Other folders may hold volumes of other sets too.
    folder = path if path.is_dir() else path.parent
    return {file: volume for file, volume in volumes.items() if file.parent == folder} or volumes


def _each_once(volumes: Mapping[Path, Volume]) -> dict[Path, Volume]:
    """Return one file of each number, in their order."""
    files: dict[int, list[Path]] = {}
    for file, volume in volumes.items():
        files.setdefault(volume.number, []).append(file)
    return {(file := _best(files[number], volumes)): volumes[file] for number in sorted(files)}


def _best(files: list[Path], volumes: Mapping[Path, Volume]) -> Path:
    if len(files) == 1:
        return files[0]
    return next((file for file in files if is_whole(file, volumes[file])), files[0])


def broken_off(volumes: Found) -> Iterator[Path]:
    """Yield files that are named like a volume of the set but do not end like one: incomplete copies."""
    places = {(file.parent, bundle_name(file.name, volume)) for file, volume in volumes.items()}
    for folder, name in sorted(places):
        for path in sorted(folder.glob(f"{glob.escape(name)}.*")):
            if _NUMBER.fullmatch(path.suffix) and path.is_file() and not is_volume(path):
                yield path


def sets_in(folder: Path) -> list[Path]:
    """Return a volume of each set that a folder holds, by which the set can be opened."""
    volumes, _ = _read(folder)
    return list({volume.shared: file for file, volume in volumes.items()}.values())


def open_set(path: Path, more: Iterable[Path] = ()) -> VolumeSet:
    """Open the set.

    Raises: IntegrityError that names the missing or truncated volumes, LocalError for one that can't be read.
    """
    existing = find_volumes(path, more)
    volumes = list(existing.values())
    parity = sum(volume.is_parity for volume in volumes)
    if len(volumes) - parity < volumes[0].data:
        names = {file.stem for file in existing}
        for file, error in existing.wrong.items():
            if isinstance(error, LocalError) and file.stem in names:
                raise error
        raise lacking(next(iter(existing)), volumes, (), parity)
    return VolumeSet(existing)


def read_trailer(path: Path) -> Volume:
    """Read the description of a volume. Raises IntegrityError, ContentError, UsageError."""
    with local_errors(path, "read"), path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - TRAILER, 0))
        block = file.read(TRAILER)
    if not is_trailer(block):
        raise UsageError(str(path), "not a volume", "name a file that --volume-size made")
    return decode_trailer(block, size, str(path))
