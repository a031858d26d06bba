"""What a kit is made of: checked by name and size, then verified."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bundler.bundle.reader import Bundle, open_bundle
from bundler.bundle.sealing import sidecar_of
from bundler.durable import local_errors
from bundler.errors import UsageError
from bundler.importer.verify import verify_bundle
from bundler.kit.fat32 import TOO_LARGE, check_names, check_size, name_problem
from bundler.kit.kit_bundle import KitBundle, kit_bundle
from bundler.kit.kit_readme import README, SIGNERS, SUMS
from bundler.kit.portable_archive import XZ_MAGIC, PortableArchive, archive_named, check_one_version
from bundler.named_files import check_folder, read_at_most
from bundler.session import Session
from bundler.volumes.volume_sets import find_volumes

if TYPE_CHECKING:
    from bundler.bundle.stream import Judge
    from bundler.volumes.volume_writer import Cut

CUT = "add --volume-size 4GiB"


class KitSources(NamedTuple):
    """Everything that a kit is made of."""

    bundles: Sequence[Path]
    """Bundle files, or one volume of each set."""
    archives: Sequence[Path] = ()
    """Portable archives of this program, one for each kind of machine."""
    signers: Path | None = None
    """The file of allowed signers."""
    volumes_in: Sequence[Path] = ()
    """More folders with volumes of the sets."""
    cut: Cut | None = None
    """How to split bundle files into volumes; None to leave them whole."""


class ProvenBundle(NamedTuple):
    """A bundle that was verified, and the files that it is in."""

    path: Path
    about: KitBundle
    sha256: str
    files: tuple[Path, ...]
    volumes: bool
    warnings: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.stat().st_size for file in self.files)


def archives_of(paths: Sequence[Path]) -> list[PortableArchive]:
    """Return what the names of portable archives say. Raises UsageError, LocalError."""
    archives = []
    for path in paths:
        with local_errors(path, "read"):
            archives.append(archive_named(path.name, read_at_most(path, len(XZ_MAGIC))))
            check_size(str(path), path.stat().st_size, "name a portable archive")
    check_one_version(archives)
    return archives


def check_place(folder: Path, sources: KitSources) -> None:
    """Raise UsageError, before any work, for a place or a name that can't be."""
    next_step = "name a new folder: -o DIR"
    if folder.name in ("", ".."):
        raise UsageError(str(folder), "not the name of a new folder", next_step)
    check_folder(folder, "-o")
    if os.path.ismount(folder):
        cause = "a medium is mounted here, and a kit appears whole as a folder of its own"
        raise UsageError(str(folder), cause, f"name a new folder on it: -o {folder / 'kit'}")
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(str(folder), "it exists and is not an empty folder", next_step)
    if problem := name_problem(folder.name):
        raise UsageError(str(folder), problem, next_step)
    if sources.cut and sources.cut.size > TOO_LARGE:
        raise UsageError("--volume-size", "FAT32 takes no file of 4 GiB or more", "use 4GiB or less")
    for path in sources.bundles:
        if path.is_file() and not sources.cut:
            check_size(str(path), path.stat().st_size, CUT)


def proven_bundle(path: Path, sources: KitSources, session: Session, judge: Judge | None) -> ProvenBundle:
    """Verify a bundle. Raises UsageError for one that is not in files; what `verify_bundle` raises."""
    with open_bundle(path, session.limits, judge, sources.volumes_in) as opened:
        if not opened.volumes and opened.file_size is None:
            next_step = f"make a file of it: timoni-bundler merge {path} -o NAME.tar.zst"
            raise UsageError(str(path), "an unpacked bundle, and a kit carries files", next_step)
        if sources.cut and opened.volumes:
            raise UsageError(str(path), "it is already split into volumes", "leave --volume-size out")
        warnings = verify_bundle(opened, session).warnings
        return _described(opened, sources)._replace(warnings=warnings)


def _described(opened: Bundle, sources: KitSources) -> ProvenBundle:
    assert opened.sha256 is not None, "a file that was read to its end has one"
    files = tuple(find_volumes(opened.path, sources.volumes_in)) if opened.volumes else (opened.path,)
    about = kit_bundle(opened.id, opened.inventory)
    return ProvenBundle(opened.path, about, opened.sha256, files, bool(opened.volumes))


def check_content(bundles: Sequence[ProvenBundle], sources: KitSources) -> None:
    """Raise UsageError for files that can't be in one folder, and for a bundle that is named twice."""
    seen: dict[str, Path] = {}
    for bundle in bundles:
        if other := seen.get(bundle.about.id):
            raise UsageError(str(bundle.path), f"the same bundle as {other}", "name it once")
        seen[bundle.about.id] = bundle.path
    if sources.volumes_in and not any(bundle.volumes for bundle in bundles):
        raise UsageError("--volumes-in", "no bundle is in volumes", "leave it out")
    names = [README, SUMS, *([SIGNERS] if sources.signers else []), *(path.name for path in sources.archives)]
    for bundle in bundles:
        if sources.cut:
            names.append(f"{bundle.path.name}.001")
            continue
        for file in bundle.files:
            check_size(str(file), file.stat().st_size, "split the bundle anew with --volume-size 4GiB")
            names.append(file.name)
        if not bundle.volumes:
            names.append(sidecar_of(bundle.path).name)
    check_names(names)


def bytes_needed(bundles: Sequence[ProvenBundle], sources: KitSources) -> int:
    """Return the bytes of a kit's large files."""
    sizes = [sources.cut.need(bundle.size) if sources.cut else bundle.size for bundle in bundles]
    return sum(sizes) + sum(path.stat().st_size for path in sources.archives)
