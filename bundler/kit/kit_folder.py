"""The folder of a kit: what it is made of is verified, then written, whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bundler.bundle.reader import Bundle, open_bundle
from bundler.bundle.sealing import sidecar_of, write_sidecar
from bundler.deltas.base_blobs import provide_base
from bundler.durable import local_errors, whole_file, write_whole
from bundler.errors import IntegrityError, NotFoundError, UsageError
from bundler.folders import check_disk, whole_directory
from bundler.kit import kit_names, kit_readme
from bundler.limits import MIB
from bundler.named_files import check_folder, read_at_most
from bundler.reporting.progress import Progress, Step
from bundler.session import Session
from bundler.verify import verify_bundle
from bundler.volumes import volume_sets
from bundler.volumes.volume_reader import is_whole
from bundler.volumes.volume_writer import split

if TYPE_CHECKING:
    from bundler.bundle.stream import StatementCheck
    from bundler.oci import Prefix
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


class Kit(NamedTuple):
    """A kit that was written."""

    contents: kit_readme.KitContents
    files: tuple[str, ...]
    """All files, by name."""
    warnings: tuple[str, ...] = ()
    """What the verification of its bundles did not like."""


def write_kit(
    sources: KitSources,
    folder: Path,
    session: Session,
    *,
    verifier: StatementCheck | None = None,
    target: Prefix | None = None,
) -> Kit:
    """Verify the bundles, and write the new folder: it appears whole or not at all.

    `verifier` says which signatures count. `target` is named in README.txt as the place to import to.

    Raises: UsageError for a name or size that FAT32 does not take, and for what is no file of a kit;
    what the verification of a bundle raises; LocalError.
    """
    archives = _archives_of(sources.archives)
    _check_place(folder, sources)
    bundles = [_proven(path, sources, session, verifier) for path in sources.bundles]
    _check_content(bundles, sources)
    check_disk([(folder.parent, _bytes_needed(bundles, sources))])
    with whole_directory(folder) as made:
        writer = _KitWriter(made, session.progress)
        contents = kit_readme.KitContents(
            kit_readme.in_order([writer.bundle(bundle, sources.cut) for bundle in bundles]),
            tuple(writer.archive(*pair) for pair in zip(sources.archives, archives, strict=True)),
            writer.signers(sources.signers),
            f"oci://{target}" if target else None,
            writer.size,
        )
        writer.text(kit_readme.README, kit_readme.readme(contents))
        writer.sums()
    warnings = tuple(warning for bundle in bundles for warning in bundle.warnings)
    return Kit(contents, (*sorted(writer.digests), kit_readme.SUMS), warnings)


class _ProvenBundle(NamedTuple):
    """A bundle that was verified, and the files that it is in."""

    path: Path
    about: kit_readme.KitBundle
    sha256: str
    files: tuple[Path, ...]
    volumes: bool
    warnings: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Return the bytes of all its files."""
        return sum(file.stat().st_size for file in self.files)


def _archives_of(paths: Sequence[Path]) -> list[kit_names.PortableArchive]:
    """Return what the names of portable archives say. Raises UsageError, LocalError."""
    archives = []
    for path in paths:
        with local_errors(path, "read"):
            archives.append(kit_names.archive_named(path.name, read_at_most(path, len(kit_names.XZ_MAGIC))))
            kit_names.check_size(str(path), path.stat().st_size, "name a portable archive")
    kit_names.check_one_version(archives)
    return archives


def _check_place(folder: Path, sources: KitSources) -> None:
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
    if problem := kit_names.name_problem(folder.name):
        raise UsageError(str(folder), problem, next_step)
    if sources.cut and sources.cut.size > kit_names.TOO_LARGE:
        raise UsageError("--volume-size", "FAT32 takes no file of 4 GiB or more", "use 4GiB or less")
    for path in sources.bundles:
        if path.is_file() and not sources.cut:
            kit_names.check_size(str(path), path.stat().st_size, CUT)


def _proven(
    path: Path, sources: KitSources, session: Session, verifier: StatementCheck | None
) -> _ProvenBundle:
    """Verify a bundle. Raises UsageError for one that is not in files; what `verify_bundle` raises."""
    with open_bundle(path, session.limits, verifier, sources.volumes_in) as opened:
        if not opened.volumes and opened.file_size is None:
            next_step = f"make a file of it: timoni-bundler merge {path} -o NAME.tar.zst"
            raise UsageError(str(path), "an unpacked bundle, and a kit carries files", next_step)
        if sources.cut and opened.volumes:
            raise UsageError(str(path), "it is already split into volumes", "leave --volume-size out")
        _give_base(opened, path, sources, session)
        warnings = verify_bundle(opened, session).warnings
        return _described(opened, sources)._replace(warnings=warnings)


def _give_base(opened: Bundle, path: Path, sources: KitSources, session: Session) -> None:
    """Give a compact delta what it reads of its base, if other bundles of the kit have all of it."""
    if not opened.is_compact:
        return
    with ExitStack() as stack, suppress(NotFoundError):
        others = (other for other in sources.bundles if other != path)
        beside = [
            stack.enter_context(open_bundle(other, session.limits, volumes_in=sources.volumes_in))
            for other in others
        ]
        provide_base(opened, session, beside=beside)


def _described(opened: Bundle, sources: KitSources) -> _ProvenBundle:
    assert opened.sha256 is not None, "a file that was read to its end has one"
    files: tuple[Path, ...] = (opened.path,)
    if opened.volumes:
        files = tuple(volume_sets.find_volumes(opened.path, sources.volumes_in))
    about = kit_readme.kit_bundle(opened.id, opened.inventory)
    return _ProvenBundle(opened.path, about, opened.sha256, files, bool(opened.volumes))


def _check_content(bundles: Sequence[_ProvenBundle], sources: KitSources) -> None:
    """Raise UsageError for files that can't be in one folder, and for a bundle that is named twice."""
    seen: dict[str, Path] = {}
    for bundle in bundles:
        if other := seen.get(bundle.about.id):
            raise UsageError(str(bundle.path), f"the same bundle as {other}", "name it once")
        seen[bundle.about.id] = bundle.path
    if sources.volumes_in and not any(bundle.volumes for bundle in bundles):
        raise UsageError("--volumes-in", "no bundle is in volumes", "leave it out")
    names = [kit_readme.README, kit_readme.SUMS, *(path.name for path in sources.archives)]
    names += [kit_readme.SIGNERS] if sources.signers else []
    for bundle in bundles:
        names += [f"{bundle.path.name}.001"] if sources.cut else _names_of(bundle)
    kit_names.check_names(names)


def _names_of(bundle: _ProvenBundle) -> list[str]:
    """Return the names of what a bundle that is not cut brings into the kit. Raises UsageError."""
    for file in bundle.files:
        size = file.stat().st_size
        kit_names.check_size(str(file), size, "split the bundle anew with --volume-size 4GiB")
    beside = [] if bundle.volumes else [sidecar_of(bundle.path).name]
    return [*(file.name for file in bundle.files), *beside]


def _bytes_needed(bundles: Sequence[_ProvenBundle], sources: KitSources) -> int:
    """Return the bytes of a kit's large files."""
    sizes = [sources.cut.need(bundle.size) if sources.cut else bundle.size for bundle in bundles]
    return sum(sizes) + sum(path.stat().st_size for path in sources.archives)


class _KitWriter:
    """A writer of the files of one kit, which remembers their digests."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self._folder = folder
        self._progress = progress
        self.digests: dict[str, str] = {}
        self.size = 0

    def bundle(self, bundle: _ProvenBundle, cut: Cut | None) -> kit_readme.KitBundle:
        """Write a bundle, as it is or cut into volumes; return what the kit says of it."""
        if cut:
            return bundle.about._replace(files=tuple(self._split(bundle, cut)))
        with self._progress.step("copying", len(bundle.files), bundle.size) as step:
            for file in bundle.files:
                self._copy(file, step)
                self._check(bundle, file)
        if not bundle.volumes:
            copy = self._folder / bundle.path.name
            write_sidecar(copy, bundle.sha256)
            self._add(sidecar_of(copy))
        return bundle.about._replace(files=tuple(file.name for file in bundle.files))

    def archive(self, path: Path, archive: kit_names.PortableArchive) -> kit_names.PortableArchive:
        """Write a portable archive."""
        with self._progress.step("copying", 1, path.stat().st_size) as step:
            self._copy(path, step)
        return archive

    def signers(self, path: Path | None) -> bool:
        """Write the allowed signers, if there are any."""
        if path is not None:
            with local_errors(path, "read"):
                self.text(kit_readme.SIGNERS, path.read_bytes())
        return path is not None

    def text(self, name: str, text: str | bytes) -> None:
        """Write a small file."""
        data = text.encode() if isinstance(text, str) else text
        write_whole(self._folder / name, data)
        self._add(self._folder / name)

    def sums(self) -> None:
        """Write the checksums of everything else, as `sha256sum -c` reads them."""
        lines = (f"{digest}  {name}\n" for name, digest in sorted(self.digests.items()))
        write_whole(self._folder / kit_readme.SUMS, "".join(lines).encode())

    def _split(self, bundle: _ProvenBundle, cut: Cut) -> Iterator[str]:
        volumes = split(bundle.path, self._folder, cut, progress=self._progress)
        if volumes[0].set != bundle.sha256:
            raise _changed(bundle.path)
        for file in volume_sets.find_volumes(self._folder / bundle.path.name):
            self._add(file)
            yield file.name

    def _check(self, bundle: _ProvenBundle, file: Path) -> None:
        """Raise IntegrityError for a copy that is not what was verified; of parity, what its trailer says."""
        copy = self._folder / file.name
        if not bundle.volumes and self.digests[file.name] != bundle.sha256:
            raise _changed(file)
        if bundle.volumes and not is_whole(copy, volume_sets.read_trailer(copy)):
            raise IntegrityError(str(file), "this volume is damaged", "carry it again, or `volumes repair`")

    def _copy(self, source: Path, step: Step) -> None:
        digest = hashlib.sha256()
        with local_errors(source, "read"), source.open("rb") as file, whole_file(self._at(source)) as copy:
            while chunk := file.read(MIB):
                digest.update(chunk)
                copy.write(chunk)
                step.advance(size=len(chunk))
        self._note(source.name, digest.hexdigest(), file_size=self._at(source).stat().st_size)
        step.advance(items=1)

    def _at(self, source: Path) -> Path:
        return self._folder / source.name

    def _add(self, path: Path) -> None:
        """Take a file that is there into the checksums."""
        with local_errors(path, "read"), path.open("rb") as file:
            self._note(path.name, hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)

    def _note(self, name: str, digest: str, file_size: int) -> None:
        self.digests[name] = digest
        self.size += file_size


def _changed(path: Path) -> IntegrityError:
    return IntegrityError(str(path), "it changed while it was read", "run the same command again")
