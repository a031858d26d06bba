"""One version as a plain OCI archive, for `timoni mod push` and `skopeo copy oci-archive:`.

A tar of an OCI image layout whose only entry is the version, named by its tag as both want it. What
an index lists goes along. The bytes follow from the version alone, whatever bundle it came from.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from bundler.bundle.bundle_format import END_OF_ARCHIVE, member_header, padding
from bundler.bundle.inventory import REF_NAME, descriptor
from bundler.bundle.member_encoding import Member, member_of
from bundler.bundle.reader import Bundle
from bundler.durable import whole_file
from bundler.errors import IntegrityError, UsageError
from bundler.extractor.find import Extracted, FoundVersion
from bundler.layout import INDEX_FILE, LAYOUT, LAYOUT_FILE
from bundler.limits import Limits
from bundler.oci import OCI_INDEX, BlobSource, Descriptor, Digest, parse_manifest, read_all, strict_json
from bundler.oci.graph import sparse
from bundler.reporting.progress import Step
from bundler.session import Session

ARCHIVE_SUFFIX = ".tar"


def write_archive(
    version: FoundVersion, bundle: Bundle, out: Path, session: Session, *, force: bool
) -> Extracted:
    """Write a version as an archive, every blob verified on the way; the file appears whole or not at all.

    Raises UsageError if `out` exists and is not to be replaced, IntegrityError for what the bundle has
    not whole.
    """
    if out.is_dir() or (os.path.lexists(out) and not force):
        next_step = "choose another name" if out.is_dir() else "choose another name, or --force to replace it"
        raise UsageError(str(out), "it exists already", next_step)
    if out.exists() and out.samefile(bundle.path):
        raise UsageError(str(out), "it is the bundle itself", "choose another name")
    members = sorted(
        map(member_of, _needed(version.manifest, bundle, session.limits)), key=lambda member: member.name
    )
    size = sum(member.blob.size for member in members)
    with session.progress.step("extracting", len(members), size) as step, whole_file(out) as file:
        _write(file.write, version, members, bundle, step)
    return Extracted(version.name, version.manifest.digest, str(out), "oci-archive", len(members), size)


def _write(
    write: Callable[[bytes], object],
    version: FoundVersion,
    members: Iterable[Member],
    source: BlobSource,
    step: Step,
) -> None:
    for name, data in ((LAYOUT_FILE, LAYOUT), (INDEX_FILE, _index(version))):
        write(member_header(name, len(data)) + data + padding(len(data)))
    for member in members:
        write(member.header)
        for chunk in member.stored(source):
            step.advance(size=len(chunk))
            write(chunk)
        write(member.padding)
        step.advance(items=1)
    write(END_OF_ARCHIVE)


def _index(version: FoundVersion) -> bytes:
    entry: dict[str, object] = dict(descriptor(version.manifest))
    if version.tag:
        entry["annotations"] = {REF_NAME: version.tag}
    return strict_json.canonical({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]})


def _needed(root: Descriptor, bundle: Bundle, limits: Limits) -> Iterator[Descriptor]:
    """Yield the manifest and all that it reaches, each blob once. Raises IntegrityError for a gap."""
    carried = {blob.digest: blob for blob in bundle.inventory.content}
    manifests = {blob.digest for blob in bundle.inventory.manifests}
    omitted = frozenset(bundle.inventory.omitted)
    seen: set[Digest] = set()
    waiting = [root]
    while waiting:
        blob = waiting.pop()
        if blob.digest in seen:
            continue
        if blob.digest not in carried:
            cause = f"missing, but {root.digest} needs it"
            raise IntegrityError(f"blob {blob.digest}", cause, "export it again")
        seen.add(blob.digest)
        yield blob
        if blob.digest in manifests:
            data = read_all(bundle, blob)
            manifest = sparse(parse_manifest(data, blob.media_type, blob.digest, limits=limits), omitted)
            waiting += [*manifest.blobs, *manifest.children]
