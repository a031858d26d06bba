"""Shared libraries and the dynamic linker: find what a folder of programs needs, and copy it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tools.portable.parts import BuildError, copied, output

OLDEST_GLIBC = (2, 34)
"""From here on, libc itself looks names up in /etc/hosts and in DNS; before, it loads that from the host."""

_RESOLVED = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)

_OWN_PATH = re.compile(r"\((?:RUNPATH|RPATH)\).*\[/")

_MISSING = re.compile(r"^\s*(\S+) => not found$", re.MULTILINE)


def gather_libraries(folder: Path) -> list[Path]:
    """Copy into `folder` the libraries that everything below it needs; return their paths on this machine.

    They are named as programs ask for them, and stripped. Raises BuildError.
    """
    taken: dict[str, Path] = {}
    for file in sorted(elf_files(folder)):
        for library in _needed(file):
            if not library.is_relative_to(folder) and library.name not in taken:
                taken[library.name] = copied(library, folder / library.name)
    _check_glibc()
    for file in elf_files(folder):
        # The dynamic linker is called as a program, and as it was delivered.
        if not file.name.startswith("ld-linux"):
            strip(file)
    return list(taken.values())


def elf_files(folder: Path) -> Iterator[Path]:
    """Yield the programs and libraries below a folder."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path


def strip(file: Path) -> None:
    """Remove what only a debugger needs, which may be three quarters, and search paths of this machine."""
    output("strip", "--strip-unneeded", "--remove-section=.comment", str(file))
    if _OWN_PATH.search(output("readelf", "--dynamic", str(file))):
        output("patchelf", "--remove-rpath", str(file))


def loader_of(program: Path) -> str:
    """Return the name of the dynamic linker that a program asks for, as `ld-linux-x86-64.so.2`."""
    found = re.search(r"interpreter: (\S+)\]", output("readelf", "--program-headers", str(program)))
    if not found:
        raise BuildError(f"{program}: a program without a dynamic linker; use a Python that has one")
    return Path(found[1]).name


def _needed(file: Path) -> Iterator[Path]:
    listed = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False).stdout
    if missing := _MISSING.findall(listed):
        raise BuildError(f"{file.name}: needs {', '.join(missing)}; install it on this machine")
    for path in _RESOLVED.findall(listed):
        yield Path(path)


def _check_glibc() -> None:
    name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    if name != "glibc" or tuple(map(int, version.split("."))) < OLDEST_GLIBC:
        wanted = ".".join(map(str, OLDEST_GLIBC))
        raise BuildError(f"{name} {version}: build on a machine with glibc {wanted} or newer (Debian 12)")
