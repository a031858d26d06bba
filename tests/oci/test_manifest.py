"""Manifests and indexes, held against pydantic models of the same types."""

from __future__ import annotations

import base64
import json
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bundler.errors import ContentError
from bundler.limits import DEFAULT_LIMITS
from bundler.oci.digest import sha256
from bundler.oci.graph import left_out
from bundler.oci.manifest import (
    ARTIFACT_MANIFEST,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1,
    OCI_INDEX,
    OCI_MANIFEST,
    Manifest,
    parse_manifest,
    parse_served,
)
from tests.builders import (
    SHAPES,
    an_image,
    descriptor_of,
    document_of,
    dumped,
    index_document,
    manifest_document,
)

CONFIG = document_of(descriptor_of(b"{}", "application/vnd.oci.image.config.v1+json"))
LAYER = document_of(descriptor_of(b"layer", "application/vnd.oci.image.layer.v1.tar"))


def parse(data: bytes, media_type: str = OCI_MANIFEST) -> Manifest:
    return parse_manifest(data, media_type, sha256(data))


# --- the oracle --------------------------------------------------------------------------------------


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class OracleLayer(_Strict):
    mediaType: Annotated[str | None, Field(max_length=255)] = None  # noqa: N815  as the document spells it
    digest: Annotated[str, Field(pattern=r"^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$")]
    size: Annotated[int, Field(ge=0, lt=1 << 62)]
    annotations: dict[str, str | None] | None = None


class OracleDescriptor(_Strict):
    mediaType: Annotated[str, Field(min_length=1)]  # noqa: N815  as the document spells it
    digest: Annotated[str, Field(pattern=r"^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$")]
    size: Annotated[int, Field(ge=0, lt=1 << 62)]
    annotations: dict[str, str | None] | None = None


class OracleManifest(_Strict):
    schemaVersion: Annotated[int, Field(ge=2, le=2)]  # noqa: N815
    mediaType: Literal["application/vnd.oci.image.manifest.v1+json"] | None = None  # noqa: N815
    config: OracleDescriptor
    layers: list[OracleLayer] | None = None
    annotations: dict[str, str | None] | None = None
    subject: OracleDescriptor | None = None
    artifactType: str | None = None  # noqa: N815


def accepted_by_oracle(document: Any) -> bool:
    try:
        OracleManifest.model_validate_json(json.dumps(document))
    except ValidationError:
        return False
    return True


odd: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 0, -1, 1.0, 2.0, "5", "", [], {}, {"a": 1}, {"a": "b"}, 1 << 62, "sha256:0", 2]
)
places = st.sampled_from(
    [
        ("schemaVersion",), ("mediaType",), ("config",), ("layers",), ("annotations",), ("unknown",),
        ("config", "digest"), ("config", "size"), ("config", "mediaType"), ("config", "annotations"),
        ("layers", 0), ("layers", 0, "size"), ("layers", 0, "digest"), ("layers", 0, "mediaType"),
        ("layers", 0, "annotations"), ("subject",), ("subject", "digest"), ("artifactType",),
    ]
)  # fmt: skip


@given(places, odd, st.booleans())
def test_a_document_is_accepted_when_strict_models_accept_it(
    place: tuple[str | int, ...], value: object, remove: bool
) -> None:
    """Case 66."""
    document: Any = json.loads(
        dumped(manifest_document(CONFIG, [LAYER], annotations={"a": "b"}, subject=LAYER))
    )
    owner = document
    for step in place[:-1]:
        owner = owner[step]
    if remove and place[-1] in ([*owner] if isinstance(owner, dict) else []):
        del owner[place[-1]]
    else:
        owner[place[-1]] = value
    try:
        parse(dumped(document))
        accepted = True
    except ContentError:
        accepted = False
    assert accepted is accepted_by_oracle(document)


# --- shapes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_the_conformance_suite_is_read(shape: str) -> None:
    """Case 25."""
    content = SHAPES[shape]()
    for digest, manifest in content.parsed().items():
        assert manifest.data == content.manifests[digest][1]
        assert all(blob.digest in content.blobs for blob in manifest.blobs)
        assert all(child.digest in content.manifests for child in manifest.children)


def test_layers_that_registries_do_not_hold_are_not_carried() -> None:
    (manifest,) = SHAPES["not distributed"]().parsed().values()
    assert len(manifest.layers) == 2
    assert [layer.distributed for layer in manifest.layers] == [False, True]
    assert len(manifest.blobs) == 2


# --- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"null", b"[]", b'"x"', dumped(manifest_document(CONFIG, []))[:-9]]
)
def test_an_empty_or_cut_document_is_refused(data: bytes) -> None:
    """Case 17."""
    with pytest.raises(ContentError):
        parse(data)


@pytest.mark.parametrize(
    ("document", "media_type", "cause"),
    [
        (index_document(), OCI_MANIFEST, "says it is"),
        (manifest_document(CONFIG, []), OCI_INDEX, "says it is"),
        ({"schemaVersion": 2, "manifests": [], "config": CONFIG}, OCI_MANIFEST, "list of manifests"),
        ({"schemaVersion": 2, "manifests": [], "layers": []}, OCI_INDEX, "with layers"),
        ({"schemaVersion": 2, "manifests": [], "config": CONFIG}, DOCKER_LIST, "with layers or a config"),
        ({"schemaVersion": 1}, OCI_MANIFEST, "schemaVersion is not 2"),
        ({"schemaVersion": 2}, DOCKER_MANIFEST, "config is not an object"),
        ({"schemaVersion": 2}, "text/html", "not a manifest or an index"),
        ({"schemaVersion": 1}, DOCKER_SCHEMA1 + "+prettyjws", "schema 1"),
        (index_document({**LAYER, "size": -1}), OCI_INDEX, "is not a number of bytes"),
        ({"schemaVersion": 2, "manifests": {}}, OCI_INDEX, "is not a list"),
    ],
)
def test_a_kind_that_poses_as_another_is_refused(
    document: dict[str, Any], media_type: str, cause: str
) -> None:
    """Case 68."""
    with pytest.raises(ContentError) as error:
        parse(dumped(document), media_type)
    assert cause in error.value.cause


@pytest.mark.parametrize("data", ["!!!", base64.b64encode(b"other").decode(), 5, ""])
def test_an_embedded_blob_that_is_not_the_blob_is_refused(data: object) -> None:
    """Case 71."""
    with pytest.raises(ContentError, match="data"):
        parse(dumped(manifest_document({**CONFIG, "data": data}, [])))


@pytest.mark.parametrize(("over", "fits"), [(0, True), (1, False)])
def test_a_manifest_may_have_the_limit_and_no_byte_more(over: int, fits: bool) -> None:
    data = dumped(manifest_document(CONFIG, []))
    data += b" " * (DEFAULT_LIMITS.manifest - len(data) + over)
    if fits:
        assert parse(data).blob.size == DEFAULT_LIMITS.manifest
    else:
        with pytest.raises(ContentError, match="larger than the limit"):
            parse(data)


# --- what it is, by header and by its own word ---------------------------------------------------------


def served(data: bytes, header: str) -> str:
    """The media type of a manifest that a registry serves with this header."""
    return parse_served(data, header, sha256(data), item="x").blob.media_type


@pytest.mark.parametrize(
    ("header", "own", "expected"),
    [
        (OCI_MANIFEST, OCI_MANIFEST, OCI_MANIFEST),
        (OCI_MANIFEST + "; charset=utf-8", OCI_MANIFEST, OCI_MANIFEST),
        (OCI_MANIFEST.upper(), None, OCI_MANIFEST),
        ("", DOCKER_MANIFEST, DOCKER_MANIFEST),
        ("application/json", OCI_MANIFEST, OCI_MANIFEST),
        ("", None, OCI_MANIFEST),
        ("text/html", None, OCI_MANIFEST),
    ],
)
def test_the_header_decides_unless_it_says_nothing(header: str, own: str | None, expected: str) -> None:
    """Case 15."""
    document = manifest_document(CONFIG, [])
    del document["mediaType"]
    data = dumped({**document, "mediaType": own} if own else document)
    assert served(data, header) == expected


def test_a_header_that_contradicts_the_document_is_refused() -> None:
    """Case 15."""
    with pytest.raises(ContentError, match="sent as"):
        served(dumped(index_document()), OCI_MANIFEST)


def test_schema_1_is_known_by_its_version_too() -> None:
    """Case 22."""
    with pytest.raises(ContentError, match="schema 1 is not supported"):
        served(b'{"schemaVersion": 1}', "application/json")


@pytest.mark.slow
@given(st.binary(max_size=40) | st.from_regex(r'\{"schemaVersion": ?[012], ?"[a-z]+":.*\}').map(str.encode))
def test_any_bytes_are_a_manifest_or_a_content_error(data: bytes) -> None:
    with pytest.raises(ContentError):
        parse(data)


def test_a_manifest_is_its_exact_bytes() -> None:
    ((_, data),) = an_image().manifests.values()
    assert parse(data + b"\n ").data == data + b"\n "


# --- what peers copy ---------------------------------------------------------------------------------


def test_an_index_may_list_blobs_as_build_caches_do() -> None:
    cache = {**LAYER, "mediaType": "application/vnd.buildkit.cacheconfig.v0"}
    child = {**CONFIG, "mediaType": OCI_MANIFEST}
    index = parse(dumped({"schemaVersion": 2, "manifests": [LAYER, cache, child]}), OCI_INDEX)
    assert [entry.digest for entry in index.children] == [CONFIG["digest"]]
    assert [blob.media_type for blob in index.blobs] == [LAYER["mediaType"], cache["mediaType"]]
    assert left_out(index) == set()


@pytest.mark.parametrize("more", [{}, {"manifests": None}, {"manifests": []}])
def test_an_index_of_nothing_lists_nothing_however_spelled(more: dict[str, Any]) -> None:
    data = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, **more}).encode()
    index = parse_manifest(data, OCI_INDEX, sha256(data))
    assert (index.children, left_out(index)) == ((), set())


def test_a_referrer_of_the_retired_artifact_type_is_read() -> None:
    document = {"mediaType": ARTIFACT_MANIFEST, "artifactType": "x/y", "blobs": [LAYER], "subject": CONFIG}
    artifact = parse(dumped(document), ARTIFACT_MANIFEST)
    assert [blob.digest for blob in artifact.blobs] == [LAYER["digest"]]
    assert artifact.subject
    assert (artifact.subject.digest, artifact.artifact_type) == (CONFIG["digest"], "x/y")


def test_a_null_annotation_is_an_empty_one() -> None:
    manifest = parse(dumped(manifest_document(CONFIG, [LAYER]) | {"annotations": {"a": None, "b": "c"}}))
    assert manifest.annotations == {"a": "", "b": "c"}


@pytest.mark.parametrize("media_type", [None, "", "absent"])
def test_a_layer_without_a_media_type_is_carried(media_type: str | None) -> None:
    layer = {**LAYER, "mediaType": media_type}
    if media_type == "absent":
        del layer["mediaType"]
    manifest = parse(dumped(manifest_document(CONFIG, [layer])))
    assert [part.blob.media_type for part in manifest.layers] == ["application/octet-stream"]


def test_a_null_media_type_is_that_of_the_answer() -> None:
    data = json.dumps({"schemaVersion": 2, "mediaType": None, "config": CONFIG, "layers": None}).encode()
    assert served(data, OCI_MANIFEST) == OCI_MANIFEST
    assert served(data, "application/json") == OCI_MANIFEST
