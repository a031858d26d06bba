"""A statement and its signatures put into a bundle that is there already."""

from __future__ import annotations

from bundler.bundle.inventory import bundle_id, encode
from bundler.bundle.reader import Bundle
from bundler.bundle.seal_files import write_seal
from bundler.bundle.sidecar import check_sidecar, remove_sidecar, write_sidecar
from bundler.bundle.writer import write_bundle
from bundler.durable import whole_file
from bundler.errors import UsageError
from bundler.progress import SILENCE, Progress
from bundler.trust.sealed import Sealed


def seal_bundle(bundle: Bundle, sealed: Sealed, progress: Progress = SILENCE) -> None:
    """Write the statement and its signatures into the bundle; its id and its content stay.

    A file is written anew and replaced when it is whole; with nothing to change, only a sidecar that a
    killed run did not come to write. Raises UsageError for a bundle in volumes, or with
    more in its inventory than this program knows, and what the bundle raises for damaged content.
    """
    refuse_volumes(bundle)
    if sealed == bundle.sealed:
        if bundle.sha256 and not check_sidecar(bundle.path, bundle.sha256):
            write_sidecar(bundle.path, bundle.sha256)
        return
    if bundle.path.is_dir():
        write_seal(bundle.path, sealed)
        return
    if bundle_id(encode(bundle.inventory)) != bundle.id:
        cause = "a newer timoni-bundler wrote it, and this one would lose what that one said"
        raise UsageError(str(bundle.path), cause, "sign it with the newer one")
    blobs = list(bundle.inventory.content)
    with (
        progress.step("sealing", len(blobs), sum(blob.size for blob in blobs)) as step,
        whole_file(bundle.path) as file,
    ):
        written = write_bundle(file.write, bundle.inventory, bundle, step, sealed)
        # An old sidecar must not speak of the new file.
        remove_sidecar(bundle.path)
    write_sidecar(bundle.path, written.sha256)


def refuse_volumes(bundle: Bundle) -> None:
    """Raise UsageError for a bundle in volumes: each of them names the digest of what is unsigned."""
    if bundle.volumes:
        next_step = "sign the bundle before it is cut, or export with --sign-key and --volume-size"
        raise UsageError(str(bundle.path), "it is in volumes", next_step)
