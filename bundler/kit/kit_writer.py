"""The files of a kit, written with their digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.bundle.sealing import sidecar_of, write_sidecar
from bundler.durable import local_errors, whole_file, write_whole
from bundler.errors import IntegrityError
from bundler.kit.kit_bundle import KitBundle
from bundler.kit.kit_readme import SIGNERS, SUMS
from bundler.kit.kit_sources import ProvenBundle
from bundler.kit.portable_archive import PortableArchive
from bundler.limits import MIB
from bundler.reporting.progress import Progress, Step
from bundler.volumes.volume_reader import is_whole
from bundler.volumes.volume_sets import find_volumes, read_trailer
from bundler.volumes.volume_writer import split

if TYPE_CHECKING:
    from bundler.volumes.volume_writer import Cut


class KitWriter:
    """Writes the files of one kit, and remembers their digests."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self._folder = folder
        self._progress = progress
        self.digests: dict[str, str] = {}
        self.size = 0

    def bundle(self, bundle: ProvenBundle, cut: Cut | None) -> KitBundle:
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

    def archive(self, path: Path, archive: PortableArchive) -> PortableArchive:
        """Write a portable archive."""
        with self._progress.step("copying", 1, path.stat().st_size) as step:
            self._copy(path, step)
        return archive

    def signers(self, path: Path | None) -> bool:
        """Write the allowed signers, if there are any."""
        if path is not None:
            with local_errors(path, "read"):
                self.text(SIGNERS, path.read_bytes())
        return path is not None

    def text(self, name: str, text: str | bytes) -> None:
        """Write a small file."""
        data = text.encode() if isinstance(text, str) else text
        write_whole(self._folder / name, data)
        self._add(self._folder / name)

    def sums(self) -> None:
        """Write the checksums of everything else, as `sha256sum -c` reads them."""
        lines = (f"{digest}  {name}\n" for name, digest in sorted(self.digests.items()))
        write_whole(self._folder / SUMS, "".join(lines).encode())

    def _split(self, bundle: ProvenBundle, cut: Cut) -> Iterator[str]:
        volumes = split(bundle.path, self._folder, cut, progress=self._progress)
        if volumes[0].set != bundle.sha256:
            raise _changed(bundle.path)
        for file in find_volumes(self._folder / bundle.path.name):
            self._add(file)
            yield file.name

    def _check(self, bundle: ProvenBundle, file: Path) -> None:
        """Raise IntegrityError for a copy that is not what was verified; of parity, what its trailer says."""
        copy = self._folder / file.name
        if not bundle.volumes and self.digests[file.name] != bundle.sha256:
            raise _changed(file)
        if bundle.volumes and not is_whole(copy, read_trailer(copy)):
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
