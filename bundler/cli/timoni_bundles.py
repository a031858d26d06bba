"""Timoni Bundle files on disk: the modules that they name, and the files with other addresses."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

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


class Rewritten(NamedTuple):
    """Files with other addresses, and a line for each module whose address is still the old one."""

    files: Mapping[Path, bytes]
    warnings: tuple[str, ...]


def rewritten_files(paths: Sequence[Path], names: Mapping[str, str]) -> Rewritten:
    """The files of one Timoni Bundle with its modules' urls as they are at the target.

    `names` has the name at the target of every repository, both as `host/path`.
    """
    urls = {f"oci://{old}": f"oci://{new}" for old, new in names.items()}
    files = [rewritten(SourceText(str(path), text_of(path)), urls) for path in paths]
    again = read_bundle_files(
        [SourceText(str(path), text) for path, text in zip(paths, files, strict=True)], os.environ
    )
    inside = set(urls.values())
    stale = [
        f"{module.place}: {module.instance} still has {module.url}, which was not imported"
        for module in again.modules
        if module.url not in inside
    ]
    stale += [f"{unread.place}: {unread.what} can't be read: {unread.reason}" for unread in again.unreadable]
    contents = {path: text.encode() for path, text in zip(paths, files, strict=True)}
    return Rewritten(contents, tuple(stale))


def runtime_values(settings: Sequence[str]) -> Mapping[str, str]:
    """Values for `@timoni(runtime:...)` attributes: the environment, and what --set says."""
    values = dict(os.environ)
    for setting in settings:
        name, separator, value = setting.partition("=")
        if not separator or not name:
            raise UsageError(f"--set {setting}", "it is not NAME=VALUE", "write --set NAME=VALUE")
        values[name] = value
    return values
