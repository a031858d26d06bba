"""What a page says of a bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.bundle.contents import describe
from bundler.bundle.reader import open_bundle
from bundler.errors import ContentError
from bundler.limits import Limits
from bundler.page.findings import findings
from bundler.page.gather import page_of
from bundler.page.render import render_page
from bundler.page.values import LabelledFact, Marks, PageContents, Proof, UnknownImage
from bundler.session import Session
from tests.builders import (
    Content,
    a_bundle,
    a_module,
    a_signed_module,
    add_version,
    an_image,
    an_index,
    dumped,
    sign_by_tag,
)
from tests.doubles import MemoryRegistry
from tests.extractor.contents import a_version_of
from tests.page.contents import APP, IMAGE, PROVEN, a_module_with_images, a_transfer, page_in


def said(page: PageContents) -> str:
    """All that the reader is told first."""
    return "\n".join(f"{'ok' if one.in_order else 'look'}: {one.what} {one.more}" for one in findings(page))


def test_a_page_adds_up_as_inspect_does(tmp_path: Path) -> None:
    page = page_in(tmp_path, a_transfer())
    with open_bundle(tmp_path / "b.tar.zst") as opened:
        contents = describe(opened)
    assert (page.file.id, page.file.size) == (contents.id, contents.file_size)
    assert tuple(page.sizes) == (contents.listed_size, contents.distinct_size)
    assert [entry.size for entry in page.repositories] == [entry.size for entry in contents.repositories]
    assert page.blobs == contents.blobs


def test_tags_stand_by_version_with_what_they_say_of_themselves(tmp_path: Path) -> None:
    content = a_module_with_images("1.9.0", "1.10.0", "1.2.0")
    (entry,) = page_in(tmp_path, {APP: content}).repositories
    assert [tag.reference for tag in entry.tags] == ["1.2.0", "1.9.0", "1.10.0"]
    assert entry.kind == "Timoni module"
    newest = entry.tags[-1]
    assert (newest.version, newest.created) == ("1.10.0", "2026-02-01 08:15")
    assert (newest.revision, newest.source) == ("refs/tags/1.10.0", "https://example.com/app")


def test_what_a_tag_adds_and_what_all_tags_add_is_the_same(tmp_path: Path) -> None:
    module = a_module("1.0.0", "1.1.0", "1.2.0")
    module.tags["latest"] = module.tags["1.2.0"]
    (entry,) = page_in(tmp_path, {APP: module}).repositories
    assert sum(tag.new_size for tag in entry.tags) == entry.size
    assert [tag.new_size > 1500 for tag in entry.tags] == [True, True, True, False]
    assert entry.tags[-1].new_size == 0


def test_bytes_of_two_repositories_are_shared(tmp_path: Path) -> None:
    page = page_in(tmp_path, {APP: a_module(), f"{APP}-copy": a_module(), IMAGE: an_image()})
    assert [entry.shared_size == entry.size for entry in page.repositories] == [False, True, True]


@pytest.mark.parametrize(
    ("content", "kind"), [(an_image(), "container image"), (an_index(), "container image")]
)
def test_images_are_called_images(content: Content, kind: str, tmp_path: Path) -> None:
    assert page_in(tmp_path, {IMAGE: content}).repositories[0].kind == kind


# --- signatures --------------------------------------------------------------------------------------


def test_signatures_sboms_and_attestations_are_found_either_way(tmp_path: Path) -> None:
    (entry,) = page_in(tmp_path, {APP: a_signed_module()}).repositories
    assert {tag.reference: tag.marks for tag in entry.tags} == {
        "1.0.0": Marks(signatures=1),
        "1.1.0": Marks(signatures=1),
        "1.2.0": Marks(signatures=3, sboms=1, attestations=1),
        "1.3.0": Marks(),
    }
    assert entry.attachments > 5


def test_an_empty_list_of_signatures_is_no_signature(tmp_path: Path) -> None:
    content = a_module("1.0.0")
    config = content.add_blob(dumped({"signed": "nothing"}), "application/vnd.oci.image.config.v1+json")
    document = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
    tag = content.tags["1.0.0"].replace(":", "-") + ".sig"
    content.add_manifest({**document, "config": config, "layers": []}, tag)
    page = page_in(tmp_path, {APP: content})
    assert page.repositories[0].tags[0].marks == Marks()
    assert "1 of 1 tag without a signature" in said(page)


def test_a_signature_in_another_repository_signs_nothing(tmp_path: Path) -> None:
    signed, alone = a_module("1.0.0"), a_module("1.0.0")
    signed.add_manifest(
        {**_signature_of(signed), "layers": [signed.add_blob(b"sig", "text/plain")]},
        signed.tags["1.0.0"].replace(":", "-") + ".sig",
    )
    page = page_in(tmp_path, {APP: signed, f"{APP}-copy": alone})
    assert [entry.tags[0].marks.signatures for entry in page.repositories] == [1, 0]
    assert f"{APP}-copy: 1 of 1" in said(page)


def _signature_of(content: Content) -> dict[str, object]:
    config = content.add_blob(b"{}", "application/vnd.oci.image.config.v1+json")
    return {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config}


def test_a_bundle_in_which_all_is_signed_is_in_order(tmp_path: Path) -> None:
    content = a_signed_module()
    del content.tags["1.3.0"]
    assert "ok: Every tag has a signature." in said(page_in(tmp_path, {APP: content}))


# --- images ------------------------------------------------------------------------------------------


def test_images_of_modules_are_looked_for_in_the_bundle(tmp_path: Path) -> None:
    images = page_in(tmp_path, a_transfer()).images
    assert images.modules == 4
    assert [(row.reference, row.state) for row in images.rows] == [
        (f"{IMAGE}:1.0.0", "carried"),
        (f"{IMAGE}:1.1.0", "absent"),
        (f"{IMAGE}:1.2.0", "absent"),
    ]
    assert images.rows[2].namers == ((APP, "1.2.0", "latest", 2),)


def test_an_image_pinned_to_another_digest_is_not_in_the_bundle(tmp_path: Path) -> None:
    image = an_image()
    names = [f"{IMAGE}:1.0.0@{image.tags['1.0.0']}", f"{IMAGE}:1.0.0@sha256:{'0' * 64}", "NO name", "x"]
    page = page_in(tmp_path, {APP: _annotated(",".join(names)), IMAGE: image})
    assert {row.reference[-8:]: row.state for row in page.images.rows} == {
        names[0][-8:]: "carried",
        "00000000": "other",
        "x": "absent",
    }
    assert [place.place for place in page.images.unknown] == ["annotation sh.timoni.images"]


def _annotated(images: str) -> Content:
    content = a_module("1.0.0")
    digest = content.tags["1.0.0"]
    media_type, data = content.manifests.pop(digest)
    changed = data.replace(
        b'"annotations": {\n  "org', b'"annotations": {"sh.timoni.images": "%s", "org' % images.encode()
    )
    assert changed != data
    content.add_bytes(changed, media_type, "1.0.0")
    return content


def test_a_layer_that_is_no_archive_is_told_as_unknown(tmp_path: Path) -> None:
    (unknown,) = page_in(tmp_path, {APP: a_module("1.0.0")}).images.unknown
    assert (unknown.place, unknown.tags) == ("module layer", 1)
    assert "damaged gzip data" in unknown.reason


def test_a_layer_over_the_limit_is_not_read(tmp_path: Path) -> None:
    with open_bundle(a_bundle(tmp_path / "b.tar.zst", {APP: a_module_with_images("1.0.0")})) as opened:
        page = page_of(opened, PROVEN, Session(limits=Limits(module_layer=10)))
    assert "over the limit of 10 bytes" in page.images.unknown[0].reason


def test_names_without_end_are_not_held_in_memory(tmp_path: Path) -> None:
    names = [f"h.example/{number}" for number in range(2_100)]
    page = page_in(tmp_path, {APP: _annotated(",".join(names))})
    assert len(page.images.rows) == 2_000
    assert page.images.unknown == (("images", "more than 2,000 names", 1),)
    page = page_in(tmp_path, {APP: _annotated(",".join(names * 3))})
    assert "longer than 65,536 characters" in page.images.unknown[0].reason


def test_what_is_no_module_runs_nothing(tmp_path: Path) -> None:
    assert page_in(tmp_path, {IMAGE: an_image(), APP: a_version_of(b"layer")}).images.modules == 0


# --- what changed ------------------------------------------------------------------------------------


def test_what_changed_is_told_without_signatures_one_by_one(tmp_path: Path) -> None:
    old, new = a_module("1.0.0", "1.1.0"), a_transfer()
    old.tags["latest"] = old.tags["1.1.0"]
    older = a_bundle(tmp_path / "old.tar.zst", {APP: old})
    newer = a_bundle(tmp_path / "new.tar.zst", new)
    with open_bundle(older) as before, open_bundle(newer) as after:
        (part,) = page_of(after, PROVEN, Session(), since=[before]).changes
        page = page_of(after, PROVEN, Session(), since=[before, after])
    assert (part.old_name, part.old_id) == ("old.tar.zst", before.id)
    assert [(row.change, row.reference) for row in part.rows] == [
        ("added", "1.0.0"),
        ("moved", "1.0.0"),
        ("moved", "1.1.0"),
        ("added", "1.2.0"),
        ("moved", "latest"),
    ]
    assert part.unchanged == 0
    assert part.attachments > 2
    assert (len(page.changes), page.changes[1].rows, page.changes[1].unchanged) == (2, (), 5)
    assert "2 versions with other content than in old.tar.zst." in said(page)


# --- deltas ------------------------------------------------------------------------------------------


@pytest.fixture
def delta(tmp_path: Path) -> Path:
    """Beside its base: a version under a new name, its module layer left to the base; two tags gone."""
    base = a_module_with_images("1.0.0", "1.1.0", "1.2.0")
    sign_by_tag(base, base.tags["1.0.0"])
    with MemoryRegistry({"app": base}) as registry:
        full, out = (
            [f"{registry.host}/app", "-o", str(tmp_path / name), "-q"] for name in ("f.tar.zst", "d.tar.zst")
        )
        assert run(["export", *full]) == 0
        base.tags = {"1.1.0": base.tags["1.1.0"], "stable": base.tags["1.1.0"]}
        assert run(["export", *out, "--base", str(tmp_path / "f.tar.zst")]) == 0
    return tmp_path / "d.tar.zst"


def test_a_delta_tells_what_is_gone_and_what_its_base_has(delta: Path) -> None:
    with open_bundle(delta) as opened:
        page = page_of(opened, PROVEN, Session())
    (entry,) = page.repositories
    assert [tag.reference for tag in entry.tags] == ["stable"]
    assert entry.gone == ("1.0.0", "1.2.0")
    assert page.file.required > 0
    assert f"look: 2 tags said to be gone at the source. {entry.name}:1.0.0, {entry.name}:1.2.0." in said(
        page
    )


@pytest.mark.slow
def test_the_page_tells_gone_from_no_longer_selected(tmp_path: Path) -> None:
    source = a_module("1.0.0", "1.1.0")
    with MemoryRegistry({"app": source}) as registry:
        line = ["export", f"{registry.host}/app", "-q"]
        assert run([*line, "-o", str(tmp_path / "f.tar.zst")]) == 0
        del source.tags["1.0.0"]
        add_version(source, "2.0.0")
        out, base = str(tmp_path / "d.tar.zst"), str(tmp_path / "f.tar.zst")
        assert run([*line, "-o", out, "--base", base, "--newest", "1"]) == 0
    with open_bundle(Path(out)) as delta, open_bundle(Path(base)) as full:
        page = page_of(delta, PROVEN, Session(), since=[full])
    (entry,) = page.repositories
    assert (entry.gone, entry.deselected) == (("1.0.0",), ("1.1.0",))
    assert "look: 1 tag said to be gone at the source." in said(page)
    assert "look: 1 tag no longer selected." in said(page)
    rows = {row.reference: row.departure for row in page.changes[0].rows}
    assert rows == {"1.0.0": "gone at the source", "1.1.0": "no longer selected", "2.0.0": ""}
    html = render_page(page)
    assert "Tags that are gone at the source" in html
    assert "Tags that are no longer selected" in html


def test_a_module_layer_in_the_base_is_read_there_or_told(delta: Path) -> None:
    with open_bundle(delta) as opened, open_bundle(delta.with_name("f.tar.zst")) as base:
        alone = page_of(opened, PROVEN, Session()).images
        beside = page_of(opened, PROVEN, Session(), since=[base]).images
    assert "only the base of this delta has it" in alone.unknown[0].reason
    assert ([row.reference for row in beside.rows], beside.unknown) == ([f"{IMAGE}:1.1.0"], ())


# --- what to look at ---------------------------------------------------------------------------------


def test_a_file_without_sidecar_and_signature_is_told_to_be_so(tmp_path: Path) -> None:
    page = page_in(tmp_path, {IMAGE: an_image()}, Proof(every_byte=True, sidecar=False))
    assert "ok: Every byte was checked." in said(page)
    assert "look: No .sha256 file lies beside it." in said(page)
    assert "look: No signature on this file. Consistency is proven, origin is not" in said(page)


def test_a_place_that_can_not_be_read_is_named_once(tmp_path: Path) -> None:
    page = page_in(tmp_path, {APP: a_module("1.0.0")})
    places = tuple(UnknownImage("values.cue", reason, 1) for reason in ("a", "b"))
    told = said(page._replace(images=page.images._replace(unknown=places)))
    assert told.count("values.cue") == 1


def test_what_was_not_checked_is_not_called_consistent(tmp_path: Path) -> None:
    page = page_in(tmp_path, a_transfer(), Proof(every_byte=False, sidecar=False))
    assert "onsistency is proven" not in said(page) + render_page(page)


def test_images_stand_in_the_order_of_their_versions(tmp_path: Path) -> None:
    page = page_in(tmp_path, {APP: a_module_with_images("1.2.0", "1.9.0", "1.10.0")})
    assert [row.reference for row in page.images.rows] == [f"{IMAGE}:1.{minor}.0" for minor in (2, 9, 10)]


def test_what_was_not_checked_is_told_first(tmp_path: Path) -> None:
    page = page_in(tmp_path, a_transfer(), Proof(every_byte=False, sidecar=False))
    assert findings(page)[0].what == "The content was not checked."
    assert page.file.sha256 is None


def test_a_signature_that_nobody_checked_is_not_called_valid(tmp_path: Path) -> None:
    path = a_bundle(tmp_path / "b.tar.zst", {APP: a_module()})
    with open_bundle(path) as opened:
        page = page_of(
            opened, PROVEN, Session(), claimed=[LabelledFact("Signed, not checked, by", "SHA256:x")]
        )
    assert "look: The signature on this file was not checked." in said(page)
    assert "is valid" not in said(page)


def test_an_origin_that_was_proven_takes_the_warning_away(tmp_path: Path) -> None:
    with open_bundle(a_bundle(tmp_path / "b.tar.zst", a_transfer())) as opened:
        page = page_of(opened, PROVEN, Session(), origin=[LabelledFact("Signed by", "carrier@example.org")])
    assert "look: No signature on this file" not in said(page)
    assert "ok: The signature on this file is valid." in said(page)


def test_a_tag_that_says_it_is_another_version_is_named(tmp_path: Path) -> None:
    content = a_module("1.0.0", "1.1.0")
    content.tags |= {"1.2.0": content.tags["1.1.0"], "latest": content.tags["1.1.0"]}
    told = said(page_in(tmp_path, {APP: content}))
    assert f"look: 1 tag with another version inside than in the name. {APP}:1.2.0" in told


def test_parts_that_were_left_out_are_told(tmp_path: Path) -> None:
    page = page_in(tmp_path, {IMAGE: an_image()})._replace(left_out=3)
    assert "look: 3 parts of images left out on purpose." in said(page)


def test_more_manifests_than_memory_may_hold_are_refused(tmp_path: Path) -> None:
    path = a_bundle(tmp_path / "b.tar.zst", {APP: a_module()})
    with pytest.raises(ContentError, match="over the limit of 100"), open_bundle(path, Limits(manifests=100)):
        pass


def test_more_blobs_than_memory_may_hold_are_refused(tmp_path: Path) -> None:
    path = a_bundle(tmp_path / "b.tar.zst", {APP: a_module()})
    with open_bundle(path) as opened, pytest.raises(ContentError, match="limit of 5 blobs"):
        page_of(opened, Proof(every_byte=False, sidecar=False), Session(limits=Limits(needs=5)))


def test_an_empty_bundle_has_a_page(tmp_path: Path) -> None:
    page = page_in(tmp_path, {})
    assert (page.repositories, page.blobs, tuple(page.sizes)) == ((), 0, (0, 0))
