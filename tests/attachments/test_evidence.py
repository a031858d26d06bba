"""What is exempt from being judged: only what hangs, link by link, on something that is judged."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.attachments.evidence import Attachments
from bundler.attachments.referrers import attachment_tags, is_attachment_tag
from bundler.bundle.inventory import Root
from bundler.oci.digest import Digest
from bundler.oci.manifest import Manifest
from bundler.oci.reference import RepositoryName, Tag
from bundler.selection.sources import Include
from tests.builders import EMPTY_TYPE, OCI_LAYER, Content, a_module, manifest_document, sign_by_subject
from tests.doubles import MemoryRegistry
from tests.flows import exported

NAME = RepositoryName("h.example/app")


class Drawn(NamedTuple):
    """One manifest: what it refers to by number, the tags it has, whether a client could pull it."""

    subject: int | None
    attached_to: tuple[tuple[int, int], ...]
    version: bool
    pullable: bool


NUMBERS = st.integers(0, 5)

DRAWN = st.builds(
    Drawn,
    st.none() | NUMBERS,
    st.lists(st.tuples(NUMBERS, st.integers(0, 3)), max_size=2).map(tuple),
    st.booleans(),
    st.booleans(),
)


def built(drawn: list[Drawn]) -> tuple[list[Root], dict[Digest, Manifest], set[Digest]]:
    """Roots and manifests as they were drawn, and the digests of those that could be pulled."""
    content, digests = Content(), list[Digest]()
    for number, item in enumerate(drawn):
        more = {}
        if item.subject is not None and item.subject < number:
            subject = digests[item.subject]
            media_type, data = content.manifests[subject]
            more = {"subject": {"mediaType": media_type, "digest": subject, "size": len(data)}}
        layer = content.add_blob(b"%d" % number, OCI_LAYER if item.pullable else "text/plain")
        config = content.add_blob(b"{}", EMPTY_TYPE)
        digests.append(Digest(content.add_manifest(manifest_document(config, [layer], **more))["digest"]))
    roots: dict[tuple[str | None, Digest], Root] = {}
    for digest, item in zip(digests, drawn, strict=True):
        tags: list[Tag | None] = [Tag(f"v{digests.index(digest)}")] if item.version else []
        tags += [attachment_tags(digests[to % len(digests)])[form] for to, form in item.attached_to]
        for tag in tags or [None]:
            roots[tag, digest if tag is None else Digest("sha256:" + "0" * 64)] = Root(NAME, tag, digest)
    pullable = {digest for digest, item in zip(digests, drawn, strict=True) if item.pullable}
    return list(roots.values()), content.parsed(), pullable


def subject_of(root: Root, manifests: dict[Digest, Manifest], pullable: set[Digest]) -> str | None:
    """The digest or tag of what a root says it is attached to; None for what stands for itself."""
    if root.tag is None:
        subject = manifests[root.digest].subject
        return subject.digest if subject else None
    return root.tag if is_attachment_tag(root.tag) and root.digest not in pullable else None


@pytest.mark.slow
@given(st.lists(DRAWN, min_size=1, max_size=6))
def test_a_circle_of_attachments_exempts_nobody(drawn: list[Drawn]) -> None:
    roots, manifests, pullable = built(drawn)
    subjects = {root: subject_of(root, manifests, pullable) for root in roots}
    exempt: set[Root] = set()
    for _ in roots:  # each round adds what hangs on what the rounds before have found
        for root, subject in subjects.items():
            carriers = (other for other in roots if subjects[other] is None or other in exempt)
            if subject and any(subject in (at.digest, *attachment_tags(at.digest)) for at in carriers):
                exempt.add(root)
    attachments = Attachments(roots, manifests)
    assert {root for root in roots if attachments.is_attached(root)} == exempt
    of_delta = Attachments(roots, manifests, has_base=True)
    for root in roots:
        carried = {name for other in roots for name in (other.digest, *attachment_tags(other.digest))}
        if of_delta.is_attached(root) and root not in exempt:
            # It hangs on the base: its links end at something that the delta does not carry.
            ends = {root}
            while not any(subjects[end] and subjects[end] not in carried for end in ends):
                more = {
                    other
                    for end in ends
                    for other in roots
                    if subjects[end] in (other.digest, *attachment_tags(other.digest))
                }
                assert not more <= ends
                ends |= more


def in_a_circle() -> Content:
    """A signed module, and two manifests, each tagged as an attachment of the other."""
    content = a_module("1.0.0")
    sign_by_subject(content, content.tags["1.0.0"])
    config = content.add_blob(b"{}", EMPTY_TYPE)
    layers = [content.add_blob(text, "text/plain") for text in (b"one", b"other")]
    made = [content.add_manifest(manifest_document(config, [layer])) for layer in layers]
    first, second = (Digest(entry["digest"]) for entry in made)
    content.tags[attachment_tags(second)[2]] = first
    content.tags[attachment_tags(first)[2]] = second
    return content


def test_an_export_judges_each_of_a_circle(tmp_path: Path) -> None:
    content, along = in_a_circle(), Include(require=frozenset({"signature"}))
    circle = {tag for tag in content.tags if tag.endswith(".att")}
    with MemoryRegistry({"app": content}) as server:
        report = exported(tmp_path / "b.tar.zst", f"{server.host}/app", along=along)
    assert report.exit_code == 8
    assert {failure.item.rpartition(":")[2] for failure in report.failures} == circle
    assert len(circle) == 2
