"""The text of a field, if that is certain without evaluating CUE. No I/O."""

from typing import NamedTuple

from bundler.errors import printable
from bundler.timoni.cue import cue_tree
from bundler.timoni.cue.merged_tree import Declared, Node, Scope, is_anything

_LONGEST_CHAIN = 30
"""References that lead to one another."""


class Known(NamedTuple):
    """A text, and the expression in the file that gives it.

    `default`: another declaration could still change it. `fixed`: neither the environment nor a `let`
    has to do with it.
    """

    text: str
    place: str
    written: cue_tree.Expression
    default: bool = False
    fixed: bool = True


class Unknown(NamedTuple):
    """The reason why there is no certain text, and its place."""

    place: str
    reason: str


class Texts:
    """The texts of the fields of one tree. Each field is looked into once."""

    def __init__(self) -> None:
        self._resolved: dict[Node, Known | Unknown | None] = {}
        self._chain = 0

    def at(self, node: Node) -> Known | Unknown | None:
        """Return the text that a field holds; None if nothing says anything about it."""
        if node not in self._resolved:
            # Whoever comes back here while this is being found out goes in a circle.
            self._resolved[node] = Unknown(node.place, "it refers to itself")
            self._resolved[node] = _with_variables(self._joined(node), node)
        return self._resolved[node]

    def each_at(self, node: Node) -> list[Known]:
        """Return the text of each declaration of a field that has one."""
        texts = [self._of(fact) for fact in node.facts]
        return [text for text in texts if isinstance(text, Known)]

    def _joined(self, node: Node) -> Known | Unknown | None:
        """Return what all declarations of a field say together."""
        results = [self._of(fact) for fact in node.facts]
        texts = [result for result in results if isinstance(result, Known)]
        certain = [result for result in texts if not result.default]
        if certain:
            return _same(certain)
        unknown = [result for result in results if isinstance(result, Unknown)]
        if unknown:
            return unknown[0]
        if node.children:
            return Unknown(node.place, "it is a struct")
        doubts = node.doubts_from_above()
        if doubts:
            doubt = doubts[0].fact
            return Unknown(doubt.place, f"it may be set here, by {kind_of(doubt)}")
        if texts:
            return _same(texts)
        return None

    def _of(self, fact: Declared) -> Known | Unknown | None:
        """Return what one declaration says; None if it says only what the text must look like."""
        if isinstance(fact.expression, cue_tree.Bound) or is_anything(fact):
            if not fact.variable:
                return None
            reason = f"the environment sets it: give it with --set {printable(fact.variable)}=..."
            return Unknown(fact.place, reason)
        if isinstance(fact.expression, cue_tree.Disjunction):
            return self._default(fact, fact.expression)
        return self._single(fact)

    def _default(self, fact: Declared, choice: cue_tree.Disjunction) -> Known | Unknown:
        defaults = [option.value for option in choice.options if option.default]
        if len(defaults) != 1:
            return Unknown(fact.place, f"it is {kind_of(fact)}")
        text = self._single(fact._replace(expression=defaults[0]))
        return text._replace(default=True) if isinstance(text, Known) else text

    def _single(self, fact: Declared) -> Known | Unknown:
        expression = fact.expression
        if isinstance(expression, cue_tree.Text):
            return Known(expression.value, fact.place, expression, fixed=not fact.given)
        if isinstance(expression, cue_tree.CueReference):
            return self._referred(fact, expression)
        return Unknown(fact.place, f"it is {kind_of(fact)}")

    # --- references --------------------------------------------------------------------------------

    def _referred(self, fact: Declared, reference: cue_tree.CueReference) -> Known | Unknown:
        if self._chain >= _LONGEST_CHAIN:
            return Unknown(fact.place, "a long chain of references")
        self._chain += 1
        target = self._target(fact, reference)
        self._chain -= 1
        if isinstance(target, Unknown):
            return target
        if target is None:
            return Unknown(fact.place, f"it is {kind_of(fact)}, which has no value in these files")
        return Known(target.text, fact.place, reference, target.default, target.fixed)

    def _target(self, fact: Declared, reference: cue_tree.CueReference) -> Known | Unknown | None:
        name, *fields = reference.path
        frames = fact.frames
        while frames:
            frame = frames[-1]
            if name in frame.names:
                return self._named(fact, frames, frame.names[name], fields)
            frames = frames[:-1]
        return None

    def _named(
        self,
        fact: Declared,
        frames: tuple[Scope, ...],
        meant: cue_tree.Label | cue_tree.Let,
        fields: list[str],
    ) -> Known | Unknown | None:
        if isinstance(meant, cue_tree.Let):
            if fields:
                return Unknown(fact.place, f"it is {kind_of(fact)}")
            text = self._single(fact._replace(expression=meant.value, frames=frames))
            return text._replace(fixed=False) if isinstance(text, Known) else text
        node = frames[-1].node.children.get(meant)
        for field in fields:
            label = cue_tree.Label(field, not field.startswith(("_", "#")))
            node = node.children.get(label) if node else None
        return self.at(node) if node else None


def _with_variables(text: Known | Unknown | None, node: Node) -> Known | Unknown | None:
    """Return a text as not fixed for those who refer to it, if the environment may replace it."""
    if isinstance(text, Known) and any(fact.variable for fact in node.facts):
        return text._replace(fixed=False)
    return text


def _same(texts: list[Known]) -> Known | Unknown:
    """Return the one text that all of them are."""
    first = texts[0]
    other = next((text for text in texts if text.text != first.text), None)
    if other is None:
        return first
    return Unknown(
        other.place, f"{printable(repr(other.text))} here, but {printable(repr(first.text))} at {first.place}"
    )


def kind_of(fact: Declared) -> str:
    """Return the kind of an unreadable fact, in words."""
    expression = fact.expression
    if isinstance(expression, cue_tree.CueReference):
        return f"a reference to {printable('.'.join(expression.path))}"
    if isinstance(expression, cue_tree.Opaque):
        return expression.what
    names = {
        cue_tree.CueList: "a list",
        cue_tree.Disjunction: "one of several values",
        cue_tree.Struct: "a pattern for all fields",
    }
    return names.get(type(expression), "a text")
