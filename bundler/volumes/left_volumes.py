"""Volumes that a run left unfinished, read as the beginning of their bundle."""

from collections.abc import Sequence
from itertools import count, takewhile
from pathlib import Path

from bundler.volumes import volume_format
from bundler.volumes.continued_file import left_under
from bundler.volumes.volume_reader import OneFile, WithoutDigests


class LeftVolumes(WithoutDigests):
    """The pieces in a row of volumes, up to the first that is short. BundleBytes."""

    def __init__(self, bundle: Path, volumes: Sequence[Path], piece: int) -> None:
        self.name = bundle.name
        self.volumes = len(volumes)
        self._paths = paths = [left_under(volume) or volume for volume in volumes]
        self._piece = piece
        sizes = [path.stat().st_size for path in paths]
        full = len(list(takewhile(lambda size: size >= piece, sizes)))
        self.size = full * piece + sum(sizes[full : full + 1])
        # One at a time: as many as there may be are open already, to be written.
        self._number, self._file = 0, OneFile(paths[0])

    def read_at(self, size: int, offset: int) -> bytes:
        """Read at most `size` bytes, from as many volumes as they span."""
        data = bytearray()
        while len(data) < size and offset < self.size:
            number, inside = divmod(offset, self._piece)
            part = self._opened(number).read_at(min(size - len(data), self._piece - inside), inside)
            if not part:
                break
            data += part
            offset += len(part)
        return bytes(data)

    def _opened(self, number: int) -> OneFile:
        if number != self._number:
            self._file.close()
            self._number, self._file = number, OneFile(self._paths[number])
        return self._file

    def close(self) -> None:
        """Close the file that is open."""
        self._file.close()


def begun_volumes(bundle: Path) -> list[Path]:
    """Return the names of the data volumes in a row that are there, unfinished or whole."""
    names = (volume_format.file_name(bundle.name, number, volume_format.MOST) for number in count(1))
    return list(takewhile(lambda path: path.is_file() or left_under(path), map(bundle.with_name, names)))
