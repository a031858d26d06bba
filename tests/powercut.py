"""What a disk may hold after a power cut, worked out from the system calls that a run made.

strace records every write, sync and change of a name. Between a sync and the one before, the disk
promises nothing: of a file's bytes none, some or all may be there, or zeros in their place; of a
directory's names each may be the old one or the new one, in any order. Journaling file systems
promise more; what holds here holds on all of them. Nothing is mounted, and no root is needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.sweeps import LoadedProgram

CALLS = (
    "openat,write,pwrite64,fsync,fdatasync,ftruncate,"
    "?rename,?renameat,?renameat2,?unlink,unlinkat,?mkdir,?mkdirat,?rmdir,?link,?linkat,?symlink,?symlinkat"
)
Tree = dict[str, bytes]
"""The files of a folder by their paths; of a directory without files, nothing is told."""

_WORDS = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_PLACE = re.compile(r"<((?:\\x[0-9a-f]{2})+)>")
_UNFINISHED = " <unfinished ...>"
_RESULT = re.compile(r"\) += (-?\d+)")


class Call(NamedTuple):
    """A system call that succeeded: with the places of its descriptors, and its strings."""

    name: str
    places: list[str]
    strings: list[bytes]
    text: str

    def path(self, number: int = 0) -> str:
        """A path among its strings, made whole by the descriptor that it is relative to."""
        path = self.strings[number].decode()
        return path if path.startswith("/") else f"{self.places[min(number, len(self.places) - 1)]}/{path}"

    @property
    def paths(self) -> list[str]:
        """What it is about."""
        if self.name in ("write", "pwrite64"):
            return self.places[:1]
        return [self.path(number) for number in range(len(self.strings))] or self.places[:1]


@dataclass(eq=False)
class Node:
    """A file or a directory: as it is, and what is on the disk for certain."""

    names: dict[str, Node] | None = None
    """Of a directory."""
    bytes_: bytearray = field(default_factory=bytearray)
    certain_names: dict[str, Node] = field(default_factory=dict)
    certain_bytes: bytes = b""

    @property
    def certain(self) -> bool:
        """Whether a file's bytes are all on the disk."""
        return self.bytes_ == self.certain_bytes

    def content(self, how: str) -> bytes:
        """What a cut may leave of a file."""
        if how == "lost" or self.certain:
            return self.certain_bytes
        new = bytes(self.bytes_[len(self.certain_bytes) :])
        if how == "torn":
            return bytes(self.bytes_[: len(self.bytes_) - len(new) // 2 - 1])
        return bytes(self.bytes_) if how == "there" else self.certain_bytes + bytes(len(new))


BYTES = ("lost", "torn", "zeros", "there")


class Change(NamedTuple):
    """Names of one directory that become others together."""

    directory: Node
    names: dict[str, Node | None]


class Disk:
    """A folder, from before a run on; told of every call, it knows what a cut may leave."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._root = _loaded(folder)
        self._open: list[Change] = []
        """Changes of names that no sync has made certain yet."""

    def take(self, call: Call) -> bool:
        """Carry it out; whether it was about this folder."""
        if not any(self._is_here(path) for path in call.paths):
            return False
        steps = {
            "openat": self._create, "write": self._write, "ftruncate": self._empty,
            "fsync": self._sync, "fdatasync": self._sync, "rename": self._rename, "renameat": self._rename,
            "renameat2": self._rename, "mkdir": self._make_directory, "mkdirat": self._make_directory,
            "unlink": self._remove, "unlinkat": self._remove, "rmdir": self._remove,
        }  # fmt: skip
        steps[call.name](call)
        return True

    def tree(self) -> Tree:
        """The folder as programs see it."""
        return dict(_files(self._root, "", lambda node: node.names or {}, "there"))

    def after_cuts(self) -> Iterator[Tree]:
        """What may be there after a cut now."""
        for kept in _choices(len(self._open)):
            names = self._names_after(kept)
            for how in BYTES:
                yield dict(_files(self._root, "", partial(_names_in, names), how))

    def certain(self) -> Tree:
        """What is there after any cut."""
        return dict(_files(self._root, "", lambda node: node.certain_names, "lost"))

    def _names_after(self, kept: frozenset[int]) -> dict[int, dict[str, Node]]:
        found: dict[int, dict[str, Node]] = {}
        waiting = [self._root]
        while waiting:
            node = waiting.pop()
            if node.names is None or id(node) in found:
                continue
            names: dict[str, Node | None] = dict(node.certain_names)
            for number, change in enumerate(self._open):
                if change.directory is node and number in kept:
                    names |= change.names
            found[id(node)] = {name: target for name, target in names.items() if target}
            waiting += found[id(node)].values()
        return found

    # --- calls -----------------------------------------------------------------------------------

    def _create(self, call: Call) -> None:
        directory, name = self._parent(call.path())
        assert directory.names is not None
        if "O_CREAT" in call.text and name not in directory.names:
            self._change(directory, {name: Node()})

    def _write(self, call: Call) -> None:
        size = int(_RESULT.findall(call.text)[-1])
        self._node(call.places[0]).bytes_ += call.strings[-1][:size]

    def _empty(self, call: Call) -> None:
        assert ", 0) " in call.text, call.text
        self._node(call.places[0]).bytes_.clear()

    def _sync(self, call: Call) -> None:
        node = self._node(call.places[0])
        node.certain_bytes = bytes(node.bytes_)
        if node.names is not None:
            node.certain_names = dict(node.names)
            self._open = [change for change in self._open if change.directory is not node]

    def _rename(self, call: Call) -> None:
        (source, old), (target, new) = self._parent(call.path(0)), self._parent(call.path(1))
        assert source.names is not None
        node = source.names[old]
        if source is target:
            self._change(source, {old: None, new: node})
        else:
            self._change(target, {new: node})
            self._change(source, {old: None})

    def _make_directory(self, call: Call) -> None:
        directory, name = self._parent(call.path())
        self._change(directory, {name: Node({})})

    def _remove(self, call: Call) -> None:
        directory, name = self._parent(call.path())
        self._change(directory, {name: None})

    def _change(self, directory: Node, names: dict[str, Node | None]) -> None:
        assert directory.names is not None
        self._open.append(Change(directory, names))
        for name, node in names.items():
            if node is None:
                directory.names.pop(name, None)
            else:
                directory.names[name] = node

    def _is_here(self, path: str) -> bool:
        return path == self._folder or path.startswith(f"{self._folder}/")

    def _parent(self, path: str) -> tuple[Node, str]:
        head, _, name = path.rpartition("/")
        return self._node(head), name

    def _node(self, path: str) -> Node:
        node = self._root
        for name in path[len(self._folder) :].strip("/").split("/"):
            if name:
                assert node.names is not None, path
                node = node.names[name]
        return node


def calls_of(program: LoadedProgram, folder: Path, *arguments: str) -> list[Call]:
    """Every call of one run that ended well, in the order in which they were done."""
    log = folder.with_name(f"{folder.name}.calls")
    options = ("-y", "-xx", "-s", "100000000", "-e", f"trace={CALLS}")
    ended = program.traced(log, *arguments, options=options)
    assert ended.code == 0, ended
    return list(_calls(log.read_text()))


def _calls(text: str) -> Iterator[Call]:
    begun: dict[str, str] = {}
    for line in text.splitlines():
        match = _WORDS.fullmatch(line)
        if not match:
            continue
        process, resumed, name, rest = match.groups()
        if rest.endswith(_UNFINISHED):
            begun[process] = rest.removesuffix(_UNFINISHED)
            continue
        whole = begun.pop(process) + rest if resumed else rest
        result = _RESULT.findall(whole)
        if result and int(result[-1]) >= 0:
            head = whole.rpartition(") ")[0]
            strings = [_plain(part) for part in _STRING.findall(head)]
            places = [_plain(part).decode() for part in _PLACE.findall(_STRING.sub("", head))]
            yield Call(resumed or name, places, strings, _STRING.sub("...", whole))


def _plain(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _loaded(path: Path) -> Node:
    """A folder as it is on the disk, all of it certain."""
    if path.is_dir():
        names = {entry.name: _loaded(entry) for entry in path.iterdir()}
        return Node(names, certain_names=dict(names))
    data = path.read_bytes()
    return Node(bytes_=bytearray(data), certain_bytes=data)


def _names_in(names: dict[int, dict[str, Node]], node: Node) -> dict[str, Node]:
    return names.get(id(node), {})


def _files(
    node: Node, path: str, names: Callable[[Node], dict[str, Node]], how: str
) -> Iterator[tuple[str, bytes]]:
    if node.names is None:
        yield path, node.content(how)
        return
    for name, child in names(node).items():
        yield from _files(child, f"{path}/{name}" if path else name, names, how)


def _choices(count: int) -> Iterator[frozenset[int]]:
    """Which of so many changes are kept: all from the start up to each; all but each; each alone."""
    everything = frozenset(range(count))
    seen: set[frozenset[int]] = set()
    for number in range(count + 1):
        alone = frozenset({number}) & everything
        for kept in (frozenset(range(number)), everything - alone, alone):
            if kept not in seen:
                seen.add(kept)
                yield kept
