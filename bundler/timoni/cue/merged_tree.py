"""All declarations of some files as one tree: what stands under each path, from everywhere. No I/O.

CUE joins what several declarations say of a field, and the result never contradicts any of them. So
a plain string is the field's value for certain, whatever else there is. Anything weaker (a default,
nothing at all) is only certain if no other part could say more: such parts are the *doubts*.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bundler.timoni.cue import cue_tree
from bundler.timoni.source_text import Places

ANYTHING = frozenset({"string", "_"})
"""Names for values of which nothing is known."""

_MOST_DOUBTS = 50


class Scope(NamedTuple):
    """One struct as it is written: the names that expressions inside may use."""

    node: Node
    names: Mapping[str, cue_tree.Label | cue_tree.Let]


class Declared(NamedTuple):
    """An expression that a field's value must agree with, and where it stands.

    `variable`: the environment may put another value in its place.
    """

    expression: cue_tree.Expression
    frames: tuple[Scope, ...]
    places: Places
    variable: str = ""
    given: bool = False

    @property
    def place(self) -> str:
        """Return `file:line`."""
        return self.places.at(self.expression.start)


class Doubt(NamedTuple):
    """A fact that may say more of a struct's fields: of those in `fields`, or of any."""

    fact: Declared
    fields: Mapping[cue_tree.Label, Sequence[cue_tree.Expression]] | None = None

    def about(self, label: cue_tree.Label) -> Doubt | None:
        """Return what remains of the doubt for one field."""
        if self.fields is None:
            return self
        inside = self.fields.get(label, ())
        return Doubt(self.fact, _fields(inside)) if inside else None


class Node:
    """A path and all that is declared for it."""

    def __init__(self, label: cue_tree.Label, parent: Node | None, place: str) -> None:
        self.label = label
        self.parent = parent
        self.place = place
        self.children: dict[cue_tree.Label, Node] = {}
        self.facts: list[Declared] = []
        self.patterns: list[Doubt] = []
        self.optional = True
        self._doubts: list[Doubt] | None = None

    def child(self, name: str) -> Node | None:
        """Return the regular field of that name."""
        return self.children.get(cue_tree.Label(name))

    def own_doubts(self) -> list[Doubt]:
        """Return the doubts about fields that this struct itself brings."""
        doubts = (doubt_of(fact) for fact in self.facts)
        return [doubt for doubt in doubts if doubt]

    def doubts(self) -> list[Doubt]:
        """Return the doubts about this node's fields, from here and from above."""
        if self._doubts is None:
            doubts = [*self.own_doubts(), *self.doubts_from_above()]
            # Many are as good as one that may say anything: the work stays bounded.
            self._doubts = doubts if len(doubts) <= _MOST_DOUBTS else [Doubt(doubts[0].fact)]
        return self._doubts

    def doubts_from_above(self) -> list[Doubt]:
        """Return the doubts that the structs around this node bring."""
        if self.parent is None:
            return []
        narrowed = (doubt.about(self.label) for doubt in self.parent.doubts())
        patterns = self.parent.patterns if self.label.regular else ()
        return [*(doubt for doubt in narrowed if doubt), *patterns]

    def add_pattern(self, fact: Declared) -> None:
        """Add a pattern, which may give more to every field."""
        few = len(self.patterns) < _MOST_DOUBTS
        doubt = Doubt(fact, _fields((fact.expression,)) if few else None)
        self.patterns = [*self.patterns, doubt] if few else [doubt]


def doubt_of(fact: Declared) -> Doubt | None:
    """Return the doubt that a fact about a struct leaves."""
    expression = fact.expression
    if isinstance(expression, cue_tree.Bound) or is_anything(fact):
        return None
    if isinstance(expression, cue_tree.Opaque) and expression.bodies:
        return Doubt(fact, _fields(expression.bodies))
    return Doubt(fact)


def is_anything(fact: Declared) -> bool:
    """Return whether the fact is `string` or `_`, which say nothing of the value."""
    if not isinstance(fact.expression, cue_tree.CueReference) or len(fact.expression.path) != 1:
        return False
    name = fact.expression.path[0]
    return name in ANYTHING and not any(name in frame.names for frame in fact.frames)


def _fields(
    structs: Iterable[cue_tree.Expression],
) -> Mapping[cue_tree.Label, Sequence[cue_tree.Expression]] | None:
    """Return the fields that structs may give; None for any field."""
    fields: defaultdict[cue_tree.Label, list[cue_tree.Expression]] = defaultdict(list)
    for struct in structs:
        if not isinstance(struct, cue_tree.Struct):
            return None
        for declaration in struct.declarations:
            if isinstance(declaration, cue_tree.Field):
                fields[declaration.label].append(declaration.value)
            elif not isinstance(declaration, cue_tree.Let):
                return None
    return fields


class ParsedFile(NamedTuple):
    """One file's tree, and the places in it."""

    tree: cue_tree.Tree
    places: Places


def merged(files: Iterable[ParsedFile], values: Mapping[str, str]) -> Node:
    """Return the root of all that the files declare, with the runtime values put in."""
    files = tuple(files)
    root = Node(cue_tree.Label("", regular=False), None, "")
    merger = _Merger(values)
    packages: defaultdict[str, dict[str, cue_tree.Label | cue_tree.Let]] = defaultdict(dict)
    for file in files:
        fields = {name: at for name, at in names_in(file.tree.root).items() if isinstance(at, cue_tree.Label)}
        packages[file.tree.package].update(fields if file.tree.package else {})
    for file in files:
        frame = Scope(root, packages[file.tree.package] | names_in(file.tree.root))
        merger.declare(root, file.tree.root.declarations, (frame,), file.places)
        if file.tree.damage:
            root.facts.append(Declared(file.tree.damage, (frame,), file.places))
    return root


def names_in(struct: cue_tree.Struct) -> dict[str, cue_tree.Label | cue_tree.Let]:
    """Return the identifiers that a struct declares."""
    names: dict[str, cue_tree.Label | cue_tree.Let] = {}
    for declaration in struct.declarations:
        if isinstance(declaration, cue_tree.Field):
            names.update(dict.fromkeys(declaration.names, declaration.label))
        elif isinstance(declaration, cue_tree.Let):
            names[declaration.name] = declaration
    return names


class _Merger:
    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def declare(
        self,
        node: Node,
        declarations: tuple[cue_tree.Declaration, ...],
        frames: tuple[Scope, ...],
        places: Places,
    ) -> None:
        """Add what a struct says to the node that it is about."""
        for declaration in declarations:
            if isinstance(declaration, cue_tree.Field):
                child = self._child(node, declaration.label, places.at(declaration.start))
                child.optional &= declaration.optional
                self._add(child, self._fact(declaration, frames, places))
            elif isinstance(declaration, cue_tree.Embedded):
                self._add(node, Declared(declaration.value, frames, places))
            elif isinstance(declaration, cue_tree.Pattern) and declaration.condition is not None:
                node.add_pattern(Declared(declaration.value, frames, places))
            elif isinstance(declaration, cue_tree.Pattern):
                computed = cue_tree.Opaque(
                    "a field with a computed name", declaration.start, declaration.start
                )
                node.facts.append(Declared(computed, frames, places))

    def _fact(self, field: cue_tree.Field, frames: tuple[Scope, ...], places: Places) -> Declared:
        """Return the value of a field, or the one that the environment puts there."""
        kind, variable = variable_of(field.attributes)
        if not variable or variable not in self._values:
            return Declared(field.value, frames, places, variable)
        start, end = field.value.start, field.value.end
        if kind == "string":
            return Declared(
                cue_tree.Text(self._values[variable], start, end), frames, places, variable, given=True
            )
        return Declared(cue_tree.Opaque(f"a {kind}", start, end), frames, places, variable)

    def _add(self, node: Node, fact: Declared) -> None:
        expression = fact.expression
        if isinstance(expression, cue_tree.Struct):
            frame = Scope(node, names_in(expression))
            self.declare(node, expression.declarations, (*fact.frames, frame), fact.places)
        elif isinstance(expression, cue_tree.Both):
            for part in expression.parts:
                self._add(node, fact._replace(expression=part))
        else:
            node.facts.append(fact)
            if isinstance(expression, cue_tree.CueList):
                self._add_items(node, expression, fact)

    def _add_items(self, node: Node, items: cue_tree.CueList, fact: Declared) -> None:
        for number, element in enumerate(items.elements):
            child = self._child(
                node, cue_tree.Label(str(number), regular=False), fact.places.at(element.start)
            )
            self._add(child, fact._replace(expression=element))

    def _child(self, node: Node, label: cue_tree.Label, place: str) -> Node:
        return node.children.setdefault(label, Node(label, node, place))


_OPENING = "@timoni("


def variable_of(attributes: Iterable[str]) -> tuple[str, str]:
    """Return the type and the name of the variable that a field's value may come from; empty for none."""
    first = next((text for text in attributes if text.startswith(_OPENING)), "")
    parts = first.removeprefix(_OPENING).removesuffix(")").split(":")
    if len(parts) == 3 and parts[0] == "runtime":
        return parts[1], parts[2]
    return "", ""
