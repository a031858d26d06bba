"""Where an export goes: a bundle file, a pipe, or the store itself as a directory.

A file that is there already is replaced only if nothing in it would be lost, or by `force`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bundler.bundle.bundle_output import BundleOutput
from bundler.bundle.inventory import BUNDLE_SUFFIX
from bundler.errors import UsageError
from bundler.exporter.output.output_directory import DirectoryOutput
from bundler.exporter.output.output_file import STANDARD_OUTPUT, FileOutput, StreamOutput
from bundler.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from bundler.trust.bundle_signing import Signing
    from bundler.volumes.volume_writer import Cut


def output_to(
    text: str,
    *,
    force: bool = False,
    cut: Cut | None = None,
    signing: Signing | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> BundleOutput:
    """What `-o` means: a bundle by its suffix, `-` for standard output, anything else a directory.

    With `cut`, the bundle is written as volumes. Raises UsageError for volumes of anything else.
    """
    path = Path(text)
    is_bundle = path.name.endswith(BUNDLE_SUFFIX)
    if cut is not None:
        if not is_bundle:
            raise UsageError(
                text,
                "only a bundle file can be split into volumes",
                f"use a name that ends in {BUNDLE_SUFFIX}",
            )
        from bundler.exporter.output.output_volumes import VolumesOutput

        return VolumesOutput(path, cut, limits, signing)
    if text == "-":
        return StreamOutput(STANDARD_OUTPUT, signing)
    if is_bundle:
        return FileOutput(path, force, limits, signing)
    return DirectoryOutput(path, force, limits, signing)
