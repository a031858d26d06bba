"""Collect the wheels of the program for pip without a package index, for one Python and one platform.

`python -m tools.wheelhouse FOLDER 3.12 [linux-x86_64]` writes a folder of wheels into FOLDER. PLATFORM is
linux-x86_64, linux-aarch64, or a platform tag of pip such as macosx_11_0_arm64.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from bundler.about import PROGRAM, VERSION
from tools.portable.parts import BuildError, output
from tools.portable.python_parts import EXTRAS, ROOT

OLDEST = (3, 11)

GLIBC = range(28, 4, -1)
"""Minor versions of glibc 2 whose wheels are taken: a system of 2018 has 2.28."""

README = """\
{program} {version} for Python {python} on {platform}, with the extras {extras}.

python{python} -m venv ~/.{program}
~/.{program}/bin/pip install --no-index --find-links . '{program}[{extras}]'
~/.{program}/bin/{program} --version

"No matching distribution found" means that this Python is not {python}, or this platform is another: then
carry the wheels for it, or the portable archive, which needs no Python.
"""


def collect(out: Path, python: str, platform: str, extras: str = EXTRAS) -> Path:
    """Write a folder of wheels in `out`; return its path. Raises BuildError."""
    if not re.fullmatch(r"3\.\d+", python) or tuple(map(int, python.split("."))) < OLDEST:
        raise BuildError(f"PYTHON_VERSION={python}: give one such as 3.12, from 3.{OLDEST[1]} on")
    folder = out / f"{PROGRAM}-{VERSION}-wheels-{python}-{platform}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    wheel = _own_wheel(folder, platform)
    output(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:"),
        *("--python-version", python, "--implementation", "cp", "--abi", f"cp{python.replace('.', '')}"),
        *("--abi", "abi3", "--abi", "none"),
        *(word for tag in platform_tags(platform) for word in ("--platform", tag)),
        *("--constraint", str(ROOT / "requirements-dev.lock"), "--dest", str(folder), f"{wheel}[{extras}]"),
    )
    text = README.format(program=PROGRAM, version=VERSION, python=python, platform=platform, extras=extras)
    (folder / "README.txt").write_text(text)
    return folder


def platform_tags(platform: str) -> list[str]:
    """Return the tags of wheels that a platform takes, newest first. Source: PEP 600."""
    kind, _, machine = platform.partition("-")
    if kind != "linux" or not machine:
        return [platform]
    older = ["manylinux2014", "manylinux2010", "manylinux1"]
    return [f"{name}_{machine}" for name in (*(f"manylinux_2_{minor}" for minor in GLIBC), *older, "linux")]


def _own_wheel(folder: Path, platform: str) -> Path:
    """Build the program's wheel: for another machine than this one, without the compiled encoders."""
    pure = {} if platform == f"linux-{os.uname().machine}" else {"TIMONI_BUNDLER_PURE": "1"}
    command = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    output(*command, "--wheel-dir", str(folder), str(ROOT), variables=pure)
    return next(folder.glob("timoni_bundler-*.whl"))


def main(out: str, python: str = "", platform: str = "") -> int:
    """Collect, and print where."""
    try:
        folder = collect(Path(out), python, platform or f"linux-{os.uname().machine}")
    except BuildError as error:
        print(f"no wheels: {error}", file=sys.stderr)
        return 1
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {len([*folder.glob('*.whl')])} wheels, {size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
