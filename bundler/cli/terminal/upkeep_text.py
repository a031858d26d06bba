"""The text of `volumes`, `store` and `kit`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.errors import printable
from bundler.oci import shortened
from bundler.reporting.progress import counted, size_text

if TYPE_CHECKING:
    from bundler.deltas.garbage import Garbage
    from bundler.deltas.store_list import ListedBundle, StoreList
    from bundler.kit.kit_folder import Kit
    from bundler.volumes.repair import VolumeCheck
    from bundler.volumes.volume_format import Volume

_LONGEST = 4096
"""Characters of a path."""


def split_text(bundle: Path, volumes: Sequence[Volume], only: int | None) -> str:
    """Return one line: which volumes `volumes split` wrote; with `only`, the name of that one."""
    if only:
        return f"{bundle}.*: {volumes[only - 1].name}"
    parity = sum(volume.is_parity for volume in volumes)
    return f"{bundle}.*: {counted(len(volumes), 'volume')}, {parity} of them parity"


def checked_text(checked: VolumeCheck, broken_off: Iterable[Path]) -> str:
    """Return a line for each file of the set: intact, damaged, not a volume, cut short."""
    lines = [
        f"{printable(file, _LONGEST)}: {volume.name} {'is damaged' if file in checked.damaged else 'OK'}"
        for file, volume in checked.volumes.items()
    ]
    lines += [f"{printable(file, _LONGEST)}: {error.cause}" for file, error in checked.volumes.wrong.items()]
    lines += [
        f"{printable(file, _LONGEST)}: its end is missing: the copy was interrupted" for file in broken_off
    ]
    return "\n".join(lines)


def repaired_text(path: Path, made: Sequence[Path]) -> str:
    """Return a line for each volume that was made again."""
    if not made:
        return f"{path}: nothing is missing"
    return "\n".join(f"{printable(file, _LONGEST)}: made again" for file in made)


def kit_text(folder: Path, kit: Kit) -> str:
    """Return what is in a kit: the sum, a line for each bundle in the order of import, what to do next."""
    from bundler.kit.kit_readme import README, bases_elsewhere

    size = f"{counted(len(kit.files), 'file')}, {size_text(kit.contents.size)}"
    lines = [
        f"  {bundle.files[0]}: {bundle.kind}, {counted(bundle.tags, 'tag')}"
        + "".join(f", needs {base}" for base in bases_elsewhere(bundle, kit.contents.bundles))
        for bundle in kit.contents.bundles
    ]
    return "\n".join([f"{folder}: {size}", *lines, f"{folder / README} says what to do with it"])


def garbage_text(path: Path, garbage: Garbage, *, deleted: bool) -> str:
    """Return what `store gc` removed, or would remove: the sum, then a line per forgotten bundle."""
    done = "removed" if deleted else "not needed (--delete removes them)"
    lines = [f"{path}: {counted(len(garbage.blobs), 'blob')} ({size_text(garbage.size)}) {done}"]
    forgotten = "forgotten" if deleted else "would be forgotten"
    return "\n".join([*lines, *(f"{path}: bundle {entry.id} {forgotten}" for entry in garbage.forgotten)])


def store_text(listed: StoreList) -> str:
    """Return a table of the bundles that a store made, oldest first."""
    if not listed.bundles:
        return f"{listed.store}: no bundle was made from it"
    head = ("JOB", "NO", "KIND", "TIME", "TAGS", "SIZE", "ID", "BUILDS ON", "NEEDED BY", "FILE")
    rows = [head, *map(_store_row, listed.bundles)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    )


def _store_row(bundle: ListedBundle) -> tuple[str, ...]:
    place = printable(bundle.path, _LONGEST) if bundle.path else "(pipe)"
    return (
        bundle.job,
        str(bundle.number),
        bundle.kind or "?",
        bundle.time,
        "?" if bundle.tags is None else str(bundle.tags),
        "-" if bundle.bytes is None else size_text(bundle.bytes),
        shortened(bundle.id),
        " ".join(map(shortened, bundle.base)) or "-",
        " ".join(map(shortened, bundle.needed_by)) or "-",
        place if bundle.present or not bundle.path else f"{place} (not there)",
    )


def damage_text(path: Path, damaged: int, *, removed: bool) -> str:
    """Return one line: how many blobs of a store are damaged."""
    state = f"{counted(damaged, 'damaged blob')}{', removed' if removed else ''}" if damaged else "OK"
    return f"{path}: {state}"
