"""Several export files as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from bundler.config.values import ExportFile, RegistryChoices
from bundler.errors import CollectedError, UsageError
from bundler.oci.grammar import camel

_SERIES = ("base", "immutable", "keep", "keep_days")
_SETTINGS = ("output", "store", "force", "report", "jobs", "lock", "on_drift", *_SERIES)
_REGISTRY_SETTINGS = ("ca_file", "creds_file", "proxy")


def merged(files: Sequence[ExportFile]) -> ExportFile:
    """What all files say together: lists one after the other, every setting from where it is said.

    Raises UsageError when two files say different things about one setting.
    """
    settings = {key: [(file.name, getattr(file, key)) for file in files] for key in _SETTINGS}
    reaching = {
        key: [(file.name, getattr(file.registries, key)) for file in files] for key in _REGISTRY_SETTINGS
    }
    conflicts = [*_conflicts("", settings), *_conflicts("registries.", reaching)]
    if conflicts:
        raise conflicts[0] if len(conflicts) == 1 else CollectedError("export files", conflicts)
    return ExportFile(
        name=", ".join(file.name for file in files),
        sources=tuple(chain.from_iterable(file.sources for file in files)),
        timoni_bundles=tuple(chain.from_iterable(file.timoni_bundles for file in files)),
        registries=RegistryChoices(
            plain_http=tuple(dict.fromkeys(chain(*(file.registries.plain_http for file in files)))),
            token_hosts=tuple(dict.fromkeys(chain(*(file.registries.token_hosts for file in files)))),
            **_said(reaching),
        ),
        **_said(settings),
    )


def _said(settings: dict[str, list[tuple[str, Any]]]) -> dict[str, Any]:
    return {
        key: next((value for _, value in said if value is not None), None) for key, said in settings.items()
    }


def _conflicts(above: str, settings: dict[str, list[tuple[str, Any]]]) -> Iterator[UsageError]:
    for key, said in settings.items():
        (first, value), *others = [pair for pair in said if pair[1] is not None] or [("", None)]
        for name, other in others:
            if other != value:
                cause = f"{above}{camel(key)}: {_written(other)}, but {first} says {_written(value)}"
                yield UsageError(name, cause, "say it in one of them only")


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
