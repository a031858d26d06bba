"""A second writer of format 1, made from docs/bundle-format.md alone: it uses nothing of the package.

It takes repositories (name → tag → digest), untagged digests, and blobs by digest with a media type, and
writes the bundle as the page says. Its frames are made of raw blocks.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

MANIFESTS = {
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
}
INDEXES = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
}
ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
FOREIGN = re.compile(
    r"application/vnd\.oci\.image\.layer\.nondistributable\.|application/vnd\.docker\.image\.rootfs\.foreign\."
)
NUMBER = "(0|[1-9][0-9]*)"
WORD = "(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
SEMVER = re.compile(rf"{NUMBER}\.{NUMBER}\.{NUMBER}(?:-({WORD}(?:\.{WORD})*))?")
MIB = 1 << 20


class Repository(NamedTuple):
    """One repository, as it is selected."""

    name: str
    tags: Mapping[str, str]
    untagged: tuple[str, ...] = ()


class Source(NamedTuple):
    """Blobs by digest; of manifests, also the media type."""

    blobs: Mapping[str, bytes]
    manifests: Mapping[str, str]
    omitted: frozenset[str] = frozenset()
    """Children of indexes that are left out where nothing else needs them."""


def canonical(document: Any) -> bytes:
    """Return canonical JSON."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


# --- the inventory -----------------------------------------------------------------------------------


def precedence(tag: str) -> tuple[Any, ...]:
    """Return the order of tags: versions by precedence, then the other tags by their text."""
    match = SEMVER.fullmatch(tag)
    if not match:
        return (1, tag)
    numbers = tuple(int(match[number]) for number in (1, 2, 3))
    words = tuple(
        (0, int(word), "") if word.isdigit() else (1, 0, word) for word in (match[4] or "").split(".") if word
    )
    return (0, numbers, words or ((2, 0, ""),), tag)


def inventory_of(repositories: Iterable[Repository], source: Source) -> dict[str, Any]:
    """Return the document of `bundle.json` for a full bundle."""
    ordered = sorted(repositories)
    carried = _carried(ordered, source)
    manifests: list[str] = []
    owners: dict[str, list[str]] = {}
    for repository in ordered:
        roots = [repository.tags[tag] for tag in sorted(repository.tags, key=precedence)]
        for root in (*roots, *sorted(repository.untagged)):
            for digest in _children_first(root, source, carried):
                if digest not in manifests:
                    manifests.append(digest)
                    owners.setdefault(repository.name, []).append(digest)
    left_out = {child for digest in manifests for child in _children(digest, source)} - carried
    document = {
        "format": 1,
        "kind": "full",
        "repositories": [
            {"name": name, "tags": dict(tags), "untagged": sorted(untagged)}
            for name, tags, untagged in ordered
        ],
        "manifests": [
            {"mediaType": source.manifests[digest], "digest": digest, "size": len(source.blobs[digest])}
            for digest in manifests
        ],
        "blobs": _blobs(manifests, owners, source),
    }
    return document | ({"omitted": sorted(left_out)} if left_out else {})


def id_of(document: Mapping[str, Any]) -> str:
    """Return the bundle id."""
    return "sha256:" + hashlib.sha256(canonical(document)).hexdigest()


def delta_of(base: Iterable[Repository], now: Iterable[Repository], source: Source) -> dict[str, Any]:
    """Return the document of `bundle.json` for what changed since a full bundle; what left is gone."""
    before, after = ({entry.name: entry for entry in state} for state in (base, now))
    full = inventory_of(before.values(), source)
    changed, removed = {}, {}
    for name in sorted({*before, *after}):
        old, new = (state.get(name, Repository(name, {})) for state in (before, after))
        tags = {tag: digest for tag, digest in new.tags.items() if old.tags.get(tag) != digest}
        untagged = tuple(digest for digest in new.untagged if digest not in old.untagged)
        left = {tag: digest for tag, digest in old.tags.items() if tag not in new.tags}
        left |= {digest: digest for digest in old.untagged if digest not in new.untagged}
        if tags or untagged or left:
            changed[name] = Repository(name, tags, untagged)
            removed[name] = left
    document = inventory_of(changed.values(), source)
    brought = {entry["digest"] for entry in (*full["manifests"], *full["blobs"])}
    homes = _homes(before.values(), source)
    return document | {
        "kind": "delta",
        "repositories": [
            entry | ({"removed": removed[entry["name"]]} if removed[entry["name"]] else {})
            for entry in document["repositories"]
        ],
        "blobs": [entry for entry in document["blobs"] if entry["digest"] not in brought],
        "required": [
            {**entry, "repository": homes[entry["digest"]]}
            for entry in document["blobs"]
            if entry["digest"] in brought
        ],
        "base": [id_of(full)],
        "baseState": id_of(full),
        "state": id_of(inventory_of(after.values(), source)),
    }


def _homes(repositories: Iterable[Repository], source: Source) -> dict[str, str]:
    """Return a repository that has each blob."""
    return {
        entry["digest"]: repository.name
        for repository in sorted(repositories, reverse=True)
        for entry in inventory_of([repository], source)["blobs"]
    }


def _carried(repositories: Iterable[Repository], source: Source) -> set[str]:
    """Return all manifests that are carried; an omitted child only for another reason."""
    waiting = [root for _, tags, untagged in repositories for root in (*tags.values(), *untagged)]
    carried: set[str] = set()
    while waiting:
        digest = waiting.pop()
        if digest not in carried:
            carried.add(digest)
            waiting += [child for child in _children(digest, source) if child not in source.omitted]
    return carried


def _children(digest: str, source: Source) -> list[str]:
    if source.manifests[digest] not in INDEXES:
        return []
    entries = json.loads(source.blobs[digest]).get("manifests") or ()
    return [entry["digest"] for entry in entries if _is_child(entry)]


def _is_child(entry: Mapping[str, Any]) -> bool:
    return entry["mediaType"] in INDEXES or "manifest" in entry["mediaType"]


def _children_first(digest: str, source: Source, carried: set[str]) -> Iterable[str]:
    for child in _children(digest, source):
        if child in carried:
            yield from _children_first(child, source, carried)
    yield digest


def _blobs(manifests: list[str], owners: Mapping[str, list[str]], source: Source) -> list[dict[str, Any]]:
    documents = {digest: json.loads(source.blobs[digest]) for digest in manifests}
    kinds = {digest: source.manifests[digest] for digest in manifests}
    parts = [document["config"] for digest, document in documents.items() if kinds[digest] in MANIFESTS]
    for name in sorted(owners):
        layers = [
            layer
            for digest in owners[name]
            for layer in _layers(documents[digest], kinds[digest])
            if not FOREIGN.match(layer["mediaType"])
        ]
        parts += sorted(layers, key=_group)
    found: dict[str, dict[str, Any]] = {}
    for part in parts:
        if part["digest"] not in manifests:
            found.setdefault(part["digest"], {name: part[name] for name in ("mediaType", "digest", "size")})
    return list(found.values())


def _layers(document: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return the layers, and what counts as such."""
    if kind in INDEXES:
        return [entry for entry in document.get("manifests") or () if not _is_child(entry)]
    layers = document.get("blobs" if kind == ARTIFACT else "layers") or ()
    return [{**layer, "mediaType": layer.get("mediaType") or "application/octet-stream"} for layer in layers]


def _group(layer: Mapping[str, Any]) -> int:
    kind = (layer.get("annotations") or {}).get("sh.timoni.content.type")
    return ("module/vendor", "module", kind).index(kind)


# --- the file ----------------------------------------------------------------------------------------


def members_of(repositories: Iterable[Repository], source: Source) -> tuple[list[tuple[str, bytes]], int]:
    """Return the members of the archive, and how many of them stand before the first other blob."""
    document = inventory_of(repositories, source)
    sizes = {entry["digest"]: entry for entry in document["manifests"]}
    entries = []
    for repository in document["repositories"]:
        name = repository["name"]
        named = [(f"{name}:{tag}", digest) for tag, digest in sorted(repository["tags"].items())]
        for text, digest in (*named, *((f"{name}@{digest}", digest) for digest in repository["untagged"])):
            names = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
            entries.append({**sizes[digest], "annotations": dict.fromkeys(names, text)})
    media_type = "application/vnd.oci.image.index.v1+json"
    files = [
        ("bundle.json", canonical(document)),
        ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}\n'),
        ("index.json", canonical({"schemaVersion": 2, "mediaType": media_type, "manifests": entries})),
    ]
    content = [*document["manifests"], *document["blobs"]]
    blobs = [
        ("blobs/" + entry["digest"].replace(":", "/"), source.blobs[entry["digest"]]) for entry in content
    ]
    return [*files, *blobs], len(files) + len(document["manifests"])


def member(name: str, data: bytes) -> bytes:
    """Return header, data and padding of a member."""
    start = b""
    if len(name) > 100:
        record = f" path={name}\n"
        text = f"{len(record) + 3}{record}".encode()
        start = _header("pax", len(text), b"x") + text + bytes(-len(text) % 512)
    return start + _header(name[:100], len(data), b"0") + data + bytes(-len(data) % 512)


def _header(name: str, size: int, kind: bytes) -> bytes:
    header = bytearray(512)
    header[: len(name)] = name.encode()
    header[100:124] = b"0000644\0" + b"0000000\0" * 2
    header[124:136] = b"%011o\0" % size
    header[136:156] = b"00000000000\0" + b" " * 8
    header[156:157] = kind
    header[257:265] = b"ustar\0" + b"00"
    header[329:345] = b"0000000\0" * 2
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def frame(content: bytes) -> bytes:
    """Return a zstd frame of raw blocks."""
    size = len(content)
    flag, field = (0, struct.pack("<B", size)) if size < 256 else (2, struct.pack("<I", size))
    blocks = []
    for start in range(0, size, 128 * 1024):
        part = content[start : start + 128 * 1024]
        last = start + len(part) == size
        blocks.append((len(part) << 3 | last).to_bytes(3, "little") + part)
    checksum = struct.pack("<I", xxh64(content) & 0xFFFFFFFF)
    return b"\x28\xb5\x2f\xfd" + bytes([flag << 6 | 0b100100]) + field + b"".join(blocks) + checksum


def cut(members: list[bytes], metadata: int) -> list[bytes]:
    """Return the contents of the frames."""
    contents: list[bytes] = []
    waiting = b""
    for number, data in enumerate((*members, bytes(1024))):
        large = len(data) > 2 * MIB
        if waiting and (large or number == metadata or len(waiting) + len(data) > 8 * MIB):
            contents.append(waiting)
            waiting = b""
        if large:
            contents += [data[start : start + 2 * MIB] for start in range(0, len(data), 2 * MIB)]
        else:
            waiting += data
    return [*contents, waiting]


def write(repositories: Iterable[Repository], source: Source) -> bytes:
    """Return the whole file."""
    members, metadata = members_of(repositories, source)
    contents = cut([member(name, data) for name, data in members], metadata)
    frames = [frame(content) for content in contents]
    file = b"".join(frames)
    file += struct.pack("<II", 0x184D2A51, 32) + hashlib.sha256(file).digest()
    table = b"".join(
        struct.pack("<II", len(one), len(content)) for one, content in zip(frames, contents, strict=True)
    )
    table += struct.pack("<I", len(frames)) + b"\0" + bytes.fromhex("B1EA928F")
    return file + struct.pack("<II", 0x184D2A5E, len(table)) + table


# --- XXH64 -------------------------------------------------------------------------------------------

_P = (
    11400714785074694791,
    14029467366897019727,
    1609587929392839161,
    9650029242287828579,
    2870177450012600261,
)
_MASK = (1 << 64) - 1


def _rotated(value: int, bits: int) -> int:
    return (value << bits | value >> (64 - bits)) & _MASK


def _round(state: int, word: int) -> int:
    return _rotated(state + word * _P[1] & _MASK, 31) * _P[0] & _MASK


def xxh64(data: bytes) -> int:
    """Return XXH64 with seed 0. Source: xxHash fast digest algorithm, 0.1.1."""
    whole = len(data) // 32 * 32
    if whole:
        states = [_P[0] + _P[1] & _MASK, _P[1], 0, -_P[0] & _MASK]
        for words in struct.iter_unpack("<4Q", data[:whole]):
            states = [_round(state, word) for state, word in zip(states, words, strict=True)]
        digest = (
            sum(_rotated(state, bits) for state, bits in zip(states, (1, 7, 12, 18), strict=True)) & _MASK
        )
        for state in states:
            digest = ((digest ^ _round(0, state)) * _P[0] + _P[3]) & _MASK
    else:
        digest = _P[4]
    digest = digest + len(data) & _MASK
    rest = data[whole:]
    while len(rest) >= 8:
        digest = _rotated(digest ^ _round(0, int.from_bytes(rest[:8], "little")), 27) * _P[0] + _P[3] & _MASK
        rest = rest[8:]
    if len(rest) >= 4:
        digest ^= int.from_bytes(rest[:4], "little") * _P[0] & _MASK
        digest = _rotated(digest, 23) * _P[1] + _P[2] & _MASK
        rest = rest[4:]
    for byte in rest:
        digest = _rotated(digest ^ byte * _P[4] & _MASK, 11) * _P[0] & _MASK
    for shift, prime in ((33, _P[1]), (29, _P[2])):
        digest = (digest ^ digest >> shift) * prime & _MASK
    return digest ^ digest >> 32
