"""A place in the tokens of a CUE text, and the ways to move it forward. No I/O."""

from bundler.timoni.cue.cue_tokens import CLOSERS, COMMA, END, NAME, OPENERS, UNTERMINATED, CueToken
from bundler.timoni.cue.cue_tree import Opaque


class Cursor:
    """A reader that looks at most three tokens ahead, except for brackets, and never moves past the end."""

    def __init__(self, text: str, tokens: list[CueToken]) -> None:
        self._text = text
        # Two more ends: the parser looks that far ahead.
        self._tokens = [*tokens, tokens[-1], tokens[-1]]
        self._at = 0
        self.damage: Opaque | None = None

    def _kind(self, ahead: int = 0) -> str:
        return self._tokens[self._at + ahead].kind

    def _word(self, ahead: int = 0) -> str:
        """Return the token if it is a name, else nothing."""
        token = self._tokens[self._at + ahead]
        return self._text[token.start : token.end] if token.kind == NAME else ""

    def _next(self) -> CueToken:
        token = self._tokens[self._at]
        if token.kind != END:
            self._at += 1
        if token.kind == UNTERMINATED:
            self._damaged(token, "a string or attribute that does not end")
        return token

    def _take(self, kind: str) -> bool:
        matches = self._kind() == kind
        if matches:
            self._next()
        return matches

    def _start(self) -> int:
        return self._tokens[self._at].start

    def _end(self) -> int:
        """Return the end of the token before this place."""
        return self._tokens[self._at - 1].end if self._at else 0

    def _damaged(self, token: CueToken, what: str) -> None:
        """Keep the first damage: it is the cause of most others."""
        self.damage = self.damage or Opaque(what, token.start, token.end)

    def _skip(self) -> None:
        """Pass everything up to the comma or bracket that ends it."""
        level = 0
        while self._kind() != END and (level or (self._kind() not in CLOSERS and self._kind() != COMMA)):
            kind = self._next().kind
            level += (kind in OPENERS) - (kind in CLOSERS)

    def _colon_behind_group(self) -> bool:
        """Return whether the brackets that open here close before a colon: then they are a label."""
        level, at = 0, self._at
        while True:
            kind = self._tokens[at].kind
            level += (kind in OPENERS) - (kind in CLOSERS)
            if kind == END or not level:
                break
            at += 1
        behind = [token.kind for token in self._tokens[at + 1 : at + 3]]
        return behind[:1] == [":"] or behind in (["?", ":"], ["!", ":"])
