"""Commands and copies that every step of the build uses."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path


class BuildError(Exception):
    """A reason why there can't be a portable folder here, and what to do."""


def output(*command: str, folder: Path | None = None, variables: Mapping[str, str] | None = None) -> str:
    """Run a command to its end; return its standard output. Raises BuildError with its last words."""
    environment = {**os.environ, **(variables or {})}
    try:
        ended = subprocess.run(
            command, cwd=folder, env=environment, check=True, capture_output=True, text=True
        )
    except FileNotFoundError as error:
        raise BuildError(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise BuildError(f"{' '.join(command)}: {error.stderr.strip() or error}") from error
    return ended.stdout.strip()


def copied(source: Path, target: Path) -> Path:
    """Copy a file, following links; return where it was."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
    return source
