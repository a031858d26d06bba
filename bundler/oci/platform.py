"""Platforms of an index, and which of its children a wish for some of them keeps.

Source: image-spec 1.1, image-index.md, "platform"; Docker buildkit, attestation storage.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bundler.errors import ContentError, printable
from bundler.oci.digest import Digest
from bundler.oci.manifest import Manifest

_GRAMMAR = "([a-z0-9._-]+)/([a-z0-9._-]+)(?:/([a-z0-9._-]+))?"

_ATTACHED_TO = "vnd.docker.reference.digest"

_UNKNOWN = "unknown"


class Platform(NamedTuple):
    """`linux/amd64`, or `linux/arm/v7`; without variant, any variant."""

    os: str
    architecture: str
    variant: str | None = None

    def __str__(self) -> str:
        return "/".join(part for part in self if part)

    def takes(self, other: Platform) -> bool:
        """Return whether `other` is wanted by this platform."""
        return self[:2] == other[:2] and self.variant in (None, other.variant)


def parse_platform(text: str) -> Platform:
    """Raise ValueError unless it is OS/ARCHITECTURE[/VARIANT]."""
    if match := re.fullmatch(_GRAMMAR, text):
        return Platform(match[1], match[2], match[3])
    raise ValueError(f"{printable(repr(text), 80)} is not a platform (linux/amd64, linux/arm/v7)")


def sparse_index(index: Manifest, platforms: Sequence[Platform]) -> Manifest:
    """Return the index with the children that these platforms need; its bytes stay. No platforms: all.

    Kept are children for a wished platform, those that name no platform, and what is attached to a
    child that is kept. Raises ContentError when the index has platforms, and none that is wished for.
    """
    if not platforms or not index.children:
        return index
    entries = json.loads(index.data)["manifests"]
    entry_platforms = [_platform(entry) for entry in entries]
    named = [platform for platform in entry_platforms if platform and platform.os != _UNKNOWN]
    kept = {
        entry["digest"]
        for entry, platform in zip(entries, entry_platforms, strict=True)
        if platform is None or any(wish.takes(platform) for wish in platforms)
    }
    if named and not any(wish.takes(platform) for wish in platforms for platform in named):
        cause = f"it has no {_listed(platforms)}, only {_listed(named)}"
        raise ContentError(f"index {index.blob.digest}", cause, "choose another platform")
    kept |= {
        entry["digest"]
        for entry, platform in zip(entries, entry_platforms, strict=True)
        if platform and platform.os == _UNKNOWN and _attached_to(entry) in {*kept, ""}
    }
    return index._replace(children=tuple(child for child in index.children if child.digest in kept))


def attestations(index: Manifest) -> set[Digest]:
    """Return the children of an index that BuildKit attaches to others: their platform is unknown."""
    entries = json.loads(index.data)["manifests"] if index.children else ()
    unknown = (entry for entry in entries if (platform := _platform(entry)) and platform.os == _UNKNOWN)
    return {Digest(entry["digest"]) for entry in unknown}


def _platform(entry: Mapping[str, Any]) -> Platform | None:
    value = entry.get("platform")
    if not isinstance(value, dict):
        return None
    os, architecture, variant = (value.get(part) for part in ("os", "architecture", "variant"))
    return Platform(str(os).lower(), str(architecture).lower(), str(variant).lower() if variant else None)


def _attached_to(entry: Mapping[str, Any]) -> str:
    return str((entry.get("annotations") or {}).get(_ATTACHED_TO, ""))


def _listed(platforms: Iterable[Platform]) -> str:
    return ", ".join(sorted({str(platform) for platform in platforms}))
