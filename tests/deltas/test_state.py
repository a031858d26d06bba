"""Any sequence of states, told by deltas alone, is the same as told whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.bundle.closure import check_closure
from bundler.bundle.inventory import Inventory, Root, bundle_id, encode, roots_of
from bundler.bundle.inventory_reader import decode
from bundler.bundle.manifest_pool import ChainEntry
from bundler.deltas.departed import DeltaScope, Fate, departed, name_of
from bundler.deltas.merge import merged_inventory
from bundler.deltas.state import Base, delta_inventory, full_inventory, state_of
from bundler.errors import ContentError
from bundler.limits import DEFAULT_LIMITS
from bundler.oci.graph import reached
from bundler.oci.reference import RepositoryName, Tag
from tests.builders import Content, a_module, an_index, an_index_of_indexes, sign_by_subject

POOL = Content()
for made in (a_module("1.0.0", "1.1.0", "1.2.0"), an_index(), an_index_of_indexes()):
    POOL.manifests |= made.manifests
    POOL.tags |= {str(len(POOL.tags) + number): digest for number, digest in enumerate(made.tags.values())}
MANIFESTS = POOL.parsed()
REPOSITORIES = [RepositoryName("h.example/a"), RepositoryName("h.example/b")]
TAGS = [Tag("1.0.0"), Tag("2.0.0"), Tag("latest")]

roots_strategy = st.builds(
    Root,
    st.sampled_from(REPOSITORIES),
    st.sampled_from([*TAGS, None]),
    st.sampled_from(sorted(POOL.tags.values())),
)
states = st.lists(roots_strategy, min_size=1, max_size=6, unique_by=name_of)


def listing(roots: list[Root]) -> DeltaScope:
    """Every repository was asked, and lists the tags of these roots."""
    tags = {name: {root.tag for root in roots if root.repository == name} for name in REPOSITORIES}
    return DeltaScope({name: {tag for tag in found if tag} for name, found in tags.items()})


def link(roots: list[Root], base: Base | None, *, complete: bool = True) -> ChainEntry:
    """A bundle of these roots: whole, or as a delta."""
    ordered = [*roots_of(full_inventory(roots, MANIFESTS))]
    inventory = (
        full_inventory(roots, MANIFESTS)
        if base is None
        else delta_inventory(ordered, MANIFESTS, base, listing(roots) if complete else DeltaScope({}))
    )
    own = {blob.digest: MANIFESTS[blob.digest] for blob in inventory.manifests}
    return ChainEntry(bundle_id(encode(inventory)), inventory, own)


def base_of(chain: list[ChainEntry]) -> Base:
    state = state_of(chain)
    return Base((chain[-1].id,), frozenset(state.roots), state.manifests)


@pytest.mark.slow
@given(st.lists(states, min_size=1, max_size=5))
def test_a_chain_of_deltas_makes_the_last_state(days: list[list[Root]]) -> None:
    chain = [link(days[0], None)]
    for before, day in pairwise(days):
        chain.append(link(day, base_of(chain)))
        delta = chain[-1].inventory
        assert decode(encode(delta)) == delta
        check_closure(delta, chain[-1].manifests, DEFAULT_LIMITS)
        assert delta.state == bundle_id(encode(full_inventory(day, MANIFESTS)))
        assert delta.base_state == bundle_id(encode(full_inventory(before, MANIFESTS)))
    assert merged_inventory(chain) == full_inventory(days[-1], MANIFESTS)


@pytest.mark.slow
@given(states, states)
def test_a_delta_brings_exactly_the_blobs_that_the_base_lacks(before: list[Root], after: list[Root]) -> None:
    base = link(before, None)
    delta = link(after, base_of([base])).inventory
    there = {blob.digest for blob in base.inventory.blobs}
    assert {blob.digest for blob in delta.blobs}.isdisjoint(there)
    assert {blob.digest for blob in delta.required} <= there
    for blob in delta.required:
        roots = [root for root in before if root.repository == blob.repository]
        held = {
            part.digest
            for root in roots
            for digest in reached(root.digest, MANIFESTS)
            for part in MANIFESTS[digest].blobs
        }
        assert blob.digest in held


@pytest.mark.slow
@given(states, states)
def test_what_failed_stays_as_it_was(before: list[Root], after: list[Root]) -> None:
    chain = [link(before, None)]
    chain.append(link(after, base_of(chain), complete=False))
    kept = {name_of(root): root for root in (*before, *after)}
    assert merged_inventory(chain) == full_inventory(kept.values(), MANIFESTS)


def a_delta() -> Inventory:
    """One tag more than the base."""
    first = Root(REPOSITORIES[0], TAGS[0], POOL.tags["0"])
    second = Root(REPOSITORIES[0], TAGS[1], POOL.tags["1"])
    found = link([first, second], base_of([link([first], None)])).inventory
    assert found.required
    return found


CONTRADICTIONS: dict[str, Callable[[Inventory], bytes]] = {
    "no base": lambda delta: encode(replace(delta, base=())),
    "full, with a base": lambda delta: encode(delta).replace(b'"delta"', b'"full"'),
    "a blob twice": lambda delta: encode(replace(delta, required=delta.required * 2)),
    "removed and there": lambda delta: encode(
        replace(delta, repositories=(replace(delta.repositories[0], removed={TAGS[1]: POOL.tags["1"]}),))
    ),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_delta_that_contradicts_itself_is_refused(name: str) -> None:
    with pytest.raises(ContentError):
        decode(CONTRADICTIONS[name](a_delta()))


# --- what became of the base -------------------------------------------------------------------------

APP = REPOSITORIES[0]
DIGEST = POOL.tags["0"]
OLD = Root(APP, TAGS[0], DIGEST)


def fate(scope: DeltaScope, *roots: Root) -> Fate | None:
    return departed(roots, MANIFESTS, [OLD], MANIFESTS, scope).get(OLD)


def test_a_tag_that_the_source_lists_no_more_is_removed() -> None:
    assert fate(DeltaScope({APP: {TAGS[1]}})) is Fate.REMOVED


def test_a_listed_tag_that_no_rule_takes_is_deselected() -> None:
    assert fate(DeltaScope({APP: {TAGS[0], TAGS[1]}})) is Fate.DESELECTED


def test_without_a_tag_list_nothing_is_called_gone() -> None:
    assert fate(DeltaScope({APP: None})) is Fate.DESELECTED


def test_of_what_was_not_asked_nothing_is_said() -> None:
    assert fate(DeltaScope({REPOSITORIES[1]: set()})) is Fate.KEPT
    assert fate(DeltaScope({APP: set()}, failed={name_of(OLD)})) is Fate.KEPT
    assert fate(DeltaScope({APP: set()}), OLD) is None


def signed() -> tuple[Content, Root, Root]:
    """A module, its root, and the root of a signature that refers to it."""
    content = a_module("1.0.0")
    signature = sign_by_subject(content, content.tags["1.0.0"])
    return content, Root(APP, TAGS[0], content.tags["1.0.0"]), Root(APP, None, signature)


@pytest.mark.parametrize(("listed", "became"), [(set(), Fate.REMOVED), ({TAGS[0]}, Fate.DESELECTED)])
def test_a_signature_shares_the_fate_of_its_subject(listed: set[Tag], became: Fate) -> None:
    content, module, signature = signed()
    known = content.parsed()
    found = departed([], known, [signature, module], known, DeltaScope({APP: listed}))
    assert found == {module: became, signature: became}


def test_a_signature_is_gone_only_if_its_subject_was_asked_about() -> None:
    content, module, signature = signed()
    known = content.parsed()
    asked = DeltaScope({APP: {TAGS[0]}}, subjects={(APP, module.digest)})
    assert departed([module], known, [module, signature], known, asked) == {signature: Fate.REMOVED}
    unasked = DeltaScope({APP: {TAGS[0]}})
    assert departed([module], known, [module, signature], known, unasked) == {signature: Fate.DESELECTED}
