"""The bundles among files and folders: files, volumes and unpacked ones, in any form and under any name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bundler.bundle.bundle_format import COMPACT_MARK
from bundler.bundle.inventory import BUNDLE_SUFFIX, COMPACT_SUFFIX
from bundler.bundle.reader import open_bundle
from bundler.bundle.sealing import sidecar_of
from bundler.bundle.stream import StatementCheck
from bundler.bundle.unpacked import is_layout
from bundler.durable import local_errors
from bundler.errors import BundlerError, NotFoundError, errors_of_one
from bundler.importer.several.import_order import FoundBundle
from bundler.limits import Limits
from bundler.volumes.volume_sets import sets_in, volumes_among

_ZSTD = b"\x28\xb5\x2f\xfd"

_MOST = 10_000
"""Files of a folder that are looked at."""


class FoundBundles(NamedTuple):
    """The content of files and folders."""

    bundles: tuple[FoundBundle, ...]
    failures: tuple[BundlerError, ...]
    """About files that should be bundles, and can't be used."""
    others: tuple[Path, ...]
    """Files and folders that are not bundles: reports, rests of copies, sidecars without their file."""


def holds_several(paths: Sequence[Path]) -> bool:
    """Return True for more than one path, or for a folder with more than the volumes of one bundle."""
    if len(paths) != 1:
        return len(paths) > 1
    (path,) = paths
    if not path.is_dir() or is_layout(path):
        return False
    listed = _listed(path)
    return bool(listed.files or listed.folders) or len(sets_in(path)) != 1


def find_bundles(
    paths: Sequence[Path],
    limits: Limits,
    *,
    verifier: StatementCheck | None = None,
    volumes_in: Iterable[Path] = (),
) -> FoundBundles:
    """Return all bundles of these files and folders, each file once; what is named as a file must be one.

    Raises: NotFoundError if there is none, and what keeps a named file from being opened.
    """
    paths = _distinct(paths)
    named = {_place(path) for path in paths}
    folders = [path for path in paths if path.is_dir() and not is_layout(path)]
    media = (*volumes_in, *folders)
    bundles = [_read(path, limits, verifier, media) for path in paths if path not in folders]
    failures: list[BundlerError] = []
    others: list[Path] = []
    for folder in folders:
        listed = _listed(folder)
        others += [path for path in listed.others if _place(path) not in named]
        for path in _distinct([*listed.files, *listed.folders, *sets_in(folder)]):
            if _place(path) in named:
                continue
            try:
                bundles.append(_read(path, limits, verifier, media))
            except BundlerError as error:
                failures.append(error)
    if not bundles and not failures:
        names = ", ".join(map(str, paths))
        raise NotFoundError(names, "there is no bundle in it", "name the folder that the bundles are in")
    # Of copies, the first counts: one that says who signed it, and with which number; or with a sidecar.
    bundles.sort(key=lambda bundle: (bundle.statement is None, not sidecar_of(bundle.path).is_file()))
    return FoundBundles(tuple(bundles), tuple(failures), tuple(others))


def _distinct(paths: Iterable[Path]) -> list[Path]:
    """Return the paths in their order, but of several that lead to the same place one that is not a link."""
    places: dict[Path, Path] = {}
    for path in paths:
        place = _place(path)
        if place not in places or places[place].is_symlink():
            places[place] = path
    return list(places.values())


def _place(path: Path) -> Path:
    """Return the path that others which lead to the same place have in common."""
    return path.resolve()


def _read(path: Path, limits: Limits, verifier: StatementCheck | None, media: Iterable[Path]) -> FoundBundle:
    with errors_of_one(path), open_bundle(path, limits, verifier, media) as bundle:
        statement = bundle.signed_statement.statement if bundle.signed_statement else None
        return FoundBundle(path, bundle.id, bundle.inventory, statement)


class _Listed(NamedTuple):
    """The content of a folder without its volumes."""

    files: list[Path]
    """Files that begin like a bundle, or are named like one."""
    folders: list[Path]
    """Unpacked bundles."""
    others: list[Path]


def _listed(folder: Path) -> _Listed:
    volumes = set(volumes_among(folder))
    with local_errors(folder, "read"):
        entries = sorted(folder.iterdir())[:_MOST]
    files: list[Path] = []
    folders: list[Path] = []
    others: list[Path] = []
    not_listed = volumes | {sidecar_of(path) for path in entries}
    for path in entries:
        if path in not_listed:
            continue
        if path.is_dir():
            (folders if is_layout(path) else others).append(path)
        else:
            (files if _is_meant(path) else others).append(path)
    return _Listed(files, folders, others)


def _is_meant(path: Path) -> bool:
    """Return True for a file that is a bundle by its name or its first bytes; no leftover of a copy is."""
    leads_nowhere = not path.exists()
    if path.name.startswith(".") or not (leads_nowhere or path.is_file()):
        return False
    named = path.name.endswith((BUNDLE_SUFFIX, COMPACT_SUFFIX))
    if named or leads_nowhere:
        return named
    with local_errors(path, "read"), path.open("rb") as file:
        start = file.read(max(len(COMPACT_MARK), len(_ZSTD)))
    return not path.name.endswith(_LEFTOVERS) and start.startswith((_ZSTD, COMPACT_MARK))


_LEFTOVERS = (".tmp", ".part", ".partial", ".crdownload", ".filepart")
"""Ends of the names of files that are still being copied."""


def told_of(others: Sequence[Path]) -> Iterator[str]:
    """Yield a line about files that are not bundles, and one about folders, if there are any."""
    folders = [path for path in others if path.is_dir()]
    files = [path for path in others if path not in folders]
    if files:
        yield f"not bundles, passed over: {_names(files)}"
    if folders:
        yield f"folders in the folder, not looked into: {_names(folders)}; name them too if they hold bundles"


def _names(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - 5:,} more" if len(paths) > 5 else ""
    return ", ".join(path.name for path in paths[:5]) + more
