"""Adds to a wheel what is not in the package's folder: the schemas, and the compiled encoders.

The encoders are built where there is a C compiler; everything works without them, slower.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = "bundler/compact/_godeflate.c"
BUILT = "bundler/compact/_godeflate.abi3.so"
# No contraction of products and sums: the encoders round exactly where their specification says.
FLAGS = ["-O3", "-fPIC", "-shared", "-ffp-contract=off", "-fno-fast-math", "-Wall"]


class AddedParts(BuildHookInterface[Any]):
    """Adds schemas and the compiled module to a wheel; to an editable install, the module alone."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the schemas; compile, or say once that it is done without."""
        if self.target_name == "wheel" and version == "standard":
            for schema in Path(self.root, "schemas").glob("*.schema.json"):
                build_data["force_include"][str(schema)] = f"bundler/schemas/{schema.name}"
        if self.target_name != "wheel" or os.environ.get("TIMONI_BUNDLER_PURE"):
            return
        built = Path(self.root, BUILT)
        try:
            subprocess.run(
                _command(Path(self.root, SOURCE), built), check=True, capture_output=True, text=True
            )
        except (OSError, subprocess.CalledProcessError) as error:
            built.unlink(missing_ok=True)
            reason = getattr(error, "stderr", "") or str(error)
            first = reason.strip().splitlines()[:1]
            self.app.display_warning(f"no compiled encoders ({''.join(first)}): compact bundles take longer")
            return
        build_data["artifacts"].append(f"/{BUILT}")
        if version == "standard":
            build_data["pure_python"] = False
            build_data["tag"] = f"cp311-abi3-{platform_tag(built.read_bytes())}"


def platform_tag(module: bytes) -> str:
    """Return the platform that a compiled module runs on: with glibc, from which version on.

    A module that takes a library besides glibc, or knows another one, is for systems like this. Source:
    PEP 600; a module names the version of every symbol that it takes.
    """
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    symbols = {(int(major), int(minor)) for major, minor in re.findall(rb"GLIBC_(\d+)\.(\d+)", module)}
    libraries = set(re.findall(rb"(?<=\0)lib[\w.+-]*\.so[\w.]*(?=\0)", module))
    if not platform.startswith("linux_") or not symbols or libraries - {b"libc.so.6"}:
        return platform
    major, minor = max({(2, 17), *symbols})
    return f"manylinux_{major}_{minor}_{platform.removeprefix('linux_')}"


def _command(source: Path, built: Path) -> list[str]:
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    include = sysconfig.get_paths()["include"]
    more = shlex.split(os.environ.get("CFLAGS", ""))
    if sys.platform == "darwin":
        more += ["-undefined", "dynamic_lookup"]
    return [*compiler, *FLAGS, *more, f"-I{include}", str(source), "-o", str(built)]
