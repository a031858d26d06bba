r"""The tokens of CUE text, with their positions. Tolerant: what is no token is `UNKNOWN`. No I/O.

Rules that matter here: a line's end is a comma after most tokens; a string may hold expressions
(`\(...)`), which may hold strings; `#` before the quotes moves the escape sign to `\#`. Strings and
attributes come as one token each, whatever is in them. Every character is looked at once.
Source: the CUE language specification, "Lexical elements".
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

NAME = "name"

STRING = "string"

INTERPOLATION = "interpolation"

BYTES = "bytes"

NUMBER = "number"

ATTRIBUTE = "attribute"

UNKNOWN = "unknown"

UNTERMINATED = "unterminated"

END = "end"

COMMA = ","

OPENERS = frozenset("([{")

CLOSERS = frozenset(")]}")

_ENDS_A_LINE = frozenset(
    {NAME, STRING, INTERPOLATION, BYTES, NUMBER, ATTRIBUTE, UNTERMINATED, "?", "...", "_|_", *CLOSERS}
)

# Possessive where a run could be long: no character is read twice.
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\ufeff]++|//[^\n]*+)
    |(?P<newline>\n)
    |(?P<bottom>_\|_)
    |(?P<name>(?:_?\#)?(?!\d)[\w$]++)
    |(?P<quote>(?P<hashes>\#*+)["'])
    |(?P<attribute>@[\w$]*+\()
    |(?P<number>\.?\d[\w.]*+)
    |(?P<operator>\.\.\.|&&|\|\||[=!<>]=|[=!]~|[-+*/%<>=!&|?:,.(){}\[\]])
    |(?P<unknown>\#++|.)""",
    re.VERBOSE | re.DOTALL,
)

_IN_LINE = re.compile(r"[\\\n\"']")

_IN_LINES = re.compile(r"\\|\n[ \t\r]*+")


class CueToken(NamedTuple):
    """A kind (an operator is its own kind), and where it stands: offsets in characters."""

    kind: str
    start: int
    end: int


class _Open(NamedTuple):
    """A string or attribute that is not at its end yet, while what it encloses is read."""

    start: int
    brackets: int
    quotes: str = ""
    hashes: str = ""


def tokens(text: str, *, commas: bool = True) -> Iterator[CueToken]:
    """Yield the tokens in order; comments and spaces are left out. An `END` is the last.

    Without `commas`, a line's end means nothing, as in JSON.
    """
    yield from _Scanner(text, commas=commas).run()


class _Scanner:
    def __init__(self, text: str, *, commas: bool) -> None:
        self._text = text
        self._commas = commas
        self._at = 0
        self._brackets = 0
        self._open: list[_Open] = []
        self._last = ""

    def run(self) -> Iterator[CueToken]:
        while match := _TOKEN.match(self._text, self._at):
            self._at = match.end()
            token = self._token(match)
            if token and not self._open:
                self._last = token.kind
                yield token
        if self._open:
            yield CueToken(UNTERMINATED, self._open[0].start, len(self._text))
        yield CueToken(END, len(self._text), len(self._text))

    def _token(self, match: re.Match[str]) -> CueToken | None:
        kind = match.lastgroup or ""
        if kind == "space":
            return None
        if kind == "newline":
            return self._newline(match.start())
        if kind == "quote":
            return self._quote(match)
        if kind == "attribute":
            self._enter(_Open(match.start(), self._brackets))
            return None
        if kind in {"operator", "bottom"}:
            return self._operator(match)
        return CueToken(kind, match.start(), match.end())

    def _newline(self, start: int) -> CueToken | None:
        ends = self._commas and self._last in _ENDS_A_LINE
        return CueToken(COMMA, start, start) if ends else None

    def _enter(self, opened: _Open) -> None:
        self._open.append(opened)
        self._brackets += 1

    def _operator(self, match: re.Match[str]) -> CueToken | None:
        kind = match.group()
        self._brackets += (kind in OPENERS) - (kind in CLOSERS)
        if kind not in CLOSERS or not self._open or self._brackets > self._open[-1].brackets:
            return CueToken(kind, match.start(), match.end())
        opened = self._open.pop()
        self._brackets = opened.brackets
        if opened.quotes:
            return self._string(opened, INTERPOLATION)
        return CueToken(ATTRIBUTE, opened.start, self._at)

    # --- strings -----------------------------------------------------------------------------------

    def _quote(self, match: re.Match[str]) -> CueToken | None:
        start, hashes, mark = match.start(), match["hashes"], match.group()[-1]
        triple = self._text.startswith(mark * 3, self._at - 1)
        opened = _Open(start, self._brackets, mark * 3 if triple else mark, hashes)
        self._at += 2 * triple
        if triple and not self._text.startswith(("\n", "\r\n"), self._at):
            return self._unterminated(opened)
        return self._string(opened, STRING if mark == '"' else BYTES)

    def _string(self, opened: _Open, kind: str) -> CueToken | None:
        """Go on in a string until its end, or until an expression in it."""
        lines = len(opened.quotes) == 3
        special = _IN_LINES if lines else _IN_LINE
        close, escape = opened.quotes + opened.hashes, "\\" + opened.hashes
        while match := special.search(self._text, self._at):
            self._at = match.end()
            # Several lines end by quotes that stand first in their line.
            quotes = match.end() if lines else match.start()
            if match.group() == "\\":
                if self._escape(match.start(), escape):
                    self._enter(opened)
                    return None
            elif self._text.startswith(close, quotes):
                self._at = quotes + len(close)
                return CueToken(kind, opened.start, self._at)
            elif match.group() == "\n" and not lines:
                break
        else:
            self._at = len(self._text)
        return self._unterminated(opened)

    def _escape(self, start: int, escape: str) -> bool:
        """Pass an escape sequence; True if it opens an expression."""
        if not self._text.startswith(escape, start):
            return False
        self._at = start + len(escape)
        if self._text.startswith("\n", self._at):
            return False
        self._at += 1
        return self._text.startswith("(", self._at - 1)

    def _unterminated(self, opened: _Open) -> CueToken:
        """Return a string without an end: its line is lost, the next one may be read again."""
        end = self._text.find("\n", max(opened.start, self._at - 1))
        self._at = len(self._text) if end < 0 else end
        return CueToken(UNTERMINATED, opened.start, self._at)


_LITERAL = re.compile(r"(?P<hashes>#*+)(?P<quotes>\"\"\"|\")")

_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "/": "/", "\\": "\\", '"': '"',
}  # fmt: skip


class Words(NamedTuple):
    """The inside of a literal: offsets from the literal's start, and the lines' common indent."""

    start: int
    end: int
    hashes: str
    indent: str = ""


def words_of(literal: str) -> Words | None:
    """Return the place of the words in a literal without expressions; None if it is malformed."""
    opening = _LITERAL.match(literal)
    if opening is None:
        return None
    start, end = opening.end(), len(literal) - opening.end()
    hashes = opening["hashes"]
    if len(opening["quotes"]) == 1:
        return Words(start, end, hashes)
    first, last = literal.index("\n", start) + 1, literal.rindex("\n", start, end)
    indent = literal[last + 1 : end]
    if last < first:
        return Words(first, first, hashes, indent)
    if not literal.startswith((indent, "\n", "\r\n"), first):
        return None
    return Words(first + len(indent) * literal.startswith(indent, first), last, hashes, indent)


def text_of(literal: str) -> str | None:
    """Return the text of a double-quoted literal without expressions; None if it is malformed."""
    words = words_of(literal)
    if words is None:
        return None
    inside = literal[words.start : words.end]
    if literal.startswith('"""', len(words.hashes)):
        lines = inside.replace("\r", "").split("\n")
        if not all(line.startswith(words.indent) or not line for line in lines[1:]):
            return None
        inside = "\n".join([lines[0], *(line.removeprefix(words.indent) for line in lines[1:])])
    return _unescaped(inside, words.hashes)


def _unescaped(inside: str, hashes: str) -> str | None:
    if "\\" not in inside:
        return inside
    escape = re.compile(rf"\\{hashes}(?:u([0-9a-fA-F]{{4}})|U([0-9a-fA-F]{{8}})|(.?))", re.DOTALL)
    try:
        text = escape.sub(_character, inside)
        # Two escapes may make one character, as in JSON.
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except (KeyError, ValueError, OverflowError):
        return None


def _character(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2]
    return chr(int(code, 16)) if code else _ESCAPES[escape[3]]
