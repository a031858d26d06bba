"""One version by the name that a person gives it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.bundle.inventory import Inventory, roots_of
from bundler.errors import NotFoundError, UsageError
from bundler.extractor.find import find
from tests.builders import Content, a_module, an_index, packed

APP = a_module("1.0.0", "1.1.0")
MODULES = {
    "ghcr.io/team/modules/app": APP,
    "quay.io:8443/other/app": a_module("1.0.0", "2.0.0", name="other"),
    "ghcr.io/team/redis": a_module("7.2.0", name="redis"),
    "ghcr.io/team/copy": APP,
}


def inventory_of(contents: dict[str, Content] = MODULES) -> Inventory:
    return packed(contents)[0]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ghcr.io/team/modules/app:1.0.0", "ghcr.io/team/modules/app:1.0.0"),
        ("oci://ghcr.io/team/modules/app:1.0.0", "ghcr.io/team/modules/app:1.0.0"),
        ("quay.io:8443/other/app:1.0.0", "quay.io:8443/other/app:1.0.0"),
        ("modules/app:1.0.0", "ghcr.io/team/modules/app:1.0.0"),
        ("redis:7.2.0", "ghcr.io/team/redis:7.2.0"),
        ("app:2.0.0", "quay.io:8443/other/app:2.0.0"),
    ],
)
def test_a_name_may_lack_its_first_parts(text: str, name: str) -> None:
    found = find(text, inventory_of())
    assert (found.name, found.tag) == (name, name.rpartition(":")[2])


def test_a_name_of_several_is_refused_and_all_are_told() -> None:
    with pytest.raises(UsageError, match=r"modules/app:1\.0\.0, quay\.io:8443/other/app:1\.0\.0; write"):
        find("app:1.0.0", inventory_of())


def test_several_that_are_the_same_are_no_question() -> None:
    contents = {"a.example/x/app": APP, "b.example/y/app": APP}
    assert find("app:1.0.0", inventory_of(contents)).manifest.digest == APP.tags["1.0.0"]


def test_a_whole_name_comes_before_one_that_ends_in_it() -> None:
    contents = {"h.example/app": a_module("1.0.0"), "x.example/h.example/app": a_module("1.0.0", name="x")}
    assert find("h.example/app:1.0.0", inventory_of(contents)).name == "h.example/app:1.0.0"


@given(st.sampled_from(list(roots_of(inventory_of()))))
def test_every_version_is_found_by_its_name_and_its_digest(root: object) -> None:
    known = next(item for item in roots_of(inventory_of()) if item == root)
    assert find(str(known), inventory_of()).manifest.digest == known.digest
    for text in (f"@{known.digest}", f"{known.repository}@{known.digest}"):
        found = find(text, inventory_of())
        assert (found.name, found.tag, found.manifest.digest) == (known.digest, None, known.digest)


def test_a_manifest_of_an_index_is_found_by_its_digest() -> None:
    content = an_index(of=2)
    for digest in content.manifests:
        assert find(f"@{digest}", inventory_of({"h.example/os": content})).manifest.digest == digest


@pytest.mark.parametrize(
    ("text", "close"),
    [
        ("redis:7.2.1", "did you mean redis:7.2.0"),
        ("rediss:7.2.0", "did you mean redis:7.2.0"),
        ("ghcr.io/team/rediz:7.2.0", "did you mean ghcr.io/team/redis:7.2.0"),
        ("p:1.0.0", "not in the bundle"),
        ("app:1.0", "app:1.0.0"),
        (f"@sha256:{'0' * 64}", "`inspect` shows"),
        (f"nobody/here@{APP.tags['1.0.0']}", "not in the bundle"),
        ("%:%", "`inspect` shows"),
    ],
)
def test_an_unknown_name_is_told_with_those_that_are_close(text: str, close: str) -> None:
    with pytest.raises(NotFoundError) as error:
        find(text, inventory_of())
    assert close in str(error.value)


@pytest.mark.parametrize(
    "text",
    ["", "app", "ghcr.io:443/team/app", ":1.0.0", "@", "@sha256:0", "app@1.0.0", "oci://", "app:1.0.0@x"],
)
def test_what_names_no_version_is_refused(text: str) -> None:
    """Case 107."""
    with pytest.raises(UsageError, match="@DIGEST, as `inspect` shows"):
        find(text, inventory_of())


@given(st.text(max_size=40))
def test_any_text_is_found_or_told(text: str) -> None:
    with pytest.raises((UsageError, NotFoundError)) as error:
        find(text, inventory_of())
    assert str(error.value).isprintable()
