"""What `login` and `logout` share: the place that is meant, and the file that keeps its credentials."""

import os
from pathlib import Path
from typing import Annotated

from bundler.cli.setup.registry_access import credential_files
from bundler.config.option import Argument, Circumstances, Option
from bundler.errors import UsageError
from bundler.oci import Prefix
from bundler.registry.auth.credential_helpers import HelperSettings


def _registry_place(text: str, at: Circumstances) -> Prefix:
    """Read `HOST[/PATH]`; addresses are understood too. Raises ValueError."""
    bare = text
    for scheme in ("https://", "http://", "oci://"):
        bare = bare.removeprefix(scheme)
    if "@" in bare:
        raise ValueError("a user or password does not belong here")
    return Prefix.parse(bare.rstrip("/"))


RegistryPlace = Annotated[Prefix, Argument("HOST[/PATH]", read=_registry_place)]

AuthFile = Annotated[
    Path | None,
    Option(
        "--authfile", metavar="FILE",
        help="File of credentials. Default: the first of $REGISTRY_AUTH_FILE, $DOCKER_CONFIG/config.json, "
        "$XDG_RUNTIME_DIR/containers/auth.json, ~/.config/containers/auth.json.",
    ),
]  # fmt: skip


def login_file(authfile: Path | None) -> Path:
    """Return the file that keeps a login: the one that is read first. Raises UsageError without any."""
    files = [authfile] if authfile else credential_files()
    if not files:
        raise UsageError("--authfile", "there is no home directory to keep a login in", "name a file")
    return files[0]


def helper_settings() -> HelperSettings:
    """Return how credential helpers are run here."""
    return HelperSettings(dict(os.environ))
