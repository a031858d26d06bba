"""TLS as registries are spoken to: authorities, and the question if a host speaks it."""

import socket
import ssl
from pathlib import Path

from bundler.errors import UsageError


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context with the system's authorities and those of a file. Raises UsageError."""
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "strerror", None) or "no PEM certificates in it"
            raise UsageError(
                str(ca_file), f"--ca-file: {reason}", "give a file of PEM certificates"
            ) from None
    return context


def speaks_tls(host: str, port: int, seconds: float) -> bool:
    """Return whether a TLS handshake with this host gets an answer, whatever its certificate says."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), timeout=seconds) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return True
    except OSError:
        return False
