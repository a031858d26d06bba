"""`timoni-bundler logout`."""

import click

from bundler.cli.declared_command import declared
from bundler.cli.setup.registry_access import credential_files, helper_settings
from bundler.cli.terminal.log import current_log
from bundler.config.run_options import AuthFile, RegistryPlace
from bundler.errors import NotFoundError
from bundler.registry.auth.credentials import CredentialFinder, CredentialSources
from bundler.registry.auth.kept_logins import forget_login


@declared("logout")
def command(place: RegistryPlace, *, authfile: AuthFile = None) -> int:
    """Remove the credentials of a registry, or of a part of it, from where `login` keeps them.

    Without --authfile, they are removed from every file that podman and docker use here. Other entries stay.

    \b
    timoni-bundler logout registry.internal:5000
    timoni-bundler logout ghcr.io/example
    """
    settings = helper_settings()
    files = [authfile] if authfile else credential_files()
    gone = [file for file in files if forget_login(file, place, settings)]
    if not gone:
        names = ", ".join(map(str, files)) or "no file"
        raise NotFoundError(str(place), f"no login is stored for it ({names})", "check the name")
    left = CredentialFinder(CredentialSources(auth_files=files, helpers=settings))
    if left.find(place.registry, place.path or ""):
        current_log().warn(f"{place}: a login for a larger part of {place.registry} is still stored")
    click.echo(f"logged out of {place}; removed from {', '.join(map(str, gone))}")
    return 0
