"""CUE text to a tree of fields. Tolerant: what it can't understand stays opaque. No I/O.

It never guesses: an expression is a string, a struct, a list, a reference, a choice of such, or
opaque. Nesting and size are bounded. Source: the CUE language specification; the parser in
cuelang.org/go for where lines may break.
"""

from itertools import islice

from bundler.errors import ContentError
from bundler.timoni.cue import cue_tokens as kinds
from bundler.timoni.cue import cue_tree
from bundler.timoni.cue.cue_cursor import Cursor
from bundler.timoni.cue.cue_tokens import CLOSERS, COMMA, END, NAME, OPENERS, CueToken, text_of, tokens

LONGEST = 4 * 1024 * 1024
"""Characters of one file."""

MOST_TOKENS = 400_000
"""Tokens of one file: some hundred bytes of memory each."""

DEEPEST = 40
"""Nesting of structs, lists and parentheses: what is deeper stays opaque."""

_STOPS = frozenset({COMMA, "|", "&", END, kinds.ATTRIBUTE, *CLOSERS})

_BOUNDS = frozenset({"=~", "!~", "!="})

_LABELS = frozenset({NAME, kinds.STRING, kinds.INTERPOLATION})

_NO_CLAUSE = frozenset({":", "?", "!", "=", COMMA, END})

_OPAQUE = {
    kinds.INTERPOLATION: "a string with expressions in it",
    kinds.BYTES: "bytes",
    kinds.NUMBER: "a number",
}


def parse(name: str, text: str, *, json: bool = False) -> cue_tree.Tree:
    """Parse a text. Raises ContentError that names `name` when it is over a limit."""
    if len(text) > LONGEST:
        raise ContentError(name, f"larger than the limit of {LONGEST:,} characters")
    taken = list(islice(tokens(text, commas=not json), MOST_TOKENS + 1))
    if len(taken) > MOST_TOKENS:
        raise ContentError(name, f"more than {MOST_TOKENS:,} tokens")
    return _Parser(text, taken).file()


class _Parser(Cursor):
    """Every method goes on from where the one before ended, and passes at least one token."""

    def __init__(self, text: str, tokens: list[CueToken]) -> None:
        super().__init__(text, tokens)
        self._depth = 0

    def file(self) -> cue_tree.Tree:
        package = self._preamble()
        declarations = self._declarations(END)
        return cue_tree.Tree(cue_tree.Struct(declarations, 0, len(self._text)), package, self.damage)

    # --- declarations ------------------------------------------------------------------------------

    def _preamble(self) -> str:
        """Pass `package` and `import`; a condition on the whole file counts as damage."""
        package = ""
        while self._kind() in {kinds.ATTRIBUTE, COMMA} or self._word() in {"package", "import"}:
            if self._kind(1) in {":", "?", "!"}:
                break
            token = self._next()
            if self._text.startswith("@if(", token.start) and not self._text.startswith("@if(!", token.start):
                self._damaged(token, "a condition on the whole file")
            if token.kind == NAME:
                package = package or self._word()
                self._skip()
        return package

    def _declarations(self, until: str) -> tuple[cue_tree.Declaration, ...]:
        declarations: list[cue_tree.Declaration] = []
        while self._kind() not in {until, END}:
            if self._kind() in CLOSERS:
                self._damaged(self._next(), "a bracket that nothing opened")
            elif self._kind() in {COMMA, kinds.ATTRIBUTE}:
                self._next()
            elif self._take("..."):
                self._skip()
            else:
                declarations.append(self._declaration())
        return tuple(declarations)

    def _declaration(self) -> cue_tree.Declaration:
        start = self._start()
        if self._word() == "let" and self._kind(1) == NAME and self._kind(2) == "=":
            self._next()
            name = self._word()
            self._at += 2
            return cue_tree.Let(name, self._expression(), start)
        if self._word() in {"for", "if"} and self._kind(1) not in _NO_CLAUSE:
            return cue_tree.Embedded(self._comprehension(), start)
        return self._field() or cue_tree.Embedded(self._expression(), start)

    def _field(self) -> cue_tree.Field | cue_tree.Pattern | None:
        """Parse a field, if a label comes next; move nowhere if not."""
        before, start = self._at, self._start()
        alias = self._word() if self._kind(1) == "=" else ""
        self._at += 2 if alias else 0
        if self._kind() in _LABELS:
            label = self._next()
            optional = self._mark()
            if self._take(":"):
                return self._named(label, alias, start, optional=optional)
        elif self._kind() in {"[", "("} and self._colon_behind_group():
            condition = self._operand()
            self._mark()
            self._next()
            listed = condition.elements if isinstance(condition, cue_tree.CueList) else ()
            return cue_tree.Pattern(listed[0] if len(listed) == 1 else None, self._value(), start)
        self._at = before
        return None

    def _mark(self) -> bool:
        """Pass the `?` or `!` behind a label; True for `?`."""
        if self._kind(1) != ":" or self._kind() not in {"?", "!"}:
            return False
        return self._next().kind == "?"

    def _named(
        self, label: CueToken, alias: str, start: int, *, optional: bool
    ) -> cue_tree.Field | cue_tree.Pattern:
        written = self._text[label.start : label.end]
        name = text_of(written) if label.kind == kinds.STRING else written
        value = self._value()
        attributes = self._attributes()
        if name is None or label.kind == kinds.INTERPOLATION:
            return cue_tree.Pattern(None, value, start)
        plain = label.kind == NAME
        regular = not (plain and name.startswith(("_", "#")))
        names = (*((alias,) if alias else ()), *((name,) if plain else ()))
        return cue_tree.Field(cue_tree.Label(name, regular), value, start, names, optional, attributes)

    def _value(self) -> cue_tree.Expression:
        """Parse what stands behind a colon: an expression, or the next label of a chain."""
        start = self._start()
        if self._depth >= DEEPEST:
            return self._too_deep()
        self._depth += 1
        inner = self._field()
        value = cue_tree.Struct((inner,), start, self._end()) if inner else self._expression()
        self._depth -= 1
        return value

    def _attributes(self) -> tuple[str, ...]:
        attributes = []
        while self._kind() == kinds.ATTRIBUTE:
            token = self._next()
            attributes.append(self._text[token.start : token.end])
        return tuple(attributes)

    def _comprehension(self) -> cue_tree.Opaque:
        """Parse `for`, `if` and `let` clauses with a struct behind them."""
        start, bodies, word = self._start(), list[cue_tree.Struct](), self._word()
        while True:
            if self._word() == "for" and self._kind(2) == COMMA:
                self._at += 3
            part = self._sequence()
            bodies += (
                part.bodies
                if isinstance(part, cue_tree.Opaque)
                else [part]
                if isinstance(part, cue_tree.Struct)
                else []
            )
            if not (self._kind() in {"|", "&"} or (not bodies and self._clause_follows())):
                return cue_tree.Opaque(f"a part made by `{word}`", start, self._end(), tuple(bodies))
            self._next()

    def _clause_follows(self) -> bool:
        """Return whether a comprehension goes on in the next line."""
        goes_on = self._kind(1) == "{" or self._word(1) in {"for", "if", "let"}
        return self._kind() == COMMA and goes_on

    # --- expressions -------------------------------------------------------------------------------

    def _expression(self) -> cue_tree.Expression:
        start = self._start()
        options = [self._disjunct()]
        while self._take("|"):
            options.append(self._disjunct())
        if len(options) == 1 and not options[0].default:
            return options[0].value
        return cue_tree.Disjunction(tuple(options), start, self._end())

    def _disjunct(self) -> cue_tree.Disjunct:
        start, default = self._start(), self._take("*")
        parts = [self._sequence()]
        while self._take("&"):
            parts.append(self._sequence())
        return cue_tree.Disjunct(
            parts[0] if len(parts) == 1 else cue_tree.Both(tuple(parts), start, self._end()), default
        )

    def _sequence(self) -> cue_tree.Expression:
        """Parse one operand, or several with operators between them, which only an evaluation could join."""
        start, first = self._start(), self._kind()
        operands: list[cue_tree.Expression] = []
        while self._kind() not in _STOPS:
            operands.append(self._operand())
        if len(operands) == 1:
            return operands[0]
        if len(operands) == 2 and first in _BOUNDS and isinstance(operands[1], cue_tree.Text):
            return cue_tree.Bound(start, self._end())
        bodies = tuple(part for part in operands if isinstance(part, cue_tree.Struct))
        what = "an expression" if operands else "nothing"
        return cue_tree.Opaque(what, start, max(start, self._end()), bodies)

    def _operand(self) -> cue_tree.Expression:
        kind = self._kind()
        if kind in OPENERS:
            return self._group(kind) if self._depth < DEEPEST else self._too_deep()
        if kind == NAME:
            return self._reference()
        token = self._next()
        if kind == kinds.STRING:
            value = text_of(self._text[token.start : token.end])
            if value is not None:
                return cue_tree.Text(value, token.start, token.end)
        return cue_tree.Opaque(_OPAQUE.get(kind, "an expression"), token.start, token.end)

    def _reference(self) -> cue_tree.Expression:
        start, path = self._start(), [self._word()]
        self._next()
        while self._kind() == "." and self._kind(1) == NAME:
            path.append(self._word(1))
            self._at += 2
        if path[0] in {"true", "false", "null"}:
            return cue_tree.Opaque(path[0], start, self._end())
        return cue_tree.CueReference(tuple(path), start, self._end())

    def _group(self, opener: str) -> cue_tree.Expression:
        opened = self._next()
        self._depth += 1
        closer = {"(": ")", "[": "]", "{": "}"}[opener]
        declarations = self._declarations(closer) if opener == "{" else ()
        elements = () if opener == "{" else self._elements(closer)
        self._depth -= 1
        if not self._take(closer):
            self._damaged(opened, "a bracket that nothing closes")
        if opener == "{":
            return cue_tree.Struct(declarations, opened.start, self._end())
        if opener == "(" and len(elements) == 1:
            return elements[0]
        return cue_tree.CueList(elements, opened.start, self._end())

    def _elements(self, closer: str) -> tuple[cue_tree.Expression, ...]:
        elements: list[cue_tree.Expression] = []
        while self._kind() not in {closer, END}:
            if self._kind() in CLOSERS:
                self._damaged(self._next(), "a bracket that nothing opened")
            elif self._kind() in {COMMA, kinds.ATTRIBUTE}:
                self._next()
            else:
                elements.append(self._expression())
        return tuple(elements)

    # --- what is passed unread ---------------------------------------------------------------------

    def _too_deep(self) -> cue_tree.Opaque:
        start = self._start()
        self._skip()
        return cue_tree.Opaque("nested too deep", start, self._end())
