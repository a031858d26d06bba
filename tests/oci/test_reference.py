"""Names of things in registries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import UsageError
from bundler.oci.reference import (
    DOCKER_HUB,
    RegistryName,
    RepositoryName,
    RepositoryPath,
    Tag,
    address,
    can_match,
    glob_in_full,
    is_meant,
    parse_prefix,
    parse_reference,
)

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize("text", ["1.0.0", "v1", "_", "a" * 128, "A.b-c_d", "1.0.0-rc.1"])
def test_a_tag_of_the_grammar_is_accepted(text: str) -> None:
    assert Tag.parse(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "-rf", ".hidden", "a" * 129, "a b", "a/b", "a:b", "1.0.0+build", "x\n", "\x1b[31m", "é", None, 3],
)
def test_what_is_no_tag_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a tag"):
        Tag.parse(text)


@pytest.mark.parametrize(
    "text", ["ghcr.io", "localhost:5000", "127.0.0.1:80", "[::1]:5000", "UPPER.example", "a-b.c-d", "x"]
)
def test_a_registry_is_a_host_and_perhaps_a_port(text: str) -> None:
    assert RegistryName.parse(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "-a", "a-", "a..b", "a:", "a:123456", "a b", "a/b", "user@host", "http://a", "a\n", "[zz]", ".a"],
)
def test_what_is_no_registry_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a registry"):
        RegistryName.parse(text)


@pytest.mark.parametrize("text", ["a", "a/b/c", "a__b", "a.b-c", "a---b", "library/nginx"])
def test_a_repository_path_of_the_grammar_is_accepted(text: str) -> None:
    assert RepositoryPath.parse(text) == text


@pytest.mark.parametrize(
    "text", ["", "/", "a/", "/a", "a//b", "A", "a..b", "../a", "a/../b", "a___b", "_a", "a\n"]
)
def test_what_is_no_repository_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a repository"):
        RepositoryPath.parse(text)


@pytest.mark.slow
@given(st.from_regex(RepositoryName.grammar, fullmatch=True).filter(lambda text: len(text) <= 255))
def test_a_repository_name_is_its_registry_and_its_path(text: str) -> None:
    name = RepositoryName.parse(text)
    assert f"{name.registry}/{name.path}" == text
    assert RepositoryPath.parse(name.path)


def test_a_repository_name_whose_path_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a repository"):
        RepositoryName.parse("host/" + "a" * 256)


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("localhost", True), ("localhost:5000", True), ("127.0.0.1:1", True), ("127.3.2.1", True),
        ("[::1]:5000", True), ("ghcr.io", False), ("127.0.0.1.example.com", False), ("128.0.0.1", False),
        ("localhost.example", False),
    ],
)  # fmt: skip
def test_only_this_machine_is_loopback(text: str, loopback: bool) -> None:
    assert RegistryName.parse(text).loopback is loopback


@pytest.mark.parametrize(
    ("text", "repository", "tag", "digest"),
    [
        ("ghcr.io/a/b", "ghcr.io/a/b", None, None),
        ("oci://ghcr.io/a/b:1.0.0", "ghcr.io/a/b", "1.0.0", None),
        ("localhost:5000/a", "localhost:5000/a", None, None),
        ("localhost:5000/a:x", "localhost:5000/a", "x", None),
        (f"h.x/a@{DIGEST}", "h.x/a", None, DIGEST),
        (f"h.x/a:t@{DIGEST}", "h.x/a", "t", DIGEST),
        (f"a/b@{DIGEST}", "ghcr.io/a/b", None, DIGEST),
        ("stefanprodan/modules/podinfo", "ghcr.io/stefanprodan/modules/podinfo", None, None),
        ("oci://stefanprodan/modules/podinfo:6.5.0", "ghcr.io/stefanprodan/modules/podinfo", "6.5.0", None),
        ("podinfo", "ghcr.io/podinfo", None, None),
        ("localhost/a", "localhost/a", None, None),
        ("[::1]/a", "[::1]/a", None, None),
        ("host:1/a", "host:1/a", None, None),
        ("docker.io/nginx:1.25", "docker.io/library/nginx", "1.25", None),
        ("index.docker.io/org/app", "docker.io/org/app", None, None),
    ],
)
def test_a_reference_is_taken_apart(text: str, repository: str, tag: str | None, digest: str | None) -> None:
    assert parse_reference(text) == (repository, tag, digest)


@pytest.mark.parametrize(
    ("text", "default", "repository"),
    [
        ("team/app", "registry.example:5000", "registry.example:5000/team/app"),
        ("nginx", "docker.io", "docker.io/library/nginx"),
        ("ghcr.io/team/app", "registry.example", "ghcr.io/team/app"),
    ],
)
def test_a_reference_without_a_host_is_on_the_default_registry(
    text: str, default: str, repository: str
) -> None:
    assert parse_reference(text, RegistryName(default)).repository == repository


@pytest.mark.parametrize(
    "text",
    [
        "", "ghcr.io", "localhost:5000",
        "ghcr.io/", "ghcr.io/A", "ghcr.io/a:", "ghcr.io/a@", "ghcr.io/a@sha256:0", "https://ghcr.io/a",
        "oci://oci://ghcr.io/a", "ghcr.io/a:b:c", "ghcr.io/a b", "ghcr.io/a:-rf", "user:pass@ghcr.io/a",
        "ghcr.io/a\n",
    ],
)  # fmt: skip
def test_a_bad_reference_is_a_usage_error_that_shows_the_form(text: str) -> None:
    """Case 107."""
    with pytest.raises(UsageError) as error:
        parse_reference(text)
    assert "[HOST/]REPOSITORY" in error.value.next_step


@given(st.text(max_size=60))
def test_any_text_is_a_reference_or_a_usage_error(text: str) -> None:
    try:
        reference = parse_reference(text)
    except UsageError:
        return
    assert parse_reference(str(reference)).repository == reference.repository


@pytest.mark.parametrize(
    ("text", "shown"),
    [("oci://h:5000", "h:5000"), ("h/mirror/x", "h/mirror/x"), ("oci://h/", "h"), ("[::1]:1/p", "[::1]:1/p")],
)
def test_a_prefix_is_a_registry_and_perhaps_a_path(text: str, shown: str) -> None:
    assert str(parse_prefix(text)) == shown


def test_a_prefix_puts_repositories_below_itself() -> None:
    assert parse_prefix("h/mirror").repository(RepositoryPath("a/b")) == "h/mirror/a/b"


@pytest.mark.parametrize("text", ["", "oci://", "h//x", "h/UP", "https://h", "h/a:tag", "h/\n"])
def test_what_is_no_prefix_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_prefix(text)


@pytest.mark.parametrize(
    "text",
    [
        "oci://user:SECRET/word@h.io/a", "oci://SECRET@h.io/a:1.0", "oci:/user:SECRET@h.io/a",
        "SECRET@h.io:5000",
        "h.io/a?token=SECRET", "oci://h.io/a:1.0?sig=SECRET", "h.io/a;token=SECRET", "h.io/a#SECRET",
        "oci://user:SECRET@[::1]:5000/a", "oci://user:S@SECRET@h.io/a", "user:SECRET@h.io/a@sha256:00",
    ],
)  # fmt: skip
def test_an_address_with_a_secret_is_refused_without_it(text: str) -> None:
    for parse in (parse_reference, parse_prefix):
        with pytest.raises(UsageError) as raised:
            parse(text)
        assert "SECRET" not in str(raised.value)


def test_a_glob_of_one_letter_is_no_query() -> None:
    assert address("h.io/org/app-?", "") == "h.io/org/app-?"


@pytest.mark.parametrize(
    ("glob", "full"),
    [
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("index.docker.io/nginx", "docker.io/library/nginx"),
        ("docker.io/nginx:*", "docker.io/library/nginx:*"),
        ("docker.io/bitnami/redis", "docker.io/bitnami/redis"),
        ("docker.io/ngi*", "docker.io/ngi*"),
        ("podinfo", "ghcr.io/podinfo"),
        ("stefanprodan/modules/podinfo", "ghcr.io/stefanprodan/modules/podinfo"),
        ("stefanprodan/modules/*", "ghcr.io/stefanprodan/modules/*"),
        ("oci://stefanprodan/*", "ghcr.io/stefanprodan/*"),
        ("localhost/app", "localhost/app"),
        ("localhost:5000/app:1.*", "localhost:5000/app:1.*"),
        ("h.example/*", "h.example/*"),
        ("*", "*"),
        ("*/redis", "*/redis"),
        ("*.example/a", "*.example/a"),
        ("gh*/a/b", "gh*/a/b"),
        ("[gq]*/a", "[gq]*/a"),
    ],
)
def test_a_glob_means_what_the_same_reference_means(glob: str, full: str) -> None:
    assert glob_in_full(glob) == full
    assert is_meant(full.replace("*", "x"), (glob,)) or "[" in glob


def test_a_glob_on_images_is_on_docker_hub_without_a_host() -> None:
    for glob in ("nginx", "nginx:*", "docker.io/nginx:1.*", "library/nginx*"):
        names = ("docker.io/library/nginx", "docker.io/library/nginx:1.27")
        assert any(is_meant(name, (glob,), DOCKER_HUB) for name in names)
    assert not is_meant("ghcr.io/nginx", ("nginx",), DOCKER_HUB)


@pytest.mark.parametrize(
    ("name", "glob"),
    [
        ("ghcr.io/team/app", "GHCR.io/team/*"),
        ("GHCR.IO/team/app", "ghcr.io/*"),
        ("[::1]:5000/team/app", "[::1]:5000/team/*"),
        ("[fd00::5]/team/app", "oci://[FD00::5]/*"),
    ],
)
def test_a_glob_means_a_host_in_any_case_and_form(name: str, glob: str) -> None:
    assert is_meant(name, (glob,))
    assert not is_meant(name.replace("team", "other"), (glob.replace("/*", "/team/*", 1),))


@pytest.mark.parametrize(
    ("glob", "possible"),
    [
        ("*", True),
        ("*/app", True),
        ("team/*", True),
        ("ghcr.io/[a-z]*/app", True),
        ("localhost:5000/app", True),
        ("ghcr.io", False),
        ("ghcr.io/Team/*", False),
        ("ghcr.io/team/app:1.0.0", False),
        ("ghcr.io/team/", False),
        ("*/team//app", False),
        ("[::1]:5000/team/*", True),
        ("*.example.com:5000/*", True),
        ("*app", True),
        (" ghcr.io/team/*", False),
        ("ghcr.io,docker.io/team/*", False),
        ("https://ghcr.io/team/*", False),
        ("ghcr.io/.*", False),
        ("*(app)", False),
    ],
)
def test_a_glob_that_no_repository_matches_is_known(glob: str, *, possible: bool) -> None:
    assert can_match(glob) == possible
