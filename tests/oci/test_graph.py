"""Children before parents, each once, and a gap named with both its sides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import IntegrityError
from bundler.oci.digest import Digest
from bundler.oci.graph import bottom_up, heights
from tests.builders import SHAPES, Content, an_index, an_index_of_indexes, index_document


@pytest.mark.parametrize("shape", SHAPES)
def test_children_come_before_parents_and_each_once(shape: str) -> None:
    manifests = SHAPES[shape]().parsed()
    order = [manifest.blob.digest for manifest in bottom_up(manifests, manifests)]
    assert sorted(order) == sorted(manifests)
    for digest in order:
        assert all(order.index(child.digest) < order.index(digest) for child in manifests[digest].children)


@pytest.mark.slow
@given(st.data())
def test_any_graph_is_walked_in_order(data: st.DataObject) -> None:
    content = Content()
    known = [content.add_image("leaf")]
    for number in range(data.draw(st.integers(1, 12))):
        children = data.draw(st.lists(st.sampled_from(known), max_size=4))
        known.append(content.add_manifest(index_document(*children, annotations={"n": str(number)})))
    manifests = content.parsed()
    seen: set[Digest] = set()
    for manifest in bottom_up([Digest(known[-1]["digest"])], manifests):
        assert {child.digest for child in manifest.children} <= seen
        assert manifest.blob.digest not in seen
        seen.add(manifest.blob.digest)


def test_a_missing_child_is_named_with_its_parent() -> None:
    """Case 12."""
    content = an_index(of=2)
    manifests = content.parsed()
    child, parent = next(iter(manifests)), content.tags["latest"]
    del manifests[child]
    with pytest.raises(IntegrityError) as error:
        list(bottom_up([parent], manifests))
    assert child in error.value.item
    assert parent in error.value.cause


def test_a_thousand_levels_need_no_recursion() -> None:
    content = an_index_of_indexes(1000)
    assert len(list(bottom_up(content.tags.values(), content.parsed()))) == 1001


def test_heights_count_the_levels_below() -> None:
    content = an_index_of_indexes(3)
    assert sorted(heights(content.tags.values(), content.parsed()).values()) == [0, 1, 2, 3]
