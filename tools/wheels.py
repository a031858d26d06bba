"""Build the wheel with the compiled encoders for this machine, check it, and try it where nothing else is.

`python -m tools.wheels FOLDER`. The wheel is made for one architecture, by a compiler that runs on it: the
workflow in .github/workflows/wheels.yml calls this on x86_64 and on aarch64.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

from hatch_build import BUILT, platform_tag
from tools.portable.parts import BuildError, output
from tools.wheelhouse import platform_tags

ROOT = Path(__file__).parents[1]
TRIAL = """
from bundler.compact.codecs import CodecNumber, codec
assert all(codec(number).compiled for number in CodecNumber), "the encoders are not compiled"
"""


def check_tag(wheel: Path) -> None:
    """Raise BuildError unless the platform in the wheel's name is the one that its module asks for.

    A module that needs a newer glibc than that of 2018 must be built on an older system.
    """
    with zipfile.ZipFile(wheel) as archive:
        module = archive.read(BUILT)
    named = wheel.stem.rpartition("-")[2]
    if named != platform_tag(module):
        raise BuildError(f"{wheel.name}: its module asks for {platform_tag(module)}")
    if named not in platform_tags(f"linux-{os.uname().machine}") or named.startswith("linux_"):
        raise BuildError(f"{wheel.name}: not for systems of 2018; build it on an older one")


def try_out(wheel: Path) -> None:
    """Install the wheel into a fresh environment, and load every codec. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder, "bin", "python"))
        pip = (
            python,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "--quiet",
            "install",
            "--only-binary",
            ":all:",
        )
        output(*pip, "--constraint", str(ROOT / "requirements-dev.lock"), str(wheel))
        subprocess.run([python, "-I", "-W", "error", "-c", TRIAL], check=True, cwd=folder)


def main(folder: Path) -> int:
    """Build, check, try, and print the name."""
    words = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    wheel = max(folder.glob("timoni_bundler-*.whl"), key=lambda path: path.stat().st_mtime_ns)
    try:
        check_tag(wheel)
    except (BuildError, KeyError) as error:
        print(f"no wheel: {error}", file=sys.stderr)
        return 1
    try_out(wheel)
    print(f"{wheel}: {wheel.stat().st_size:,} bytes, all codecs compiled")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
