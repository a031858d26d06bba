"""Check what a release needs, build it into dist/, and list the steps that are left to a person.

With --check, only check.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from bundler.about import PROGRAM, VERSION

ROOT = Path(__file__).parents[1]
STEPS = f"""
Left to do, in this order:
  1. Read the notes of {VERSION} in CHANGELOG.md as a user would.
  2. git tag --sign v{VERSION} --message '{PROGRAM} {VERSION}'
  3. Install dist/*.whl into a fresh environment on the oldest supported system; run `{PROGRAM} demo`.
  4. Push the tag, publish dist/, and attach dist/SHA256SUMS to the release.
  5. Begin the next version: VERSION in bundler/about.py, and a heading in CHANGELOG.md."""


def output(*command: str, folder: Path = ROOT) -> str:
    """Run a command to its end; its standard output."""
    ended = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return ended.stdout.strip()


def missing(changelog: str, changes: str, tags: str) -> list[str]:
    """List what this version lacks, given the changelog, the changes that are not committed, the tags."""
    heading = rf"^## {re.escape(VERSION)} \(\d{{4}}-\d{{2}}-\d{{2}}\)$"
    checks = {
        f"CHANGELOG.md: needs the heading '## {VERSION} (YYYY-MM-DD)'": re.search(heading, changelog, re.M),
        "there are changes that are not committed: commit or remove them": not changes,
        f"the tag v{VERSION} exists: raise VERSION in bundler/about.py": f"v{VERSION}" not in tags.split(),
    }
    return [text for text, holds in checks.items() if not holds]


def build(folder: Path) -> None:
    """Build everything that is released with the time of the commit, for the same bytes every time.

    Sdist, wheel, portable archive, container image, and their sums.
    """
    shutil.rmtree(folder, ignore_errors=True)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": output("git", "log", "-1", "--format=%ct")}
    for command in (["build", "--outdir", str(folder)], ["tools.portable", str(folder)]):
        words = [sys.executable, "-m", *command]
        subprocess.run(words, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    names = sorted(path.name for path in folder.iterdir())
    (folder / "SHA256SUMS").write_text(output("sha256sum", *names, folder=folder) + "\n")


def main(*, check: bool) -> int:
    """Check, build, and say what is left."""
    changes, tags = output("git", "status", "--porcelain"), output("git", "tag", "--list")
    lacking = missing((ROOT / "CHANGELOG.md").read_text(), changes, tags)
    for line in lacking:
        print(f"not ready: {line}")
    if lacking or check:
        return int(bool(lacking))
    build(ROOT / "dist")
    print("\n".join(sorted(str(path.relative_to(ROOT)) for path in (ROOT / "dist").iterdir())) + STEPS)
    return 0


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv))
