"""What reads what strangers wrote: each target takes any bytes, and lets nothing but a BundlerError pass.

A target also asserts what must hold of what it accepts: no secret for another host, no address that may
not be asked, no error that is not one clean line.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from bundler.bundle.bundle_format import END_OF_ARCHIVE, parse_seek_table
from bundler.bundle.closure import check_closure
from bundler.bundle.contents import describe
from bundler.bundle.inventory import encode, roots_of
from bundler.bundle.inventory_reader import check_index, decode
from bundler.bundle.reader import open_bundle
from bundler.bundle.stream import BundleStream
from bundler.config.export_file import read_export_file
from bundler.config.import_file import read_import_file
from bundler.errors import BundlerError, ContentError, UsageError
from bundler.extractor.archive import Allowance, Archive
from bundler.ledger.receipt import Receipt, ReceivedRepository, decode_receipt, encode_receipt
from bundler.ledger.rollback_file import MovedTag, RollbackFile, decode_rollback_file, encode_rollback_file
from bundler.limits import DEFAULT_LIMITS, MIB
from bundler.oci.digest import Digest, sha256
from bundler.oci.manifest import ACCEPTED, parse_served
from bundler.oci.platform import parse_platform
from bundler.oci.reference import RegistryName, RepositoryName, Tag, parse_prefix, parse_reference
from bundler.registry.auth.token_exchange import Credentials, TokenAnswer, converse, parse_challenges
from bundler.registry.http.host import Host, Reply
from bundler.registry.http.status import own_words, retry_after
from bundler.registry.listings import next_link
from bundler.registry.registries import Registries
from bundler.timoni.bundle_file import read_bundle_files
from bundler.timoni.image_fields import image_reference
from bundler.timoni.layer import LayerLimits, layer_files
from bundler.timoni.source_text import SourceText
from bundler.trust.armor import armored, signatures_in
from bundler.trust.job import Job
from bundler.trust.statement import Moment, Statement
from bundler.trust.statement import decode as decode_statement
from bundler.trust.statement import encode as encode_statement
from bundler.verify import ManifestCollector, verify_bundle
from bundler.volumes.volume_format import MAGIC, TRAILER, Volume, decode_trailer, encode_trailer
from tests.builders import (
    SHAPES,
    a_module,
    an_index,
    frame_of,
    framed,
    members_of,
    packed,
    tar_of,
    with_seek_table,
)
from tests.extractor.contents import layer_of
from tests.fuzz import compact_targets

LIMITS = DEFAULT_LIMITS._replace(unpacked=16 * MIB)
NAME = "h.example/app"
ORIGIN = "https://registry.example"
SECRET = Credentials("carrier", "correct-horse")
BUNDLE_FILES = Path(__file__).parents[1] / "timoni" / "bundle_files"
EXAMPLES = Path(__file__).parents[2] / "examples"
LONGEST_WAIT = 10.0
"""Seconds for a thread that has nothing left to do."""
BREAK = b"\n--8<--\n"
"""Between the parts of an input that has several."""


class Target(NamedTuple):
    """What is tried, and the inputs to begin with."""

    attempt: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]


def run(attempt: Callable[[bytes], object], data: bytes) -> None:
    """Fail unless it ends well, or by one clean line."""
    refusal, code, before = "", 2, threading.enumerate()
    try:
        attempt(data)
    except BundlerError as error:
        refusal, code = str(error), error.exit_code
    assert all(line.isprintable() for line in refusal.split("\n")), refusal
    assert 1 < code <= 11
    for thread in set(threading.enumerate()).difference(before):
        # Nobody waits for these in a program that ends; here the next input comes at once.
        thread.join(LONGEST_WAIT)
        assert not thread.is_alive()


# --- bundles -------------------------------------------------------------------------------------------


def streamed(data: bytes) -> None:
    """As a pipe."""
    stream = BundleStream(io.BytesIO(data), LIMITS)
    inventory = stream.open()
    collector = ManifestCollector(inventory, LIMITS)
    for blob, chunks in stream.blobs():
        collector.take(blob, chunks)
    check_closure(inventory, collector.manifests, LIMITS)


def opened(data: bytes) -> None:
    """As a file, by its seek table."""
    with compact_targets.file_of(data) as path, open_bundle(path, LIMITS) as bundle:
        describe(bundle)
        verify_bundle(bundle)


def tar_stream(data: bytes) -> None:
    """Behind zstd: the same tar stream in frames that are all right."""
    streamed(framed(data))


def documents(data: bytes) -> None:
    """Behind tar: members of the right form, and any bytes as documents in them."""
    parts = data.split(BREAK)
    members = [
        (name, parts[number] if number < len(parts) else own) for number, (name, own) in enumerate(_members())
    ]
    whole = framed(tar_of(members))
    streamed(whole)
    opened(whole)


@cache
def _members() -> list[tuple[str, bytes]]:
    return members_of({NAME: a_module("1.0.0", size=100)})


def bundles() -> list[bytes]:
    """Small ones, of one and of several frames."""
    whole = [framed(tar_of(members_of({NAME: make()}))) for make in (a_module, an_index)]
    stream = tar_of(_members())
    cut = [stream[start : start + 1024] for start in range(0, len(stream), 1024)]
    return [*whole, with_seek_table([(frame_of(piece), len(piece)) for piece in cut])]


def seek_table(data: bytes) -> None:
    """The table alone."""
    parse_seek_table(data)


def archive(data: bytes) -> None:
    """A module's layer, by both of its readers; packed here, so that gzip is no hurdle."""
    packed_layer = gzip.compress(data, 1, mtime=0)
    for read in (_unpack, lambda layer: layer_files(layer, LayerLimits())):
        try:
            read(packed_layer)
        except ContentError:
            continue


def _unpack(layer: bytes) -> None:
    for entry, chunks in Archive("layer", [layer], Allowance(LIMITS)).entries():
        assert not entry.path.startswith("/")
        assert ".." not in entry.path.split("/")
        for _ in chunks:
            pass


def layers() -> list[bytes]:
    """tar streams of a module's files."""
    files = {"templates/config.cue": b"package templates\n", "timoni.cue": b"x", "a/" * 60 + "long.cue": b""}
    return [gzip.decompress(layer_of(files)), gzip.decompress(layer_of({})), END_OF_ARCHIVE]


# --- documents -----------------------------------------------------------------------------------------


def inventory(data: bytes) -> None:
    """What is read can be written, and is then the same."""
    read = decode(data, limits=LIMITS)
    assert decode(encode(read)) == read
    for root in roots_of(read):
        assert str(root).isprintable()


def index(data: bytes) -> None:
    """`index.json` of one inventory."""
    check_index(data, packed({NAME: a_module("1.0.0", size=100)})[0])


def manifest(data: bytes) -> None:
    """A manifest as each of its types, and as what a registry's header may say."""
    for media_type in (*ACCEPTED, "application/json", ""):
        try:
            read = parse_served(data, media_type, sha256(data), item="manifest", limits=LIMITS)
        except ContentError:
            continue
        assert all(0 <= blob.size < 1 << 62 for blob in (*read.blobs, *read.children))
        assert read.data == data


def documents_of_bundles() -> list[bytes]:
    """bundle.json, oci-layout and index.json of bundles of many shapes."""
    return [BREAK.join(data for _, data in members_of({NAME: make()})[:3]) for make in SHAPES.values()]


def manifests() -> list[bytes]:
    """Of every shape."""
    return [data for make in SHAPES.values() for _, data in make().manifests.values()]


def config(data: bytes) -> None:
    """Files that people write, and that programs may have generated."""
    text = data.decode("utf-8", "replace")
    for read in (
        lambda: read_export_file("e.yaml", text, environment={"NAME": "value"}, now=1_700_000_000),
        lambda: read_import_file("i.yaml", text),
    ):
        try:
            read()
        except UsageError:
            continue


def timoni(data: bytes) -> None:
    """Timoni Bundle files in their three languages."""
    text = data.decode("utf-8", "replace")
    for name in ("b.cue", "b.yaml", "b.json"):
        try:
            read_bundle_files([SourceText(name, text)], {"TAG": "1.0.0"})
        except BundlerError:
            continue


def seal(data: bytes) -> None:
    """What is signed, and its signatures."""
    statement, _, signatures = data.partition(BREAK)
    for read in (lambda: decode_statement(statement), lambda: signatures_in(signatures)):
        try:
            read()
        except ContentError:
            continue


def volume(data: bytes) -> None:
    """What a volume says of itself, behind its own digest."""
    text = data[: TRAILER - len(MAGIC) - 32].ljust(TRAILER - len(MAGIC) - 32)
    found = decode_trailer(text + hashlib.sha256(text).digest() + MAGIC, TRAILER + 10, "volume")
    assert found.size == 10
    assert 0 <= found.offset <= found.total


def records(data: bytes) -> None:
    """What imports keep or send back: receipts, ways back."""
    for read in (decode_receipt, decode_rollback_file):
        try:
            read(data, "r.json")
        except ContentError:
            continue


def receipts() -> list[bytes]:
    """One of each kind."""
    digest, name = sha256(b""), RepositoryName(NAME)
    received = ReceivedRepository(name, name, {Tag("1.0.0"): digest}, (digest,))
    moved = MovedTag(name, Tag("1.0.0"), None, digest)
    return [
        encode_receipt(Receipt(1, "h.example", "2026-01-31T09:00:00Z", (digest,), (received,))),
        encode_rollback_file(RollbackFile(1, digest, "h.example", (moved,))),
    ]


def seals() -> list[bytes]:
    """A statement, and a signature of the right form by nobody."""
    said = Statement(sha256(b""), Job("nightly"), 7, Moment("2026-01-31T09:00:00Z"))
    parts = (b"\0\0\0\x0bssh-ed25519", b"timoni-bundler", b"", b"sha512", b"x" * 64)
    blob = b"SSHSIG\0\0\0\1" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return [BREAK.join((encode_statement(said), armored(blob)))]


# --- what registries say -------------------------------------------------------------------------------


def references(data: bytes) -> None:
    """Names, from the command line, from lists, from modules."""
    text = data.decode("utf-8", "replace")
    for parse in (
        parse_reference, parse_prefix, image_reference, parse_platform,
        Tag.parse, Digest.parse, RegistryName.parse, RepositoryName.parse,
    ):  # fmt: skip
        try:
            parsed = parse(text)
        except (UsageError, ValueError):
            continue
        assert str(parsed).isprintable()
        assert " " not in str(parsed)


def challenge(data: bytes) -> None:
    """`WWW-Authenticate`: whatever it says, secrets stay with their origin."""
    header, _, answer = data.decode("latin-1").partition("\x00")
    list(parse_challenges(header))
    for credentials in (SECRET, SECRET._replace(identity_token="secret"), None):
        talk = converse(header, credentials, "repository:app:pull", ORIGIN, frozenset({"auth.example"}))
        try:
            asked = next(talk)
            known = urlsplit(asked.url).netloc.lower() in ("registry.example", "auth.example")
            assert known or not (asked.authorization or asked.form)
            assert urlsplit(asked.url).scheme == "https"
            talk.send(TokenAnswer(200, answer.encode("latin-1")))
        except (BundlerError, StopIteration):
            continue


@cache
def _host() -> Host:
    return Registries()._host(RegistryName("registry.example"))


def link(data: bytes) -> None:
    """`Link`: the next page is on the same host, or there is none."""
    reply = Reply(200, {"Link": data.decode("latin-1")}, b"")
    following = next_link(_host(), reply, "/v2/app/tags/list?n=1", "tags")
    assert following is None or _is_asked_of(following) == "registry.example"


def location(data: bytes) -> None:
    """`Location`: https again, to somebody with a name, and no user in it."""
    text = data.decode("latin-1")
    url = _host().checked_url(text, f"{ORIGIN}/v2/app/blobs/x", "blob")
    assert urlsplit(url).scheme == "https"
    assert _is_asked_of(url)


def _is_asked_of(url: str) -> str:
    """Whom the library would really ask: it reads addresses in its own way."""
    import requests

    try:
        prepared = requests.Request("GET", url).prepare().url or ""
    except (requests.RequestException, ValueError):
        return urlsplit(url).netloc
    parts = urlsplit(prepared)
    assert parts.hostname
    assert "@" not in parts.netloc
    assert parts.hostname == (urlsplit(url).hostname or "").lower() or not url.isascii(), (url, prepared)
    return parts.netloc


def words(data: bytes) -> None:
    """What a registry says of its errors, and how long it wants us to wait."""
    code, text = own_words(data)
    assert f"{code}{text}".isprintable()
    wait = retry_after(data.decode("latin-1"), LIMITS)
    assert wait is None or 0 <= wait <= LIMITS.retry_after


TARGETS = {
    "stream": Target(streamed, bundles),
    "file": Target(opened, bundles),
    "compact-file": Target(compact_targets.compact_file, compact_targets.whole_files),
    "compact-pipe": Target(compact_targets.compact_pipe, compact_targets.whole_files),
    "compact-parts": Target(compact_targets.compact_parts, compact_targets.parts),
    "recipe": Target(compact_targets.recipe, compact_targets.recipes),
    "tar": Target(tar_stream, lambda: [tar_of(_members())]),
    "documents": Target(documents, documents_of_bundles),
    "seek-table": Target(seek_table, lambda: [whole[-60:] for whole in bundles()]),
    "archive": Target(archive, layers),
    "inventory": Target(inventory, lambda: [one.split(BREAK)[0] for one in documents_of_bundles()]),
    "index": Target(index, lambda: [one.split(BREAK)[2] for one in documents_of_bundles()]),
    "manifest": Target(manifest, manifests),
    "seal": Target(seal, seals),
    "volume": Target(
        volume, lambda: [encode_trailer(Volume("a" * 64, 1, 1, 0, 10, 10, "b" * 64))[: -len(MAGIC) - 32]]
    ),
    "records": Target(records, receipts),
    "config": Target(config, lambda: [path.read_bytes() for path in EXAMPLES.glob("*.yaml")]),
    "timoni": Target(timoni, lambda: [path.read_bytes() for path in BUNDLE_FILES.iterdir()]),
    "references": Target(
        references,
        lambda: [b"oci://h.example:5000/a/b:1.0.0", b"h.example/a@sha256:" + b"a" * 64, b"[::1]:5/x"],
    ),
    "challenge": Target(
        challenge,
        lambda: [
            b'Bearer realm="https://registry.example/t",service="s",scope="x"\x00{"token": "t"}',
            b'Basic realm="x", Bearer realm="https://elsewhere.example/", error="a\\""\x00{"token": "t"}',
        ],
    ),
    "link": Target(
        link, lambda: [b'</v2/app/tags/list?last=x>; rel="next"', b"<https://registry.example/x>;rel=next"]
    ),
    "location": Target(
        location, lambda: [b"/v2/app/blobs/uploads/1?state=x", b"https://cdn.example/b?sig=1", b"//x/y"]
    ),
    "words": Target(
        words,
        lambda: [
            b'{"errors": [{"code": "DENIED", "message": "no"}]}',
            b"120",
            b"Mon, 01 Jan 2024 00:00:00 GMT",
        ],
    ),
}
