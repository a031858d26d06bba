"""The digest beside a bundle (`NAME.tar.zst.sha256`), and the signed statement inside it."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from bundler import durable
from bundler.bundle.inventory import bundle_id, encode
from bundler.bundle.writer import WrittenBundle, write_bundle
from bundler.durable import WholeFile
from bundler.errors import IntegrityError, TrustError, UsageError
from bundler.file_system import LONGEST_NAME, LocalWarning, fits, followed
from bundler.limits import KIB
from bundler.reporting.progress import SILENCE, Progress, Step

if TYPE_CHECKING:
    from bundler.bundle.reader import Bundle
    from bundler.trust.statement import SignedStatement, Statement

_LINE = r"(\\?)([0-9a-fA-F]{64})(?: [ *](.*))?"

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
"""The escapes that sha256sum writes for characters of a name, in this order."""

_UNESCAPED = {escaped: character for character, escaped in _ESCAPES.items()}

_ESCAPED = r"\\."

_LONGEST = 64 * KIB


def sidecar_of(bundle: Path) -> Path:
    """Return the path of a bundle's sidecar."""
    return bundle.with_name(bundle.name + ".sha256")


def write_sidecar(bundle: Path, sha256: str) -> None:
    """Write the sidecar, whole or not at all; warn where its name would be too long."""
    if not fits(sidecar_of(bundle).name):
        what = f"{bundle}: no .sha256 beside it, because its name would be longer than {LONGEST_NAME} bytes"
        warnings.warn(what, LocalWarning, stacklevel=2)
        return
    name = bundle.name
    for character, escaped in _ESCAPES.items():
        name = name.replace(character, escaped)
    mark = "" if name == bundle.name else "\\"
    durable.write_whole(sidecar_of(bundle), os.fsencode(f"{mark}{sha256}  {name}\n"))


def remove_sidecar(bundle: Path) -> None:
    """Remove the sidecar durably, before the bundle that it describes is replaced."""
    path = sidecar_of(bundle)
    with durable.local_errors(path, "follow"):
        path = followed(path) if fits(path.name) else path
    if os.path.lexists(path):
        durable.remove_if_there(path)
        durable.sync_directory(path.parent)


def check_sidecar(bundle: Path, sha256: str) -> bool:
    """Return True if there is a sidecar; it must state `sha256`. Raises IntegrityError, LocalError.

    Of several lines those count that name the bundle; for a renamed bundle, the first. Any line ends will do.
    """
    path = sidecar_of(bundle)
    data = durable.read_if_there(path, _LONGEST + 1) if fits(path.name) else None
    if data is None:
        return False
    if len(data) > _LONGEST:
        cause = f"larger than the limit of {_LONGEST:,} bytes"
        raise IntegrityError(str(path), cause, "carry it again, or remove it")
    text = os.fsdecode(data).strip()
    lines = [line for part in re.split("\r\n|\n|\r", text) if (line := re.fullmatch(_LINE, part))]
    if not lines:
        raise IntegrityError(
            str(path), "it has no line in the format of sha256sum", "carry it again, or remove it"
        )
    for line in [line for line in lines if _file_of(line) == bundle.name] or lines[:1]:
        if (digest := line[2].lower()) != sha256:
            cause = f"it says {digest}, the bundle has {sha256}"
            next_step = "carry both files again; or run this again, if the bundle was being replaced"
            raise IntegrityError(str(path), cause, next_step)
    return True


def _file_of(line: re.Match[str]) -> str:
    """Return the name that a line states, without its folder."""
    name = line[3] or ""
    if line[1]:
        name = re.sub(_ESCAPED, lambda match: _UNESCAPED.get(match[0], match[0]), name)
    return name.rpartition("/")[2]


def seal_bundle(
    bundle: Bundle, signed: SignedStatement, progress: Progress = SILENCE, *, other_job: bool = False
) -> None:
    """Write the statement and its signatures into the bundle; its id and its content stay.

    A file is written anew and replaced when it is whole; with nothing to change, only a sidecar that a
    killed run did not come to write. The statement that is there is replaced by one of the same job with
    no lower number; `other_job` lets the job change.

    Raises: TrustError for another job or a lower number. UsageError for a bundle in volumes, or with
    more in its inventory than this program knows. What the bundle raises for damaged content.
    """
    refuse_volumes(bundle)
    if bundle.signed_statement:
        _check_order(bundle.signed_statement.statement, signed.statement, other_job=other_job)
    if signed == bundle.signed_statement:
        if bundle.sha256 and not check_sidecar(bundle.path, bundle.sha256):
            write_sidecar(bundle.path, bundle.sha256)
        return
    if bundle.path.is_dir():
        from bundler.bundle.unpacked import write_seal

        write_seal(bundle.path, signed)
        return
    blobs = list(bundle.inventory.content)
    with (
        progress.step("sealing", len(blobs), sum(blob.size for blob in blobs)) as step,
        durable.whole_file(bundle.path) as file,
    ):
        written = _written_with(bundle, signed, file, step)
        # An old sidecar must not speak of the new file.
        remove_sidecar(bundle.path)
    write_sidecar(bundle.path, written.sha256)


def _written_with(bundle: Bundle, signed: SignedStatement, file: WholeFile, step: Step) -> WrittenBundle:
    """Write a bundle file with another statement, in the form that it has."""
    if bundle.is_compact:
        from bundler.bundle.compacted.compact_copy import write_with_statement

        return write_with_statement(file.write, bundle, signed)
    if bundle_id(encode(bundle.inventory)) != bundle.id:
        cause = "it has fields of a newer timoni-bundler, which would be lost"
        raise UsageError(str(bundle.path), cause, "sign it with the newer one")
    return write_bundle(file.write, bundle.inventory, bundle, step, signed)


def _check_order(replaced: Statement, statement: Statement, *, other_job: bool) -> None:
    if replaced.job != statement.job and not other_job:
        cause = f"it is signed for the job {replaced.job}, and would become one of {statement.job}"
        raise TrustError("statement", cause, "keep the job, or say that it changes")
    from bundler.trust.bundle_signing import refuse_lower

    refuse_lower(replaced, statement.job, statement.sequence)


def refuse_volumes(bundle: Bundle) -> None:
    """Raise UsageError for a bundle in volumes: each of them names the digest of what is unsigned."""
    if bundle.volumes:
        next_step = "sign the bundle before it is cut, or export with --sign-key and --volume-size"
        raise UsageError(str(bundle.path), "it is in volumes", next_step)
