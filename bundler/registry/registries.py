"""All registries of one run: one host object each, one transport, one count of traffic."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from bundler.errors import UsageError
from bundler.oci import RegistryName, RepositoryName
from bundler.oci.addresses import origin_of
from bundler.registry.auth.credentials import CredentialFinder, CredentialSources
from bundler.registry.http.exchange import TlsFiles, TransportSettings
from bundler.registry.http.host import API_HOSTS, Host
from bundler.registry.repository import Repository
from bundler.registry.settings import HostSettings, Traffic

if TYPE_CHECKING:
    from bundler.registry.target_repository import TargetRepository


class RegistrySettings(NamedTuple):
    """Transport, hosts and credentials."""

    transport: TransportSettings = TransportSettings()
    hosts: HostSettings = HostSettings()
    credentials: CredentialSources = CredentialSources()


def tls_of_hosts(entries: Iterable[tuple[RegistryName, TlsFiles]]) -> Mapping[str, TlsFiles]:
    """Return the files for TLS by origin, as the transport takes them.

    Raises: UsageError for a host with two entries that differ.
    """
    by_origin: dict[str, TlsFiles] = {}
    for name, files in entries:
        origin = origin_of(f"https://{API_HOSTS.get(name, name)}")
        if by_origin.setdefault(origin, files) != files:
            cause = "it stands there twice, with other files"
            raise UsageError(f"registries.hosts: {name}", cause, "keep one of the two")
        if files == TlsFiles():
            cause = "it names no file"
            raise UsageError(f"registries.hosts: {name}", cause, "add caFile or clientCert, or leave it out")
    return by_origin


class Registries:
    """The repositories of all registries, by name."""

    def __init__(self, settings: RegistrySettings | None = None) -> None:
        from bundler.registry.http.transport import Transport

        settings = settings or RegistrySettings()
        self.settings = settings
        self.traffic = Traffic()
        self._transport = Transport(settings.transport)
        self._credentials = CredentialFinder(settings.credentials)
        self._hosts: dict[RegistryName, Host] = {}
        self._lock = threading.Lock()

    def source(self, name: RepositoryName) -> Repository:
        """Return a repository to read."""
        return Repository(self._host(name.registry), name)

    def target(self, name: RepositoryName) -> TargetRepository:
        """Return a repository to write."""
        from bundler.registry.target_repository import TargetRepository

        return TargetRepository(self._host(name.registry), name)

    def catalog(self, name: RegistryName) -> tuple[RepositoryName, ...]:
        """Return all repositories that a registry lists. Raises NotFoundError without such a list."""
        from bundler.registry.listings import catalog

        return catalog(self._host(name))

    def log_in(self, name: RegistryName) -> bool:
        """Prove the credentials of a registry; return False if it answers without a login.

        Raises: AuthError for a refused login.
        """
        return self._host(name).log_in()

    def origin(self, name: RegistryName) -> str:
        """Return `https://host:port` of a registry, as it is asked: `http://` for one without TLS."""
        return self._host(name).origin

    def lacks_referrers(self, name: RepositoryName) -> bool:
        """Return whether this registry turned out to have no Referrers API."""
        return self._host(name.registry).lacks_referrers

    def _host(self, name: RegistryName) -> Host:
        with self._lock:
            if name not in self._hosts:
                self._hosts[name] = Host(
                    name, self._transport, self._credentials.find, self.settings.hosts, self.traffic
                )
            return self._hosts[name]
