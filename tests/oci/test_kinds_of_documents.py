"""One document has one reading: every kind of JSON that is judged refuses keys that readers may confuse."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bundler.__main__ import run
from bundler.bundle.compacted import compact_format
from bundler.bundle.inventory import encode
from bundler.bundle.inventory_reader import decode
from bundler.bundle.reader import open_bundle
from bundler.errors import BundlerError
from bundler.exporter.resolve.lock_file import read_lock
from bundler.ledger.receipt import decode_receipt
from bundler.ledger.rollback_file import decode_rollback_file
from bundler.ledger.sequences import Sequences
from bundler.limits import DEFAULT_LIMITS
from bundler.oci import strict_json
from bundler.oci.digest import sha256
from bundler.oci.manifest import OCI_INDEX, OCI_MANIFEST, parse_manifest
from bundler.registry.auth.token_exchange import _token
from bundler.registry.repository import _tag_page
from bundler.server.served_catalog import decode_index
from bundler.store.history import JOURNAL, History
from bundler.trust import statement
from bundler.trust.cosign import sigstore_bundle, simple_signing
from bundler.trust.job import Job
from bundler.trust.keyless import _entry, read_trusted_root
from bundler.volumes.volume_format import MAGIC, Volume, decode_trailer
from tests.builders import a_bundle, a_module, an_index
from tests.doubles import MemoryRegistry
from tests.source_code import source_files
from tests.trust.attached import envelope, simple_payload
from tests.trust.attached import statement as in_toto
from tests.trust.sigstores import StagedSigstore

Read = Callable[[bytes, Path], object]


class Kind(NamedTuple):
    """A valid document, and how it is read; the result of what can't be read is None or False."""

    document: Any
    read: Read
    spelled: Callable[[Any], bytes] = lambda document: json.dumps(document).encode()


ID = sha256(b"bundle")
NAME = "h.example/app"
TIME = "2026-11-01T09:00:00Z"
CONTENT = a_module("1.0.0")
MODULE = CONTENT.parsed()[CONTENT.tags["1.0.0"]]
INDEX = an_index()


def in_file(name: str, read: Callable[[Path], object]) -> Read:
    """Read a document from a file."""

    def reading(data: bytes, folder: Path) -> object:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
        return read(folder / name)

    return reading


def inventory(folder: Path) -> Any:
    """The `bundle.json` of a bundle."""
    with open_bundle(a_bundle(folder / "b.tar.zst", {NAME: CONTENT})) as bundle:
        return json.loads(encode(bundle.inventory))


def trailer(document: Any) -> bytes:
    """A volume's last bytes."""
    text = strict_json.canonical(document)
    text = text.ljust(1024 - 32 - len(MAGIC)) if len(text) < 900 else text
    return text + hashlib.sha256(text).digest() + MAGIC


def dsse(payload: Any) -> Any:
    """A Sigstore bundle about a statement."""
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    material = {"publicKey": {"hint": "x"}}
    return {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": material,
        "dsseEnvelope": envelope(data, b"signature"),
    }


def read_dsse(data: bytes, folder: Path) -> object:
    return sigstore_bundle(MODULE, data)


def last_of(folder: Path) -> object:
    return Sequences(folder, may_write=False).last(Job("nightly"))


def read_token(data: bytes, folder: Path) -> object:
    return _token(data, "https://h.example", "")


SIGNATURE = {"dev.cosignproject.cosign/signature": base64.b64encode(b"x").decode()}
DIGEST = MODULE.blob.digest
PROMISED = json.loads(StagedSigstore().simple(DIGEST)[1]["dev.sigstore.cosign/bundle"])
VOLUME = Volume("0" * 64, 1, 2, 0, 10, 20, "0" * 64)


KINDS: dict[str, Kind] = {
    "manifest": Kind(
        json.loads(MODULE.data), lambda data, at: parse_manifest(data, OCI_MANIFEST, sha256(data))
    ),
    "index": Kind(
        json.loads(INDEX.manifests[INDEX.tags["latest"]][1]),
        lambda data, at: parse_manifest(data, OCI_INDEX, sha256(data)),
    ),
    "index.json": Kind(
        {"schemaVersion": 2, "manifests": [{
            "mediaType": OCI_MANIFEST, "digest": DIGEST, "size": 9,
            "annotations": {"org.opencontainers.image.ref.name": "app:1.0.0"},
        }]},
        lambda data, at: list(decode_index(data, DEFAULT_LIMITS)),
    ),
    "compact.json": Kind(
        {"compact": 1, "layers": [{"blob": 0, "codec": 1, "content": 5, "recipe": 2, "header": "1f8b"}],
         "headers": [{"size": 512}], "content": [{"size": 20, "prefix": 9, "recipe": 3}],
         "base": [{"mediaType": "x/y", "digest": ID, "size": 7, "repository": NAME, "content": 50}]},
        lambda data, at: compact_format.decode_head(data, DEFAULT_LIMITS), strict_json.canonical,
    ),
    "statement": Kind(
        {"bundle": ID, "job": "nightly", "sequence": 7, "time": TIME, "expires": "2027-01-01T00:00:00Z"},
        lambda data, at: statement.decode(data), strict_json.canonical,
    ),
    "lock": Kind(
        {"lockVersion": 1, "selection": ID, "omitted": [], "images": [],
         "repositories": [{"name": NAME, "tags": {"1.0.0": ID}, "untagged": []}]},
        in_file("lock", read_lock),
    ),
    "receipt": Kind(
        {"receiptVersion": 1, "target": "h.example", "time": TIME, "bundles": [ID], "omitted": [],
         "repositories": [{"name": NAME, "target": NAME, "tags": {"1.0.0": ID}, "untagged": []}]},
        lambda data, at: decode_receipt(data, "receipt"),
    ),
    "rollback file": Kind(
        {"rollbackVersion": 1, "bundle": ID, "target": "h.example", "done": False, "receipt": None,
         "received": [], "moved": [{"repository": NAME, "tag": "1.0.0", "old": ID, "new": None}]},
        lambda data, at: decode_rollback_file(data, "rollback"),
    ),
    "state of a job": Kind(
        {"job": "nightly", "sequence": 7, "bundle": ID, "time": TIME},
        in_file("jobs/nightly.json", lambda file: last_of(file.parent)),
    ),
    "journal of a store": Kind(
        {"journalVersion": 1, "bundles": [{"id": ID, "job": "x", "time": 1, "base": [], "path": None}]},
        in_file(JOURNAL, lambda file: History(file.parent).entries()),
    ),
    "trailer of a volume": Kind(
        {"format": 1, **asdict(VOLUME)},
        lambda data, at: decode_trailer(data, VOLUME.size + len(data), "v"), trailer,
    ),
    "tag list": Kind(
        {"name": "app", "tags": ["1.0.0"]}, lambda data, at: _tag_page(data, "tags", DEFAULT_LIMITS)
    ),
    "token answer": Kind({"token": "t", "expires_in": 60}, read_token),
    "simple signing": Kind(
        json.loads(simple_payload(DIGEST)), lambda data, at: simple_signing(DIGEST, data, SIGNATURE)
    ),
    "Sigstore bundle": Kind(dsse(in_toto(DIGEST)), read_dsse),
    "in-toto statement": Kind(
        json.loads(in_toto(DIGEST)), read_dsse, lambda said: json.dumps(dsse(said)).encode()
    ),
    "promise of a log": Kind(PROMISED, lambda data, at: _entry(data.decode())),
}  # fmt: skip
"""Documents of every kind that decide something; `bundle.json` and a trusted root have tests of their own."""

FREE = {"annotations", "tags", "predicate", "optional", "keyid", "hashedrekord"}
"""Maps of users, and a name that one kind has in two spellings."""


def places(document: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path to every key of a document, apart from those of users' maps."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        if isinstance(document, dict) and key not in FREE - {"tags", "annotations"}:
            yield (*path, key)
        if isinstance(value, dict | list) and key not in FREE:
            yield from places(value, (*path, key))


def changed(document: Any, path: tuple[str | int, ...], name: str, *, beside: bool) -> Any:
    """A copy in which one key has another spelling, or has it `beside` the right one."""
    copy = json.loads(json.dumps(document))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[name] = inner[path[-1]] if beside else inner.pop(path[-1])
    return copy


def is_taken(kind: Kind, document: Any, folder: Path) -> bool:
    """Whether a document of a kind is read."""
    try:
        found = kind.read(kind.spelled(document), folder)
    except (BundlerError, ValueError, KeyError):
        return False
    return found is not None


@pytest.mark.parametrize("name", KINDS)
def test_a_key_that_folds_to_a_known_one_is_refused(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    assert is_taken(kind, kind.document, tmp_path)
    for path in places(kind.document):
        key = str(path[-1])
        exotic = {key.replace("s", "\u017f"), re.sub("[kK]", "\u212a", key)}
        for other in {key.upper(), key.capitalize(), key.swapcase(), *exotic} - {key}:
            for beside in (True, False):
                document = changed(kind.document, path, other, beside=beside)
                assert not is_taken(kind, document, tmp_path), (path, other, beside)


@pytest.mark.parametrize("name", ["Sigstore bundle", "in-toto statement", "manifest", "index.json"])
def test_a_name_of_protobuf_beside_or_for_ours_is_refused(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    for path in places(kind.document):
        key = str(path[-1])
        other = re.sub("([A-Z])", lambda letter: f"_{letter[0].lower()}", key)
        for beside in (True, False) if other != key else ():
            document = changed(kind.document, path, other, beside=beside)
            assert not is_taken(kind, document, tmp_path), (path, other, beside)


def test_a_bundle_json_has_one_spelling_of_every_key(tmp_path: Path) -> None:
    document = inventory(tmp_path)
    kind = Kind(document, lambda data, at: decode(data), strict_json.canonical)
    assert is_taken(kind, document, tmp_path)
    for path in places(document):
        for beside in (True, False):
            other = changed(document, path, str(path[-1]).upper(), beside=beside)
            assert not is_taken(kind, other, tmp_path), path


@pytest.mark.slow
def test_a_trusted_root_has_one_spelling_of_every_key(tmp_path: Path) -> None:
    root = StagedSigstore().root_document()
    kind = Kind(root, lambda data, at: read_trusted_root("root.json", data))
    assert is_taken(kind, root, tmp_path)
    for path in places(root):
        key = str(path[-1])
        for name in {key.upper(), re.sub("([A-Z])", r"_\1", key).lower()} - {key}:
            other = changed(root, path, name, beside=True)
            assert not is_taken(kind, other, tmp_path), path


def test_tags_that_differ_by_case_are_different_tags(tmp_path: Path) -> None:
    for name in ("tags", "removed", "deselected"):
        data = json.dumps({name: {"1.0-RC": ID, "1.0-rc": ID}}).encode()
        assert strict_json.loads(data, item="x", depth=3)


UNNAMED = {
    "registry/http/status.py",  # what a registry says of an error is shown, and decides nothing
    "bundle/inventory_reader.py",  # read once more, after it was checked with its names
    "trust/statement.py",  # compared with its one spelling
    "ledger/sequences.py",  # takes no other keys
}


@pytest.mark.slow
def test_every_reader_of_json_says_which_names_it_knows() -> None:
    calls = (
        (file.path, node)
        for file in source_files()
        for node in ast.walk(file.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("strict_json.loads", "strict_json.check")
    )
    unsaid = {path for path, call in calls if "names" not in {word.arg for word in call.keywords}}
    assert unsaid == UNNAMED


def test_a_delta_names_gone_tags_that_differ_by_case(tmp_path: Path) -> None:
    content = a_module("1.0.0", "1.0.0-RC", "1.0.0-rc")
    base, night = tmp_path / "a.tar.zst", tmp_path / "b.tar.zst"
    with MemoryRegistry({"app": content}) as server:
        export = ["export", f"{server.host}/app", "-q", "-o"]
        assert run([*export, str(base)]) == 0
        del content.tags["1.0.0-RC"], content.tags["1.0.0-rc"]
        assert run([*export, str(night), "--base", str(base)]) == 0
    assert run(["verify", str(night), "-q"]) == 0
    assert run(["merge", str(base), str(night), "-o", str(tmp_path / "merged.tar.zst"), "-q"]) == 0
