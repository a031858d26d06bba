"""A store looked after: what nothing needs any more, and what is damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from bundler.durable import local_errors, remove_if_there, sync_directory
from bundler.errors import BundlerError, IntegrityError
from bundler.oci.content import CHUNK, Descriptor, Digest, Verifier
from bundler.progress import Progress
from bundler.store.content import Store
from bundler.workers import each


class Held(NamedTuple):
    """One blob on disk, by its name."""

    digest: Digest
    path: Path
    size: int


def held(store: Store) -> Iterator[Held]:
    """Every file under `blobs/` that is named like a blob."""
    folder = store.path / "blobs"
    with local_errors(folder, "look at"):
        for path in sorted(folder.glob("*/*")):
            name = f"{path.parent.name}:{path.name}"
            if Digest.grammar.fullmatch(name) and path.is_file() and not path.is_symlink():
                yield Held(Digest(name), path, path.stat().st_size)


def unneeded(store: Store, needed: Callable[[Digest], bool]) -> list[Held]:
    """What nothing needs."""
    return [blob for blob in held(store) if not needed(blob.digest)]


def remove(store: Store, blobs: Iterable[Held]) -> None:
    """Remove blobs, durably. The store's lock is held by the caller."""
    folders: dict[Path, None] = {}
    for blob in blobs:
        remove_if_there(blob.path)
        folders[blob.path.parent] = None
    for folder in folders:
        sync_directory(folder)


def damaged(store: Store, *, jobs: int, progress: Progress) -> list[tuple[Held, BundlerError]]:
    """Every blob whose bytes are not those of its name: each is read whole."""
    blobs = list(held(store))
    found: list[tuple[Held, BundlerError]] = []
    with progress.step("checking", len(blobs), sum(blob.size for blob in blobs)) as step:
        for blob, result in each(blobs, _check, jobs=jobs):
            step.advance(items=1, size=blob.size)
            if isinstance(result, BundlerError):
                found.append((blob, result))
    return sorted(found, key=lambda item: item[0].digest)


def _check(blob: Held) -> None:
    verifier = Verifier(Descriptor("", blob.digest, blob.size))
    with local_errors(blob.path, "read"), blob.path.open("rb") as file:
        while chunk := file.read(CHUNK):
            verifier.update(chunk)
    try:
        verifier.finish()
    except IntegrityError as error:
        raise IntegrityError(
            str(blob.path), error.cause, "see `timoni-bundler store check --remove`"
        ) from None
