"""Manifests that belong to another: how they are named, and what they are good for.

Two ways lead from a manifest to its signatures, attestations and SBOMs. A referrer names its subject,
and is found by the Referrers API, or in the index under the subject's fallback tag where a registry
lacks that API (distribution-spec 1.1, "Referrers Tag Schema"). cosign 2 uses tags derived from the
digest instead (sigstore/cosign, SIGNATURE_SPEC.md).
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from bundler.oci import Descriptor, Digest, Manifests, Tag, reached, sha256, strict_json
from bundler.oci.manifest import EMPTY, INDEXES, OCI_INDEX, OCTETS, Manifest, parse_manifest

SIGNATURE, SBOM, ATTESTATION = "signature", "sbom", "attestation"

KINDS = (SIGNATURE, SBOM, ATTESTATION)
"""The kinds of attachment that a tag can be required to have."""

_COSIGN = {".sig": SIGNATURE, ".att": ATTESTATION, ".sbom": SBOM}

_FALLBACK = re.compile("(?:sha256|sha512)-[a-f0-9]{64}")

_ANY = re.compile(rf"{_FALLBACK.pattern}(?:\.sig|\.att|\.sbom)?")

_SIGSTORE_BUNDLE = "application/vnd.dev.sigstore.bundle"

_PREDICATE = "dev.sigstore.bundle.predicateType"

_SIGNED = "https://sigstore.dev/cosign/sign/"

_SIGNATURE_TYPES = ("application/vnd.cncf.notary.signature", "application/vnd.dev.cosign.artifact.sig.")

_SBOM_WORDS = ("spdx", "cyclonedx", "syft")

_EMPTY_OBJECT = sha256(b"{}")

_ATTESTATION_TYPES = ("application/vnd.in-toto", "application/vnd.dev.cosign.artifact.att.")


def fallback_tag(subject: Digest) -> Tag:
    """Return the tag whose index lists the referrers of `subject` where there is no Referrers API."""
    return Tag(f"{subject.algorithm}-{subject.encoded[:64]}")


def attachment_tags(subject: Digest) -> tuple[Tag, ...]:
    """Return every tag that may hold something of `subject`: the fallback tag, and cosign's."""
    fallback = fallback_tag(subject)
    return (fallback, *(Tag(fallback + suffix) for suffix in _COSIGN))


def is_fallback_tag(tag: str | None) -> bool:
    """Return True if a tag is a subject's fallback tag."""
    return tag is not None and _FALLBACK.fullmatch(tag) is not None


def is_attachment_tag(tag: str | None) -> bool:
    """Return True if a tag is named after a digest: it holds what belongs to another manifest."""
    return tag is not None and _ANY.fullmatch(tag) is not None


def is_referrers_index(manifest: Manifest, subject: Digest | None = None) -> bool:
    """Return True if the manifest under a fallback tag is a list of referrers.

    Some registries take such a tag for the digest itself, and answer with the subject (GitLab).
    """
    return manifest.blob.media_type in INDEXES and manifest.blob.digest != subject


def kinds_of(manifest: Manifest, tag: str | None = None) -> frozenset[str]:
    """Return what an attached manifest is: `signature`, `sbom`, `attestation`, several, or nothing.

    A manifest without content is nothing, whatever it is called.
    """
    if not has_content(manifest) and not manifest.children:
        return frozenset()
    suffix = (tag or "").rpartition(".")[2]
    if kind := _COSIGN.get(f".{suffix}") if is_attachment_tag(tag) else None:
        return frozenset({kind})
    artifact_type = artifact_type_of(manifest)
    predicate = manifest.annotations.get(_PREDICATE, "")
    if artifact_type.startswith(_SIGSTORE_BUNDLE):
        if not predicate or predicate.startswith(_SIGNED):
            return frozenset({SIGNATURE})
        return frozenset({ATTESTATION, *_sbom(predicate)})
    if artifact_type.startswith(_SIGNATURE_TYPES):
        return frozenset({SIGNATURE})
    attestation = {ATTESTATION} if artifact_type.startswith(_ATTESTATION_TYPES) else set()
    return frozenset({*attestation, *_sbom(artifact_type), *_sbom(predicate)})


_MODULE = "application/vnd.timoni."

_IMAGE = ("application/vnd.oci.image.", "application/vnd.docker.")
"""The prefixes of the media types of configs and layers of images. Source: moby, distribution/registry.go."""


def is_pullable(manifest: Manifest, *, listed: bool = False) -> bool:
    """Return True for what a client can pull as a module or an image; it may ignore case in media types.

    `listed`: in an index. There, a file that oras attached with its default type is none: no client takes
    the empty config for that of an image.
    """
    layers = [layer.blob.media_type.lower() for layer in manifest.layers]
    config = manifest.config.blob.media_type.lower() if manifest.layers and manifest.config else ""
    if any(kind.startswith(_MODULE) for kind in (*layers, config)):
        return True
    of_image = any(kind.startswith(_IMAGE) for kind in layers) and not (listed and config == EMPTY)
    return of_image or (config.startswith(_IMAGE) and OCTETS in layers)


def reaches_pullable(root: Digest, manifests: Manifests) -> bool:
    """Return True if a client can pull a root as a module or image, or get one out of its list."""
    below = reached(root, manifests)
    return any(is_pullable(manifests[digest], listed=digest != root) for digest in below)


def may_be_an_image(manifest: Manifest) -> bool:
    """Return True for a config of an image: whether a client takes its layers, their bytes decide.

    cosign's signatures have such a config, and layers that are no archives; podman and CRI-O unpack layers of
    any type. Source: containers/image, internal/image/oci.go; containers/storage, pkg/archive.
    """
    return bool(manifest.config and manifest.config.blob.media_type.lower().startswith(_IMAGE))


_COMPRESSED = (
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
    b"\x28\xb5\x2f\xfd",
    *(b"%c*M\x18" % byte for byte in range(0x50, 0x60)),
)

HEADER = 512
"""Bytes that tell whether an archive begins."""

_CHECKSUM = slice(148, 156)


def begins_an_archive(start: bytes) -> bool:
    """Return True for the first bytes of a compressed file, or of a tar archive, old ones without a name too.

    Text can be a tar header as well: only the header's checksum tells. Source: POSIX.1-1988, ustar.
    """
    header = start[:HEADER]
    if header.startswith(_COMPRESSED):
        return True
    stated = header[_CHECKSUM].strip(b" \0").split(b"\0")[0]
    if len(header) < HEADER or not re.fullmatch(b"[0-7]+", stated):
        return False
    summed = header[: _CHECKSUM.start] + b" " * 8 + header[_CHECKSUM.stop :]
    signed = sum(byte - 256 * (byte > 127) for byte in summed)
    return int(stated, 8) in (sum(summed), signed)


def has_content(manifest: Manifest) -> bool:
    """Return True if a layer that is carried holds more than the empty object. Source: image-spec 1.1."""
    carried = (layer.blob for layer in manifest.layers if layer.distributed)
    return any(blob.size and blob.digest != _EMPTY_OBJECT for blob in carried)


def artifact_type_of(manifest: Manifest) -> str:
    """Return `artifactType`, else the config's type (image-spec 1.1, "Guidelines for Artifact Usage")."""
    if manifest.artifact_type or manifest.config is None:
        return manifest.artifact_type
    return manifest.config.blob.media_type


def _sbom(text: str) -> Iterable[str]:
    return (SBOM,) if any(word in text.lower() for word in _SBOM_WORDS) else ()


def merged(ours: Manifest, theirs: Manifest) -> Manifest:
    """Return their index with the entries of ours that it lacks; theirs itself if it lacks none."""
    return extended(theirs, _entries(ours))


def lists_all_of(ours: Manifest, theirs: Manifest) -> bool:
    """Return True if nothing of their index is lost when ours takes its place."""
    our_entries = _entries(ours)
    return all(entry in our_entries for entry in _entries(theirs))


def extended(index: Manifest, entries: Iterable[Mapping[str, Any]]) -> Manifest:
    """Return the index with these entries at its end, as far as it lacks them."""
    listed = _entries(index)
    digests = {entry["digest"] for entry in listed}
    new = [entry for entry in entries if entry["digest"] not in digests]
    return _index({**json.loads(index.data), "manifests": [*listed, *new]}) if new else index


def index_of(entries: Iterable[Mapping[str, Any]]) -> Manifest:
    """Return an index of referrers that has these entries."""
    return _index({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries)})


def entry_of(referrer: Manifest) -> dict[str, Any]:
    """Return a referrer as an index lists it: with what a reader filters by."""
    blob: Descriptor = referrer.blob
    entry: dict[str, Any] = {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size}
    if referrer.annotations:
        entry["annotations"] = dict(referrer.annotations)
    if artifact_type := artifact_type_of(referrer):
        entry["artifactType"] = artifact_type
    return entry


def has_all_of(holder: Manifest, other: Manifest) -> bool:
    """Return True if one manifest has all the layers of another: cosign adds each signature as a layer."""
    return {layer.blob.digest for layer in holder.layers} >= {layer.blob.digest for layer in other.layers}


def _entries(index: Manifest) -> list[dict[str, Any]]:
    """Return the entries of an index; some registries and tools leave null when the last entry is gone."""
    return json.loads(index.data).get("manifests") or []


def _index(document: Mapping[str, Any]) -> Manifest:
    data = strict_json.canonical(document)
    return parse_manifest(data, str(document.get("mediaType", OCI_INDEX)), sha256(data))
