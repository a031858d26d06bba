"""The bytes of a bundle in one file or in the volumes of a set, read in place."""

import hashlib
import os
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, Self

from bundler.durable import local_errors
from bundler.errors import IntegrityError
from bundler.limits import Limits
from bundler.oci import CHUNK
from bundler.volumes.volume_format import Volume, bundle_name, needed


class BundleBytes(Protocol):
    """Bytes that can be read at any offset."""

    name: str
    """Name of the bundle, without a folder."""
    size: int
    volumes: int
    """Number of data volumes; 0 for one file."""

    def read_at(self, size: int, offset: int) -> bytes:
        """Read at most `size` bytes; fewer only at the end. Raises LocalError."""

    def close(self) -> None:
        """Close the files."""

    def diagnose(self) -> None:
        """Raise IntegrityError with what is damaged, if that can be said more closely."""

    def checking(self) -> Callable[[bytes], object]:
        """Return a function that takes all bytes in order, for `check` to know the digests of their parts."""

    def check(self, sha256: str) -> None:
        """Raise IntegrityError if all bytes together, or a part of them, should have another digest."""


class WithoutDigests:
    """Bytes that state no digests, neither of themselves nor of their parts: the checks of `BundleBytes`."""

    def diagnose(self) -> None:
        """Do nothing."""

    def checking(self) -> Callable[[bytes], object]:
        """Return a function that does nothing."""
        return len

    def check(self, sha256: str) -> None:
        """Do nothing."""


class OneFile(WithoutDigests):
    """A bundle in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = path.name
        self.volumes = 0
        with local_errors(path, "open"):
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with local_errors(path, "look at"):
            self.size = os.fstat(self._descriptor).st_size

    def read_at(self, size: int, offset: int) -> bytes:
        """Read at most `size` bytes."""
        with local_errors(self._path, "read"):
            return os.pread(self._descriptor, size, offset)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class PiecedBundle:
    """A bundle that is read in place from its pieces, in whichever form. It closes them at its end."""

    def __init__(self, path: Path, pieces: BundleBytes, limits: Limits) -> None:
        self.path = path
        self.name = pieces.name
        self.sha256: str | None = None
        self.file_size: int | None = pieces.size
        self.volumes = pieces.volumes
        self._pieces = pieces
        self._limits = limits

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pieces.close()


@contextmanager
def opened_files(paths: Sequence[Path]) -> Iterator[list[OneFile]]:
    """Yield files opened together, and close them."""
    files: list[OneFile] = []
    try:
        for path in paths:
            files.append(OneFile(path))
        yield files
    finally:
        for file in files:
            file.close()


class VolumeSet:
    """A bundle in volumes; all data volumes exist, in their full lengths."""

    def __init__(self, volumes: Mapping[Path, Volume]) -> None:
        data = {path: volume for path, volume in volumes.items() if not volume.is_parity}
        self._volumes = sorted(data.items(), key=lambda item: item[1].number)
        first, volume = self._volumes[0]
        self.name = bundle_name(first.name, volume)
        self.size = volume.total
        self.volumes = volume.data
        self._starts = [volume.offset for _, volume in self._volumes]
        self._files: list[OneFile] = []
        self._with_parity = len(volumes) - len(data)
        self._digests = PieceDigests(())
        try:
            self._files += (OneFile(path) for path, _ in self._volumes)
        except BaseException:
            self.close()
            raise

    def read_at(self, size: int, offset: int) -> bytes:
        """Read at most `size` bytes, from as many volumes as they span."""
        data = bytearray()
        while len(data) < size and offset < self.size:
            number = bisect_right(self._starts, offset) - 1
            volume = self._volumes[number][1]
            inside = offset - volume.offset
            part = self._files[number].read_at(min(size - len(data), volume.size - inside), inside)
            if not part:
                break
            data += part
            offset += len(part)
        return bytes(data)

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def diagnose(self) -> None:
        """Hash every piece. Raises IntegrityError that names the damaged volumes."""
        self._refuse([volume.number for path, volume in self._volumes if not is_whole(path, volume)])

    def checking(self) -> Callable[[bytes], object]:
        """Return a function that takes all bytes in order."""
        self._digests = PieceDigests([volume for _, volume in self._volumes])
        return self._digests.update

    def check(self, sha256: str) -> None:
        """Raise IntegrityError unless `sha256` is that of the set, and every trailer that of its piece."""
        first, volume = self._volumes[0]
        if sha256 != volume.set:
            cause = f"the volumes say that they make {volume.set}, but they make {sha256}"
            raise IntegrityError(str(first.parent), cause, "carry the volumes again")
        self._refuse(self._digests.wrong())

    def _refuse(self, wrong: Collection[int]) -> None:
        if wrong:
            volumes = [volume for _, volume in self._volumes]
            raise lacking(self._volumes[0][0], volumes, wrong, self._with_parity)


class PieceDigests:
    """Digests of the pieces of a set, computed while its bytes pass in order."""

    def __init__(self, volumes: Sequence[Volume]) -> None:
        self._volumes = volumes
        self._hashes = [hashlib.sha256() for _ in volumes]
        self._offset = 0

    def update(self, data: bytes) -> None:
        """Take the next bytes of the bundle."""
        view = memoryview(data)
        while view:
            number = self._offset // self._volumes[0].piece
            end = self._volumes[number].offset + self._volumes[number].size
            part = view[: end - self._offset]
            self._hashes[number].update(part)
            self._offset += len(part)
            view = view[len(part) :]

    def wrong(self) -> list[int]:
        """Return the numbers of the volumes whose trailer states another digest."""
        pairs = zip(self._volumes, self._hashes, strict=True)
        return [volume.number for volume, digest in pairs if digest.hexdigest() != volume.sha256]


def is_whole(path: Path, volume: Volume) -> bool:
    """Return True if a volume's piece has its digest."""
    digest = hashlib.sha256()
    for chunk in piece_of(path, volume):
        digest.update(chunk)
    return digest.hexdigest() == volume.sha256


def piece_of(path: Path, volume: Volume) -> Iterator[bytes]:
    """Yield the bytes of a volume's piece."""
    return chunks_of(path, volume.size)


def chunks_of(path: Path, size: int) -> Iterator[bytes]:
    """Yield the first `size` bytes of a file."""
    left = size
    with local_errors(path, "read"), path.open("rb") as file:
        while left and (chunk := file.read(min(left, CHUNK))):
            left -= len(chunk)
            yield chunk


def lacking(path: Path, volumes: Sequence[Volume], wrong: Collection[int], parity: int) -> IntegrityError:
    """Return the error for a set that lacks data volumes, with `parity` good parity volumes."""
    data = volumes[0].data
    existing = {volume.number for volume in volumes}
    absent = [number for number in range(1, data + 1) if number not in existing]
    damaged = [number for number in range(1, data + 1) if number in wrong]
    states = [state for state, numbers in (("missing", absent), ("damaged", damaged)) if numbers]
    count = len(absent) + len(damaged)
    verb, them = ("is", "it") if count == 1 else ("are", "them")
    if parity >= count:
        next_step = f"`timoni-bundler volumes repair` restores {them} from parity"
    elif parity:
        next_step = (
            f"carry {count - parity} of them again: `timoni-bundler volumes repair` restores the others"
        )
    else:
        next_step = f"carry {them} again, or make {them} again: `timoni-bundler volumes split --only`"
    cause = f"{needed([*absent, *damaged], data)} {verb} {' or '.join(states)}; the others are here"
    return IntegrityError(str(path.parent), cause, next_step)
