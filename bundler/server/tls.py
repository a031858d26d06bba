"""TLS for the registry: cheroot's adapter, without a handshake that holds up all other connections."""

from __future__ import annotations

import ssl
from pathlib import Path
from socket import socket
from typing import Any

from cheroot.makefile import StreamReader, StreamWriter
from cheroot.ssl import Adapter

from bundler.errors import UsageError


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the TLS settings of a server with this certificate chain and key. Raises UsageError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for file in (certificate, key):
        if not file.is_file():
            raise UsageError(str(file), "not a file", "name the PEM file of the certificate, and of its key")
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        cause = f"not a certificate with its key: {error.reason or error}"
        raise UsageError(f"{certificate}, {key}", cause, "name PEM files that belong together") from None
    except OSError as error:
        raise UsageError(str(key), f"it can't be read: {error.strerror}", "check its permissions") from None
    return context


def _no_password() -> str:
    """Return nothing: nobody is asked on a terminal."""
    return ""


class TlsAdapter(Adapter):
    """Wraps each connection; the handshake takes place when its first bytes are read."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context

    def bind(self, sock: socket) -> socket:
        """Return the listening socket as it is."""
        return sock

    def wrap(self, sock: socket) -> tuple[ssl.SSLSocket, dict[str, Any]]:
        """Return the connection with TLS, before its handshake."""
        wrapped = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return wrapped, self.get_environ()

    def get_environ(self) -> dict[str, Any]:
        """Return what a request says of TLS."""
        return {"wsgi.url_scheme": "https", "HTTPS": "on"}

    def makefile(self, sock: Any, mode: str = "r", bufsize: int = -1) -> Any:
        """Return a file of the connection."""
        return (StreamReader if "r" in mode else StreamWriter)(sock, mode, bufsize)
