"""`timoni-bundler login`."""

import sys
from typing import Annotated

import click

from bundler.cli.declared_command import declared
from bundler.cli.setup.registry_access import connected, helper_settings, login_file
from bundler.cli.terminal import log, progress_bars
from bundler.config.option import Option
from bundler.config.run_options import AuthFile, ConnectionOptions, RegistryPlace
from bundler.errors import UsageError, never_show
from bundler.limits import KIB
from bundler.oci import Prefix
from bundler.registry.auth.credentials import CredentialSources
from bundler.registry.auth.kept_logins import check_login_file, keep_login
from bundler.registry.auth.token_exchange import Credentials, secrets_of

LONGEST = 64 * KIB
"""Bytes of a password or token."""


@declared("login")
def command(
    place: RegistryPlace,
    *,
    username: Annotated[
        str | None, Option("--username", "-u", metavar="USER", help="User name. Default: ask for it.")
    ] = None,
    password_stdin: Annotated[
        bool,
        Option("--password-stdin", help="Read the secret from standard input. Default: ask for it."),
    ] = False,
    token: Annotated[
        bool,
        Option(
            "--token",
            help="The secret is a bearer token, sent without a user. For a token that takes the place of a "
            "password, use --username instead.",
        ),
    ] = False,
    authfile: AuthFile = None,
    connection: ConnectionOptions,
) -> int:  # fmt: skip
    """Log in to a registry or to a part of it, and keep the credentials as podman and docker do.

    They are kept only if the registry accepts them: unencrypted in a file that only you can read, or by
    the credential helper that this file names. With HOST/PATH they are used for repositories below PATH.

    \b
    timoni-bundler login registry.internal:5000
    timoni-bundler login ghcr.io/example --username ci --password-stdin < token.txt
    """
    file = login_file(authfile)
    check_login_file(file)
    credentials = _asked(place, username, token=token, from_stdin=password_stdin)
    for secret in secrets_of(credentials):
        never_show(secret)
    registries = connected(
        connection, CredentialSources(given=credentials), progress_bars.display(quiet=True)
    )
    if not registries.log_in(place.registry):
        cause = "this registry answers without a login, so these credentials were not checked"
        log.current_log().warn(f"{place.registry}: {cause}")
    kept = keep_login(file, place, credentials, helper_settings())
    who = f" as {credentials.username}" if credentials.username else ""
    click.echo(f"logged in to {place}{who}; kept in {kept}")
    return 0


def _asked(place: Prefix, username: str | None, *, token: bool, from_stdin: bool) -> Credentials:
    """Return what somebody types, or standard input holds. Raises UsageError."""
    if token and username is not None:
        raise UsageError("--token", "a bearer token has no user", "leave --username or --token out")
    if not from_stdin and not sys.stdin.isatty():
        cause = "standard input is not a terminal, so nobody can be asked"
        raise UsageError(str(place), cause, "use --password-stdin, with --username USER")
    if not token and username is None:
        if from_stdin:
            cause = "standard input carries the password, so the user name can't be asked for"
            raise UsageError("--password-stdin", cause, "add --username USER, or --token")
        username = click.prompt("Username", err=True)
    _check_username(username or "")
    what = "Token" if token else "Password"
    secret = _from_stdin() if from_stdin else click.prompt(what, hide_input=True, err=True)
    if not secret or not secret.isprintable():
        cause = "it has control characters, or several lines" if secret else "it is empty"
        raise UsageError(what.lower(), cause, "give the secret alone")
    return Credentials(bearer_token=secret) if token else Credentials(username or "", secret)


def _check_username(name: str) -> None:
    if ":" in name or not name.isprintable():
        raise UsageError("--username", "a user name has no colon and no control character", "check the name")


def _from_stdin() -> str:
    data = sys.stdin.buffer.read(LONGEST + 1)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if len(data) > LONGEST:
        raise UsageError("--password-stdin", f"more than {LONGEST:,} bytes", "give the secret alone")
    return text.removesuffix("\n").removesuffix("\r")
