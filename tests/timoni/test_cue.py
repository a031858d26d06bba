"""CUE text becomes a tree of fields; what can't be read without evaluation stays opaque."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import ContentError
from bundler.timoni.cue.cue_parser import LONGEST, MOST_TOKENS, parse
from bundler.timoni.cue.cue_tokens import END, UNTERMINATED, text_of, tokens
from bundler.timoni.cue.cue_tree import (
    Both,
    Bound,
    CueList,
    CueReference,
    Declaration,
    Disjunction,
    Embedded,
    Expression,
    Field,
    Label,
    Let,
    Opaque,
    Pattern,
    Struct,
    Text,
    Tree,
)

pytestmark = pytest.mark.slow

CUE_LIKE = st.text("ab_#\"'\\(){}[]:,.|&*?!=@/\n \t0é", max_size=60) | st.lists(
    st.sampled_from(
        ["a", "for", "if", "let", " ", "\n", ":", "{", "}", "[", "]", "(", ")", '"', '"""\n', "\n\"\"\"",
         "\\(", "#", "'", ",", "|", "*", "&", "@t(", "...", "=", "?", "//", "_|_",
         "x in y", "package", "import"]
    ),
    max_size=40,
).map("".join)  # fmt: skip


def tree(text: str) -> Tree:
    return parse("x.cue", text)


def declaration(text: str) -> Declaration:
    (found,) = tree(text).root.declarations
    return found


def value(text: str) -> Expression:
    """The value of the one field `v` in the text."""
    found = declaration(text)
    assert isinstance(found, Field)
    assert found.label == Label("v")
    return found.value


def paths(struct: Struct) -> dict[str, str]:
    """The strings of a tree by path; a path is there once."""
    found: dict[str, str] = {}
    for field in struct.declarations:
        if not isinstance(field, Field):
            continue
        if isinstance(field.value, Struct):
            found |= {f"{field.label.name}.{path}": text for path, text in paths(field.value).items()}
        elif isinstance(field.value, Text):
            found[field.label.name] = field.value.value
    return found


# --- strings -----------------------------------------------------------------------------------------

STRINGS = [
    ('"x"', "x"),
    ('""', ""),
    (r'"a\"b\\c\/d\n\u00e9\U0001F600"', 'a"b\\c/d\né😀'),
    (r'"\ud83d\ude00"', "😀"),
    (r'#"a"b\n\#n"#', 'a"b\\n\n'),
    (r'##"a"#\#n\##t"##', 'a"#\\#n\t'),
    ('"""\n\ta\n\t  b\n\n\tc\n\t"""', "a\n  b\n\nc"),
    ('"""\n"""', ""),
    ('"""\n  """', ""),
    ('"""\r\n  a\r\n  "b"\r\n  """', 'a\n"b"'),
    ('#"""\n\tsay """hi"""\n\t"""#', 'say """hi"""'),
]


@pytest.mark.parametrize(("literal", "text"), STRINGS)
def test_every_form_of_string_is_read(literal: str, text: str) -> None:
    found = value(f"v: {literal} // end")
    assert found == Text(text, 3, 3 + len(literal))


@pytest.mark.parametrize(
    "literal", ['"\\x"', '"\\q"', '"\\ud83d"', '"""\n\ta\nb\n\t"""', '"\\UFFFFFFFF"', '"\\x41"']
)
def test_a_malformed_string_is_opaque(literal: str) -> None:
    assert isinstance(value(f"v: {literal}"), Opaque)


@pytest.mark.parametrize("literal", [r'"a\(b)"', r'"a\("b\("c")")"', r'#"\#(x)"#', '"\\({\n a: 1\n})"'])
def test_a_string_with_expressions_is_opaque_as_a_whole(literal: str) -> None:
    found = value(f"v: {literal}")
    assert found == Opaque("a string with expressions in it", 3, 3 + len(literal))


def test_bytes_are_no_string() -> None:
    assert value("v: 'x'") == Opaque("bytes", 3, 6)


@given(st.text(st.characters(exclude_characters='"\\', exclude_categories=["Cs", "Cc"])))
def test_a_plain_string_says_what_is_written(text: str) -> None:
    assert text_of(f'"{text}"') == text


# --- fields ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        'a: {b: {c: "x"}, d: "y"}',
        'a: b: c: "x", a: d: "y"',
        'a:\n\tb:\n\t\tc: "x"\na: d: "y"',
        '"a": "b": c: "x"\n"a": d: "y"',
        '// a: b: c: "z"\na: { // {\n b: c: "x" // }\n d: "y" }',
        '{a: b: c: "x"} \n a: d: "y"'[1:].replace("}", ""),
        'package main\n\nimport "strings"\nimport (\n\t"list"\n)\na: b: c: "x"\na: d: "y"',
        '@if(!debug)\n\npackage main\na: b: c: "x"\na: d: "y" @tag(d)',
        '\ufeffa: b: c: "x"\r\na: d: "y"\r\n',
    ],
)
def test_all_ways_to_nest_fields_say_the_same(text: str) -> None:
    found = tree(text)
    assert found.damage is None
    merged: dict[str, str] = {}
    for field in found.root.declarations:
        merged |= paths(Struct((field,), 0, 0))
    assert merged == {"a.b.c": "x", "a.d": "y"}


@pytest.mark.parametrize(
    ("text", "label", "optional", "names"),
    [
        ("v: 1", Label("v"), False, ("v",)),
        ("v?: 1", Label("v"), True, ("v",)),
        ("v!: 1", Label("v"), False, ("v",)),
        ('"v": 1', Label("v"), False, ()),
        ('"_v": 1', Label("_v"), False, ()),
        ("_v: 1", Label("_v", False), False, ("_v",)),
        ("#v: 1", Label("#v", False), False, ("#v",)),
        ("_#v: 1", Label("_#v", False), False, ("_#v",)),
        ('X="v": 1', Label("v"), False, ("X",)),
        ("if: 1", Label("if"), False, ("if",)),
        ("let: 1", Label("let"), False, ("let",)),
        ("package: 1", Label("package"), False, ("package",)),
        ("été$1: 1", Label("été$1"), False, ("été$1",)),
    ],
)
def test_every_kind_of_label_is_told_apart(
    text: str, label: Label, optional: bool, names: tuple[str, ...]
) -> None:
    found = declaration(text)
    assert isinstance(found, Field)
    assert (found.label, found.optional, found.names) == (label, optional, names)


def test_attributes_belong_to_the_innermost_field() -> None:
    outer = declaration('v: u: "x" @a(b:")") @c({d}, "e")\n')
    assert isinstance(outer, Field)
    assert isinstance(outer.value, Struct)
    (inner,) = outer.value.declarations
    assert isinstance(inner, Field)
    assert (outer.attributes, inner.attributes) == ((), ('@a(b:")")', '@c({d}, "e")'))


@pytest.mark.parametrize("text", ['"\\(k)": 1', "(k): 1", "[string]: 1", "[N=_]: 1", "[k+1]?: 1", "[]: 1"])
def test_computed_labels_and_patterns_name_no_field(text: str) -> None:
    assert isinstance(declaration(text), Pattern)


@pytest.mark.parametrize(
    "text",
    [
        'if x == "a" {b: 1}',
        "for k, v in x if v > 1 {b: 1}",
        "for k in x\nfor l in k\n{b: 1}",
        "for x in [1, 2] let y = x if a | b {b: 1}",
    ],
)
def test_a_comprehension_keeps_the_fields_that_it_may_give(text: str) -> None:
    found = declaration(text)
    assert isinstance(found, Embedded)
    assert isinstance(found.value, Opaque)
    assert [
        field.label.name for field in found.value.bodies[-1].declarations if isinstance(field, Field)
    ] == ["b"]


def test_let_and_embedding_are_no_fields() -> None:
    found = tree('let x = "1"\n#Base\n{a: "2"}\n...\n').root.declarations
    assert [type(part) for part in found] == [Let, Embedded, Embedded]


# --- expressions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('("x")', Text),
        ('*"x" | string', Disjunction),
        ('string | *"x"', Disjunction),
        ("_versions.app", CueReference),
        ("#Base & {a: 1}", Both),
        ('=~"^oci://"', Bound),
        ('["x", {a: 1}]', CueList),
        ('["x",\n]', CueList),
        ("{}", Struct),
        ("1", Opaque),
        ("null", Opaque),
        ("_|_", Opaque),
        ('"a" + "b"', Opaque),
        ("f({a: 1})[0].b", Opaque),
        ("X={a: 1}", Opaque),
        ("-1", Opaque),
        ("", Opaque),
        ("a ~ b", Opaque),
    ],
)
def test_an_expression_is_of_a_known_form_or_opaque(text: str, kind: type) -> None:
    assert type(value(f"v: {text}\n")) is kind


def test_a_default_is_marked() -> None:
    found = value('v: string | *"x" | *_y')
    assert isinstance(found, Disjunction)
    assert [option.default for option in found.options] == [False, True, True]


def test_an_expression_goes_on_behind_an_operator() -> None:
    found = tree('v: *"a" |\n\tstring\nw: {\n} & {\n}\n').root.declarations
    assert [type(field.value) for field in found if isinstance(field, Field)] == [Disjunction, Both]


# --- what is broken ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ['a: "x\nb: "y"', "a: {b: 1", "a: 1}", "a: [1", 'a: """\nx', 'a: """x"""', "a: 1 @t(", 'a: "\\(b"',
     "@if(prod)\npackage main"],
)  # fmt: skip
def test_damage_is_told(text: str) -> None:
    assert tree(text).damage is not None


def test_the_line_after_a_broken_string_is_read() -> None:
    assert paths(tree('a: "x\nb: "y"\n').root) == {"b": "y"}


@pytest.mark.parametrize("bracket", ["(", "[", "{", "a: ", "a: {", "[(", "if {", "(a,", "a: [{"])
def test_nesting_without_end_is_opaque(bracket: str) -> None:
    assert tree(bracket * 20_000).root.declarations


@pytest.mark.parametrize(
    "text", ["#", '"', "'", "\\(", '"\\(', "@a(", '#"', '"""\n', "\n", "a.", "|", "*", "}", "let a="]
)
def test_repetition_takes_no_more_than_its_length(text: str) -> None:
    tree(text * (300_000 // len(text)) + "\n")


def test_a_file_over_a_limit_is_refused() -> None:
    with pytest.raises(ContentError, match=r"x\.cue: larger than the limit"):
        tree(" " * (LONGEST + 1))
    with pytest.raises(ContentError, match=r"x\.cue: more than 400,000 tokens"):
        tree("{" * MOST_TOKENS)


@given(CUE_LIKE)
def test_tokens_are_in_order_and_hold_all_but_space_and_comments(text: str) -> None:
    found = list(tokens(text))
    assert found[-1].kind == END
    assert all(0 <= token.start <= token.end <= len(text) for token in found)
    assert all(one.end <= two.start for one, two in pairwise(found))
    assert sum(token.kind == UNTERMINATED for token in found) <= text.count("\n") + 1


@given(CUE_LIKE)
def test_any_text_has_a_tree_whose_strings_stand_where_it_says(text: str) -> None:
    found = tree(text)
    waiting: list[object] = [found.root]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Text):
            assert text_of(text[part.start : part.end]) == part.value
        if isinstance(part, tuple):
            waiting += part
