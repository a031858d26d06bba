"""The licence of every part of the folder, and a list of the parts."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution
from pathlib import Path

from bundler.about import PROGRAM, VERSION
from tools.portable.parts import BuildError, copied, output

LICENCE_FILE = re.compile(r"(licen[cs]e|copying|copyright|notice|authors)", re.IGNORECASE)

COMMON = Path("/usr/share/common-licenses")
"""Texts that Debian's copyright files refer to."""

PARTS = """\
The parts of this folder, each with its version and licence. Their texts are in the folders beside this file.
{program} itself is under the Apache License 2.0: see LICENSE.

libc and the other libraries under the LGPL are in `lib`, as separate files: replace them to use your own.
Their sources, and those of every other library, are the Debian source packages of the versions below; the
sources of the Python packages are those of the same versions in the Python package index.

zfec, which makes and uses recovery volumes, is under the GPL, version 2 or later, or the TGPPL. Without
`lib/site/zfec`, everything else works.

"""


def gather_licences(folder: Path, site: Path, libraries: list[Path]) -> None:
    """Write `licenses/` with the texts and `PARTS.txt`; remove the packages' metadata that only pip uses."""
    target = folder / "licenses"
    copied(Path(__file__).parents[2] / "LICENSE", folder / "LICENSE")
    lines = [_python(target), *_packages(site, target), *_libraries(libraries, target)]
    (target / "PARTS.txt").write_text(PARTS.format(program=PROGRAM) + "\n".join(lines) + "\n")


def _python(target: Path) -> str:
    version = platform.python_version()
    stdlib = Path(sysconfig.get_path("stdlib"))
    texts = [stdlib / "LICENSE.txt", Path(f"/usr/share/doc/python{sysconfig.get_python_version()}/copyright")]
    text = next((path for path in texts if path.exists()), None)
    if not text:
        raise BuildError(f"{sys.executable}: no licence beside it; looked for {texts[0]} and {texts[1]}")
    copied(text, target / "python" / text.name)
    return f"Python {version}: PSF-2.0"


def _packages(site: Path, target: Path) -> Iterator[str]:
    """Yield a line for each Python package; of its metadata, METADATA stays where it was."""
    for metadata in sorted(site.glob("*.dist-info")):
        package = Distribution.at(metadata)
        texts = [path for path in metadata.rglob("*") if path.is_file() and LICENCE_FILE.search(path.name)]
        if not texts:
            raise BuildError(f"{package.name} {package.version}: no licence in its metadata")
        for path in [*texts, *metadata.glob("sboms/*")]:
            name = str(path.relative_to(metadata)).removeprefix("licenses/")
            copied(path, target / package.name / name)
        yield f"{package.name} {package.version}: {_licence(package)}"
        for path in metadata.iterdir():
            if path.name != "METADATA":
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _licence(package: Distribution) -> str:
    """Return what a package says of its licence in a line."""
    fields = package.metadata
    classifiers = fields.get_all("Classifier") or ()
    classified = [text.rpartition(" :: ")[2] for text in classifiers if "License ::" in text]
    said = fields["License-Expression"] or ", ".join(classified) or fields["License"] or "see its text"
    return str(said).splitlines()[0]


def _libraries(libraries: list[Path], target: Path) -> Iterator[str]:
    """Yield a line for each Debian package that a library is of."""
    owners: dict[str, list[str]] = {}
    for library in libraries:
        if sys.base_prefix != "/usr" and library.is_relative_to(sys.base_prefix):
            continue  # of the Python itself
        owners.setdefault(_owner(library), []).append(library.name)
    for owner, names in sorted(owners.items()):
        name, version = output("dpkg-query", "-W", "-f", "${Package} ${Version}", owner).split()
        copied(Path("/usr/share/doc", name, "copyright"), target / name / "copyright")
        yield f"{name} {version} ({', '.join(sorted(names))}): see {name}/copyright"
    for text in ("LGPL-2.1", "LGPL-3", "GPL-2", "GPL-3", "Apache-2.0"):
        copied(COMMON / text, target / "common-licenses" / text)


def _owner(library: Path) -> str:
    """Return the Debian package of a library."""
    # dpkg knows it by the path that the package has, with or without /usr.
    places = {path for start in (library, library.resolve()) for path in (start, _moved(start))}
    for path in sorted(places):
        if found := re.match(r"([^\s,:]+(?::\w+)?)", _searched(path)):
            return found[1]
    raise BuildError(f"{library}: of no Debian package, so its licence is unknown; build on Debian")


def _moved(path: Path) -> Path:
    return Path(
        "/", path.relative_to("/usr") if path.is_relative_to("/usr") else Path("usr", path.relative_to("/"))
    )


def _searched(path: Path) -> str:
    try:
        return output("dpkg-query", "-S", str(path))
    except BuildError:
        return ""


def version_text(machine: str) -> str:
    """Return the content of the file VERSION: the version alone in the first line."""
    libc = os.confstr("CS_GNU_LIBC_VERSION")
    return f"{VERSION}\nlinux-{machine}\nPython {platform.python_version()}, {libc}\n"
