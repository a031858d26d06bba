"""TLS as registries are spoken to: authorities, and the question if a host speaks it."""

import os
import socket
import ssl
from pathlib import Path

from bundler.errors import UsageError
from bundler.registry.http.exchange import TlsFiles


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a context with the system's authorities and what the files have. Raises UsageError."""
    context = ssl.create_default_context()
    if files.ca_file is not None:
        try:
            context.load_verify_locations(files.ca_file)
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "strerror", None) if not isinstance(error, ssl.SSLError) else None
            raise UsageError(
                str(files.ca_file),
                f"--ca-file: {reason or 'no PEM certificates in it'}",
                "give a file of PEM certificates",
            ) from None
    if files.client_cert is not None:
        _load_client_certificate(context, files.client_cert, files.client_key)
    elif files.client_key is not None:
        raise UsageError(str(files.client_key), "--client-key: there is no --client-cert", "give both")
    return context


def _load_client_certificate(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    """Have the context show this certificate. Raises UsageError."""
    _check_readable(cert, "--client-cert")
    if key is not None:
        _check_readable(key, "--client-key")
    holder, flag = (cert, "--client-cert") if key is None else (key, "--client-key")

    def refuse_password() -> str:
        # Otherwise OpenSSL would ask on the terminal.
        cause = f"{flag}: this key is encrypted, and only a key without a password can be used"
        raise UsageError(str(holder), cause, "write it without one: openssl pkey -in KEY -out PLAIN-KEY")

    try:
        context.load_cert_chain(cert, key, password=refuse_password)
    except OSError as error:
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            cause = f"{flag}: it is not the key of the certificate in {cert}"
        else:
            cause = f"{flag}: no PEM certificate, or no PEM key, that can be used"
        next_step = "give a PEM file with the certificate, and one with its key, or one with both"
        raise UsageError(str(holder), cause, next_step) from None


def _check_readable(path: Path, flag: str) -> None:
    """Raise UsageError for a file that can't be read: OpenSSL does not say which of two it is."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    except OSError as error:
        raise UsageError(str(path), f"{flag}: {error.strerror}", "give a PEM file") from None


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
    except ssl.SSLError as error:
        # It spoke TLS to refuse us: it may want to see a certificate.
        return "ALERT" in (error.reason or "")
    except OSError:
        return False
