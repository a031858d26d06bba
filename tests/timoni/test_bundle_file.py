"""Timoni Bundle files: what they name is read, and nothing else; other addresses go in exactly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import ContentError, UsageError
from bundler.oci.reference import RepositoryName
from bundler.timoni.bundle_file import BundleModules, read_bundle_files, rewritten
from bundler.timoni.source_text import SourceText
from tests.timoni.test_cue import CUE_LIKE

FILES = Path(__file__).parent / "bundle_files"
OCI = "oci://registry.example/"


def source(name: str) -> SourceText:
    """A Bundle file of this folder, its line ends as they are."""
    return SourceText(name, (FILES / name).read_bytes().decode())


def read(*names: str, **values: str) -> BundleModules:
    return read_bundle_files([source(name) for name in names], values)


def cue(text: str, **values: str) -> BundleModules:
    return read_bundle_files([SourceText("b.cue", text)], values)


def instances(found: BundleModules) -> dict[str, tuple[str, str]]:
    """Address, without scheme and host of most, and version."""
    return {module.instance: (module.url.removeprefix(OCI), module.version) for module in found.modules}


def unread(found: BundleModules) -> list[str]:
    return [f"{one.place.partition(':')[2]} {one.what}: {one.reason}" for one in found.unreadable]


WEB = {"web": ("web", "1.0.0")}
MORE = "bundle.instances: more instances may come from"

READ = {
    "struct.cue": {
        "cache": ("modules/cache", "7.2.4"),
        "web-app": ("oci://registry.example:5000/modules/web", "6.5.0"),
    },
    "chain.cue": {"cache": ("modules/cache", "7.2.4"), "web-app": ("modules/web", "latest")},
    "one-line.cue": WEB,
    "all-chains.cue": WEB,
    "quoted-labels.cue": WEB,
    "package-and-imports.cue": WEB,
    "comments.cue": WEB,
    "dos-line-ends.cue": WEB,
    "urls-elsewhere.cue": {"sync": ("sync", "latest")},
    "spellings-of-strings.cue": {
        "raw": ("raw", "1.0.0"),
        "escaped": ("escaped", "1.0.0"),
        "lines": ("lines", "1.0.0"),
        "grouped": ("grouped", "latest"),
    },
    "runtime-with-literal.cue": WEB,
    "runtime-with-default.cue": WEB,
    "runtime-of-other-types.cue": {name: (name, "latest") for name in "abcdef"},
    "update-policy.cue": {"web": ("web", "8.10.1"), "api": ("api", "2.0.0")},
    "hidden-fields.cue": {
        "web": ("web", "1.2.3"),
        "api": ("api", "latest"),
        "old": ("old", "0.1.0"),
        "new": ("new", "4.0.0"),
    },
    "let.cue": {"web": ("web", "1.2.3"), "api": ("api", "1.0.0")},
    "shadowed-names.cue": {"web": ("web", "2.0.0"), "api": ("api", "1.0.0"), "cli": ("cli", "1.0.0")},
    "patterns.cue": {"web": ("web", "latest")},
    "optional.cue": WEB,
    "types-around.cue": {"web": ("web", "latest")},
    "block.yaml": {"web": ("web", "1.2.3"), "api": ("api", "1.10")},
    "flow.yml": {"web": ("web", "1.0.0"), "api": ("api", "latest")},
}

PARTLY = {
    "runtime-required.cue": (
        {},
        [
            "7 instance web: module.url: the environment sets it: give it with --set WEB_URL=...",
            "8 instance web: module.version: the environment sets it: give it with --set WEB_VERSION=...",
        ],
    ),
    "unresolved-references.cue": (
        {},
        [
            "10 instance a: module.url: it is a reference to _nowhere, which has no value in these files",
            "11 instance b: module.version: "
            "it is a reference to inputs.version, which has no value in these files",
            "3 instance c: module.version: it refers to itself",
            "13 instance d: module.url: it is a reference to _open, which has no value in these files",
        ],
    ),
    "interpolation.cue": (
        {},
        [
            "7 instance web: module.url: it is a string with expressions in it",
            "8 instance api: module.version: it is a string with expressions in it",
        ],
    ),
    "expressions.cue": (
        {},
        [
            "5 instance a: module.url: it is an expression",
            "6 instance b: module.version: it is a number",
            "7 instance c: module.version: it is one of several values",
            "8 instance d: module.version: it is null",
            "9 instance e: module.url: it is bytes",
            "10 instance f: module.url: it is a struct",
            "11 instance g: module.url: it is a list",
        ],
    ),
    "comprehensions.cue": (
        {},
        [
            f"8 {MORE} a part made by `for`",
            f"11 {MORE} a part made by `if`",
            f"14 {MORE} a field with a computed name",
            "8 instance web: module.version: it may be set here, by a part made by `for`",
        ],
    ),
    "conditions-inside.cue": (
        {"values": ("values", "latest"), "pinned": ("pinned", "1.0.0")},
        [
            "12 instance version: module.version: it may be set here, by a part made by `if`",
            "19 instance url: module.url: it may be set here, by a part made by `if`",
        ],
    ),
    "pattern-with-version.cue": (
        {"api": ("api", "3.0.0")},
        ["5 instance web: module.version: it may be set here, by a pattern for all fields"],
    ),
    "base-struct.cue": (
        {"web": ("web", "1.0.0"), "both": ("both", "1.0.0")},
        ["10 instance api: module.version: it may be set here, by a reference to #Base"],
    ),
    "contradiction.cue": (
        {"api": ("api", "1.0.0")},
        [
            "6 instance web: module.url: 'oci://other.example/web' here, "
            "but 'oci://registry.example/web' at contradiction.cue:5"
        ],
    ),
    "nothing-to-read.cue": (
        {},
        [
            "5 instance nothing: module.url: there is none",
            "6 instance empty: module.url: there is none",
            "7 instance text: module.url: it may be set here, by a text",
            "7 instance text: module.version: it may be set here, by a text",
            "8 instance module: module.url: there is none",
            "9 instance open: module.url: there is none",
            "10 instance shaped: module.url: there is none",
        ],
    ),
    "no-instances.cue": ({}, ["1 bundle.instances: there are none"]),
    "computed-instances.cue": ({}, [f"6 {MORE} a reference to all.instances"]),
    "damaged.cue": (
        WEB,
        [
            f"3 {MORE} a string or attribute that does not end",
            "3 instance api: module.url: it is an expression",
            "3 instance api: module.version: it may be set here, by a string or attribute that does not end",
        ],
    ),
    "scalars.yaml": (
        {"folded": ("folded", "1.0.0"), "tagged": ("tagged", "1.0")},
        [
            "11 instance number: module.version: it is a YAML float: put it in quotes",
            "12 instance nothing: module.version: it is a YAML null: put it in quotes",
            "13 instance list: module.url: it is a list",
            "14 instance text: module.url: it may be set here, by a text",
            "14 instance text: module.version: it may be set here, by a text",
        ],
    ),
    "aliases.yaml": (
        {**WEB, "api": ("api", "1.0.0")},
        [
            "13 instance merged: module.version: it may be set here, by a field with a computed name",
            "16 instance alias: module.url: it may be set here, by an alias",
            "16 instance alias: module.version: it may be set here, by an alias",
        ],
    ),
    "plain.json": (
        {**WEB, "api": ("api", "latest")},
        ["12 instance bad: module.version: it is a number"],
    ),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_written_out_is_read(name: str) -> None:
    found = read(name)
    assert instances(found) == READ[name]
    assert unread(found) == []


@pytest.mark.parametrize("name", PARTLY)
def test_what_is_not_certain_is_named_with_its_reason(name: str) -> None:
    found = read(name)
    assert (instances(found), unread(found)) == PARTLY[name]


def test_every_file_here_is_in_a_test() -> None:
    others = {"local-modules.cue", "impossible-addresses.cue"}
    alone = {path.name for path in FILES.iterdir() if not path.name.startswith("split-")}
    assert alone == {*READ, *PARTLY, *others}


def test_a_local_module_is_skipped_and_told() -> None:
    found = read("local-modules.cue")
    assert instances(found) == {"web": ("web", "latest")}
    assert [(one.place, one.what) for one in found.skipped] == [
        ("local-modules.cue:5", "instance local"),
        ("local-modules.cue:6", "instance absolute"),
    ]


def test_an_address_that_timoni_can_not_pull_is_unreadable() -> None:
    found = read("impossible-addresses.cue")
    assert instances(found) == {"j": ("j", "latest")}
    assert [one.what.partition(" ")[2] for one in found.unreadable] == [
        *(f"{name}: module.url" for name in "abcdef"), "g: module.version", "h: module.digest",
        "i: module.version",
    ]  # fmt: skip


def test_a_reference_says_where_it_stands_and_what_it_pins() -> None:
    cache = read("struct.cue").modules[0]
    assert cache.place == "struct.cue:7"
    assert cache.digest == "sha256:" + "1" * 64
    assert cache.repository == RepositoryName("registry.example/modules/cache")


def test_files_in_all_three_languages_make_one_bundle() -> None:
    found = read("split-1.cue", "split-2.yaml", "split-3.json", "split-4.cue")
    assert instances(found) == {"web": ("web", "1.2.3"), "api": ("api", "2.0.0")}
    assert found.modules[0].digest == "sha256:" + "2" * 64
    assert found.unreadable == ()


def test_without_a_package_names_of_another_file_are_not_seen() -> None:
    bundle = 'bundle: instances: web: module: {url: "oci://h.example/web", version: _v}'
    found = read_bundle_files([SourceText("a.cue", bundle), SourceText("b.cue", '_v: "1.0.0"')], {})
    assert unread(found) == [
        "1 instance web: module.version: it is a reference to _v, which has no value in these files"
    ]


# --- runtime values ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["runtime-required.cue", "runtime-with-literal.cue", "runtime-with-default.cue"]
)
def test_a_runtime_value_replaces_what_is_written(name: str) -> None:
    found = read(name, WEB_URL="oci://mirror.example/web", WEB_VERSION="3.0.0")
    assert instances(found) == {"web": ("oci://mirror.example/web", "3.0.0")}


def test_only_the_first_attribute_of_timoni_counts() -> None:
    found = read("runtime-of-other-types.cue", WEB_URL="oci://mirror.example/web", NUMBER="1")
    read_urls = {name: address for name, (address, _) in instances(found).items()}
    assert read_urls == {"b": "b", "c": "c", "d": "d", "e": "oci://mirror.example/web"}
    assert unread(found) == [
        "5 instance a: module.url: it is a number",
        "10 instance f: module.url: it may be set here, by a text",
        "10 instance f: module.version: it may be set here, by a text",
    ]


def test_a_runtime_value_reaches_those_who_refer_to_it() -> None:
    assert instances(read("hidden-fields.cue", DISTRIBUTION="2.8.0"))["api"] == ("api", "2.8.0")


def test_a_default_that_another_part_may_change_is_not_certain() -> None:
    found = cue(
        'bundle: instances: {a: {module: {url: "oci://h.io/a", version: *"1.0.0" | string}}, a: #Base}'
    )
    assert unread(found) == ["1 instance a: module.version: it may be set here, by a reference to #Base"]


def test_two_defaults_that_differ_are_unreadable() -> None:
    found = cue(
        'bundle: instances: a: module: {url: "oci://h.io/a", version: *"1.0.0" | string}\n'
        'bundle: instances: a: module: version: *"2.0.0" | string\n'
    )
    assert unread(found) == ["2 instance a: module.version: '2.0.0' here, but '1.0.0' at b.cue:1"]


def test_a_field_named_like_a_type_is_the_field() -> None:
    found = cue('bundle: {string: "oci://h.io/a", instances: a: module: url: string}')
    assert instances(found) == {"a": ("oci://h.io/a", "latest")}


@pytest.mark.slow
def test_long_and_branching_chains_of_references_end() -> None:
    chain = "\n".join(f"_v{number}: _v{number + 1} & _v{number + 1}" for number in range(3000))
    found = cue(f'{chain}\nbundle: instances: a: module: {{url: "oci://h.io/a", version: _v0}}')
    assert "reference" in unread(found)[0]


# --- what is no bundle -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "cause"),
    [
        ("x.cue", "", "no field `bundle`"),
        ("x.cue", '_bundle: instances: a: module: url: "oci://h.io/a"', "no field `bundle`"),
        ("x.cue", "\x00\x01\x02", "no field `bundle`"),
        ("x.yaml", "", "no field `bundle`"),
        ("x.yaml", "just text", "no field `bundle`"),
        ("x.yaml", "bundle: {}\n---\nbundle: {}\n", "a second document"),
        (
            "x.yaml",
            "bundle:\n  instances: {}\n  instances: {}\n",
            r"x\.yaml:3: the key 'instances' twice",
        ),
        ("x.yaml", "bundle: [", "not valid YAML: line"),
        ("x.yaml", "bundle: \x07", "not valid YAML"),
        ("x.yaml", 'bundle: "\\UFFFFFFFF"', "not valid YAML"),
        ("x.yaml", "bundle: " + "[" * 100, "nested more than 64 deep"),
        ("x.yaml", " " * 600_000, "larger than the limit"),
        ("x.json", '{"bundle": {"a": 1, "a": 2}}', "the key 'a' occurs twice in one object"),
        ("x.json", "{bundle: {}}", "not valid JSON"),
        ("x.json", '{"bundle": ' + "[" * 100_000, "not valid JSON"),
        ("x.json", " " * 5_000_000, "larger than the limit"),
        ("x.json", "[]", "no field `bundle`"),
        ("x.toml", "", "not a Timoni Bundle file"),
        ("bundle", "", "not a Timoni Bundle file"),
    ],
)
def test_what_can_be_no_bundle_is_refused_by_name(name: str, text: str, cause: str) -> None:
    with pytest.raises(ContentError, match=cause) as error:
        read_bundle_files([SourceText(name, text)], {})
    assert error.value.item.startswith(name)


def test_a_data_file_without_a_bundle_is_refused_among_others() -> None:
    with pytest.raises(ContentError, match=r"^values\.yaml: not a Timoni Bundle"):
        read_bundle_files([source("struct.cue"), SourceText("values.yaml", "values: {}")], {})


def test_aliases_in_yaml_are_never_expanded() -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 30))
    bundle = "bundle: {instances: {a: {module: {url: oci://h.io/a}, values: *l29}}}"
    bomb = f'l0: &l0 ["x"]\n{levels}{bundle}'
    found = read_bundle_files([SourceText("b.yaml", bomb)], {})
    assert instances(found) == {"a": ("oci://h.io/a", "latest")}


@pytest.mark.slow
@pytest.mark.parametrize(
    "many", ["[string]: x: 1\n", "#A\n", 'if x {a0: module: version: "1"}\n', "a%d: module: {}\n"]
)
def test_many_parts_of_one_kind_take_no_more_than_their_length(many: str) -> None:
    lines = "".join(many.replace("%d", str(number)) + f"a{number}: module: {{}}\n" for number in range(3000))
    assert len(cue(f"bundle: instances: {{\n{lines}}}").unreadable) >= 3000


# --- other addresses ---------------------------------------------------------------------------------

REWRITABLE = sorted(path.name for path in FILES.iterdir())


def moved(url: str) -> str:
    return url.replace("://", "://[::1]:5000/mirror/").replace("registry.example:5000", "other")


def urls_in(file: SourceText) -> dict[str, str]:
    """Each instance's address, as far as it can be read."""
    try:
        found = read_bundle_files([file], {})
    except ContentError:
        return {}
    return {module.instance: module.url for module in found.modules}


@pytest.mark.parametrize("name", REWRITABLE)
def test_a_file_rewritten_with_its_own_addresses_is_the_same(name: str) -> None:
    file = source(name)
    assert rewritten(file, {url: url for url in urls_in(file).values()}) == file.text
    assert rewritten(file, {"oci://h.io/not-there": "oci://h.io/other"}) == file.text


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in REWRITABLE if name != "let.cue"])
def test_a_rewritten_file_reads_with_the_other_addresses(name: str) -> None:
    file = source(name)
    before = urls_in(file)
    after = file._replace(text=rewritten(file, {url: moved(url) for url in before.values()}))
    assert urls_in(after) == {instance: moved(url) for instance, url in before.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", REWRITABLE)
def test_rewriting_there_and_back_changes_address_spelling_only(name: str) -> None:
    file = source(name)
    forth = {url: moved(url) for url in urls_in(file).values()}
    there = file._replace(text=rewritten(file, forth))
    lines = zip(file.text.split("\n"), there.text.split("\n"), strict=True)
    assert all("url" in one or "oci:" in one for one, other in lines if one != other)
    back = rewritten(there, {new: old for old, new in forth.items()})
    assert urls_in(file._replace(text=back)) == urls_in(file)


SPELLINGS = [
    ("b.cue", 'url: "{}" // a comment', 'url: "{}" // a comment'),
    ("b.cue", 'url: #"{}"# @timoni(runtime:string:U)', 'url: #"{}"# @timoni(runtime:string:U)'),
    ("b.cue", 'url: *"{}" | string', 'url: *"{}" | string'),
    ("b.cue", 'url: """\n\t{}\n\t"""', 'url: """\n\t{}\n\t"""'),
    ("b.cue", "_u: \"{}\", url: _u", None),
    ("b.yaml", "url: {}  # a comment", "url: {}  # a comment"),
    ("b.yaml", "url: !!str '{}'", "url: !!str '{}'"),
    ("b.yaml", "url: &here \"{}\"", "url: &here \"{}\""),
    ("b.yaml", "url: >-\n      {}", "url: >-\n      {}"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "before", "after"), SPELLINGS)
def test_the_spelling_around_an_address_stays(name: str, before: str, after: str | None) -> None:
    cue_frame = "bundle: instances: web: module: {%s\n}"
    frame = cue_frame if name == "b.cue" else "bundle:\n instances:\n  web:\n   module:\n    %s\n"
    old, new = "oci://h.io/web", "oci://mirror.io/a/web"
    if after is None:
        after = before.replace("url: _u", f'url: "{new}"').replace("{}", old)
    text = rewritten(SourceText(name, frame % before.replace("{}", old)), {old: new})
    assert text == frame % after.replace("{}", new)


def test_an_address_given_by_a_let_or_the_environment_stays() -> None:
    text = (
        'let u = "oci://h.io/a"\nbundle: {_u: "oci://h.io/a" @timoni(runtime:string:U), instances: '
        "{a: module: url: u, b: module: url: _u}}"
    )
    assert rewritten(SourceText("b.cue", text), {"oci://h.io/a": "oci://m.io/a"}) == text


@pytest.mark.parametrize(
    "url", ["oci://h.io/a:1.0.0", "h.io/a", 'oci://h.io/a"b', "oci://h.io/a b", "oci://lib/a"]
)
def test_an_address_that_no_module_can_have_is_not_written(url: str) -> None:
    with pytest.raises(UsageError):
        rewritten(source("struct.cue"), {"oci://registry.example/web": url})


# --- arbitrary text ----------------------------------------------------------------------------------

PARTS = st.lists(
    st.sampled_from(
        ["bundle", "instances", "module", "url", "version", "a", "_v", ": ", "{", "}", "\n", ", ", '"oci://h.io/a"',
         '"1.0.0"', "string", " | ", " & ", "*", "?", "[string]", "(a)", "if a ", "for a in b ", "let a = ",
         "#A", " @timoni(runtime:string:V)", "- ", "&x ", "*x", "  ", "'", '"', "---\n", "[", "]",
         "null", "1"]
    ),
    max_size=40,
).map("".join)  # fmt: skip
KEYS = st.sampled_from(["instances", "a", "module", "url", "version"])
NESTED = st.recursive(
    st.text(max_size=5) | st.integers() | st.none() | st.sampled_from(["oci://h.io/a", "1.0.0", "file://x"]),
    lambda inner: st.dictionaries(KEYS, inner) | st.lists(inner),
    max_leaves=12,
)


@given(st.sampled_from(["cue", "yaml", "json"]), CUE_LIKE | PARTS | st.text(max_size=80), st.booleans())
def test_any_text_is_read_or_refused(ending: str, text: str, whole: bool) -> None:
    file = SourceText(f"b.{ending}", text if whole else f"bundle: {{instances: {{{text}}}}}")
    try:
        found = read_bundle_files([file], {"V": "oci://h.io/v"})
    except ContentError:
        return
    assert all(module.url.startswith("oci://") for module in found.modules)
    mapping = {module.url: moved(module.url) for module in found.modules}
    assert rewritten(file, {url: url for url in mapping}) == file.text
    rewritten(file, mapping)


@pytest.mark.slow
@given(NESTED)
def test_the_same_data_reads_the_same_in_every_language(data: object) -> None:
    document = {"bundle": data}
    as_json = json.dumps(document)
    texts = {"b.cue": as_json, "b.json": as_json, "b.yaml": yaml.safe_dump(document)}
    found = [instances(read_bundle_files([SourceText(*file)], {})) for file in texts.items()]
    assert found[0] == found[1] == found[2]
