"""The Python of this environment and the packages of the program, compiled, without what is never loaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tools.portable.parts import BuildError, copied, output

ROOT = Path(__file__).parents[2]

EXTRAS = "parity,cosign,htpasswd"

NAME = f"python{sysconfig.get_python_version()}"
"""The folder of the standard library."""

UNUSED_MODULES = (
    "__pycache__", "config-*", "dist-packages", "distutils", "ensurepip", "idlelib", "lib2to3", "pydoc_data",
    "site-packages", "sitecustomize.py", "sqlite3", "test", "tests", "tkinter", "turtle*", "venv", "*.exe",
)  # fmt: skip
"""Of the standard library: development, windows, tests. `sitecustomize` is of the machine that builds."""

UNUSED_EXTENSIONS = (
    "_codecs_*", "_crypt*", "_ctypes_test*", "_curses*", "_dbm*", "_gdbm*", "_sqlite3*", "_test*",
    "_tkinter*", "_xx*", "audioop*", "nis*", "ossaudiodev*", "readline*", "spwd*", "xx*",
)  # fmt: skip
"""Compiled modules that nothing loads; readline and gdbm are also of a licence that would bind the whole."""

UNUSED_PACKAGES = ("bin", "share", "charset_normalizer*", "pycparser*", "*.pyi", "py.typed", "_cffi.*")
"""Of the packages: scripts, stubs, a guesser of encodings that the command never loads, what only compiles
C for cffi, and the second backend of zstandard."""

MAN = "share/man"

CODEC = "bundler/compact/_godeflate.abi3.so"


def gather_python(lib: Path) -> None:
    """Put the interpreter and the standard library into `lib`."""
    copied(Path(sys.executable).resolve(), lib / "python3")
    source = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(source, lib / NAME, ignore=shutil.ignore_patterns(*UNUSED_MODULES))
    _remove(lib / NAME / "lib-dynload", UNUSED_EXTENSIONS)


def gather_packages(folder: Path, site: Path) -> None:
    """Install the program and its extras into `site`, in the versions of the lock; manual pages beside it.

    The metadata of the packages stays, for their licences. Raises BuildError without the compiled encoders.
    """
    lock = ROOT / "requirements-dev.lock"
    output(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-build-isolation"),
        *("--only-binary", ":all:", "--no-binary", "timoni-bundler"),
        *("--constraint", str(lock), "--target", str(site), f"{ROOT}[{EXTRAS}]"),
    )
    if not (site / CODEC).exists():
        raise BuildError(f"{CODEC} was not built: install a C compiler and the headers of Python")
    shutil.copytree(site / MAN, folder / MAN)
    _remove(site, UNUSED_PACKAGES)


def compile_modules(lib: Path) -> None:
    """Put a compiled module in the place of each source; the bytes do not follow from path or time."""
    copied(Path(__file__).with_name("start.py"), lib / "start.py")
    command = (sys.executable, "-S", "-m", "compileall", "-q", "-b", "-j", "1", "-s", str(lib))
    ended = subprocess.run(
        [*command, "--invalidation-mode", "unchecked-hash", str(lib)],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise BuildError(f"the modules can't be compiled: {ended.stdout.strip()}")
    for source in lib.rglob("*.py"):
        source.unlink()


def _remove(folder: Path, patterns: tuple[str, ...]) -> None:
    for pattern in patterns:
        for path in [*folder.rglob(pattern)]:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
