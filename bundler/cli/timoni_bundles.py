"""Timoni Bundle files on disk: the modules that they name, and the files with other addresses."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bundler.cli.files import text_of
from bundler.errors import BundlerError, ContentError, UsageError
from bundler.oci.reference import Reference, parse_reference
from bundler.timoni.bundle_file import ModuleReference, read_bundle_files, rewritten
from bundler.timoni.places import SourceText
from bundler.wanted import Along, Pin, Selection


def modules_of(paths: Sequence[Path], settings: Sequence[str], along: Along) -> Selection:
    """A pin for every module of a Timoni Bundle; what can't be read is among the problems."""
    files = [SourceText(str(path), text_of(path)) for path in paths]
    found = read_bundle_files(files, runtime_values(settings))
    problems: list[BundlerError] = [
        ContentError(unread.place, f"{unread.what} can't be read: {unread.reason}")
        for unread in found.unreadable
    ]
    pins: list[Pin] = []
    for module in found.modules:
        try:
            pins.append(_pin(module, along))
        except UsageError as error:
            problems.append(ContentError(module.place, f"module of {module.instance}: {error.cause}"))
    return Selection(pins=tuple(pins), problems=tuple(problems))


def _pin(module: ModuleReference, along: Along) -> Pin:
    reference = parse_reference(module.url)
    wanted = Reference(reference.repository, module.version, module.digest)
    # Timoni takes the version's artifact, and refuses it where its digest is another.
    return Pin(wanted, along, strict=module.digest is not None)


def rewritten_file(path: Path, urls: Mapping[str, str]) -> bytes:
    """The file with its modules' urls as they are at the target; `urls` has `host/path` by `host/path`."""
    addresses = {f"oci://{old}": f"oci://{new}" for old, new in urls.items()}
    return rewritten(SourceText(str(path), text_of(path)), addresses).encode()


def runtime_values(settings: Sequence[str]) -> Mapping[str, str]:
    """Values for `@timoni(runtime:...)` attributes: the environment, and what --set says."""
    values = dict(os.environ)
    for setting in settings:
        name, separator, value = setting.partition("=")
        if not separator or not name:
            raise UsageError(f"--set {setting}", "it is not NAME=VALUE")
        values[name] = value
    return values
