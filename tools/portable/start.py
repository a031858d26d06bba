"""Start the command inside the portable folder: `python3 -I -S start.pyc CALLED [ARGUMENT...]`.

CALLED is the name under which the wrapper was called. Only the standard library is used here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

AUTHORITIES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch, Gentoo
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, Red Hat
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # CentOS
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine without its package of authorities
)
"""Where systems keep the certificate authorities that they trust, as one file."""

CARRIED = "certifi/cacert.pem"
"""The authorities in the folder itself, for a system that has none."""


def choose_authorities(environment: MutableMapping[str, str], packages: Path, root: Path = Path("/")) -> None:
    """Set SSL_CERT_FILE, unless it or SSL_CERT_DIR is set: OpenSSL here would look in Debian's place only."""
    if environment.get("SSL_CERT_FILE") or environment.get("SSL_CERT_DIR"):
        return
    known = (root / place.lstrip("/") for place in AUTHORITIES)
    chosen = next((path for path in known if os.access(path, os.R_OK)), packages / CARRIED)
    environment["SSL_CERT_FILE"] = str(chosen)


def start() -> None:
    """Run the command; it ends the process."""
    packages = Path(sys.argv.pop(0)).parent / "site"
    sys.path.append(str(packages))
    choose_authorities(os.environ, packages)
    from bundler.__main__ import main

    main()


if __name__ == "__main__":
    start()
