"""An export file's sources as a selection."""

from __future__ import annotations

from pathlib import Path

from bundler.config.values import ExportFile, Source
from bundler.oci.reference import Reference
from bundler.wanted import ALONE, Namespace, Pin, Selection
from bundler.wanted import Source as RepositorySource


def selection_in(file: ExportFile) -> Selection:
    """What the file asks for. Raises UsageError for a Timoni Bundle that can't be read."""
    from bundler.cli.timoni_bundles import modules_of

    parts = [_source(source) for source in file.sources]
    for bundle in file.timoni_bundles:
        settings = tuple(f"{name}={value}" for name, value in bundle.values)
        parts.append(modules_of(tuple(Path(name) for name in bundle.files), settings, ALONE))
    return Selection().joined(*parts)


def _source(source: Source) -> Selection:
    along = source.along
    if source.pattern is not None:
        registry, glob, exclude = source.pattern
        rules = source.rules
        assert rules is not None, "a namespace has no digests"
        return Selection(namespaces=(Namespace(registry, glob, exclude, rules, along),))
    assert source.repository is not None, "it is a repository if it is no pattern"
    pins = tuple(Pin(Reference(source.repository, None, digest), along) for digest in source.digests)
    if source.rules is None:
        return Selection(pins)
    return Selection(pins, (RepositorySource(source.repository, source.rules, along),))
