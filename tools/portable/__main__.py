"""Build the portable archive and the container image: `python -m tools.portable FOLDER`."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from pathlib import Path

from bundler.about import PROGRAM, VERSION
from tools.portable.archive import write_xz
from tools.portable.image import ARCHITECTURES, write_image
from tools.portable.libraries import gather_libraries, loader_of
from tools.portable.licences import gather_licences, version_text
from tools.portable.parts import BuildError, output
from tools.portable.python_parts import ROOT, compile_modules, gather_packages, gather_python

MOST_BYTES = 20_000_000
"""Of the archive: it has to pass through narrow gates."""


def build(out: Path) -> list[Path]:
    """Write the archive and the image into `out`; return their paths. Raises BuildError."""
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise BuildError(f"{machine}: there are portable archives for {', '.join(ARCHITECTURES)} only")
    name = f"{PROGRAM}-{VERSION}-linux-{machine}"
    archive, image = out / f"{name}.tar.xz", out / f"{PROGRAM}-{VERSION}-image.tar"
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve() / name
        loader = gather(folder, machine)
        write_xz(archive, folder, name, build_time(), machine)
        write_image(image, folder, machine, loader, build_time())
    if archive.stat().st_size > MOST_BYTES:
        raise BuildError(f"{archive}: {archive.stat().st_size:,} bytes, more than {MOST_BYTES:,}")
    return [archive, image]


def gather(folder: Path, machine: str) -> str:
    """Put everything into the folder; return the name of its dynamic linker."""
    lib = folder / "lib"
    gather_python(lib)
    gather_packages(folder, lib / "site")
    loader = loader_of(lib / "python3")
    gather_licences(folder, lib / "site", gather_libraries(lib))
    compile_modules(lib)
    (folder / "VERSION").write_text(version_text(machine))
    wrapper = folder / PROGRAM
    text = Path(__file__).with_name(f"{PROGRAM}.sh").read_text()
    wrapper.write_text(text.replace("@LOADER@", loader).replace("@MACHINE@", machine))
    wrapper.chmod(0o755)
    return loader


def build_time() -> int:
    """Return the time of every file: SOURCE_DATE_EPOCH, else that of the commit, in seconds."""
    return int(os.environ.get("SOURCE_DATE_EPOCH") or output("git", "log", "-1", "--format=%ct", folder=ROOT))


def main(out: str) -> int:
    """Build, and print a line for each file."""
    try:
        for path in build(Path(out)):
            print(f"{path}: {path.stat().st_size:,} bytes")
    except BuildError as error:
        print(f"no portable archive: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
