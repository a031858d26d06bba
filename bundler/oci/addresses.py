"""Addresses that strangers give: redirects, upload locations, token servers, images of modules.

Two programs must not read one address in two ways, and nobody outside sends us to this machine's own
services. Sources: RFC 3986 section 3.2.2; RFC 6890; WHATWG URL, "ends in a number".
"""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

_NAME = "[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"

_PLACE = re.compile(rf"(?:{_NAME}\.?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{{1,5}})?")

_NUMBER = re.compile("[0-9]+|0[xX][0-9a-fA-F]*")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 behind IPv6, RFC 6052."""


def split_address(url: str) -> SplitResult | None:
    """Return the parts of an http address whose host every program reads alike; None for any other.

    A user, an escape, a zone, a letter beyond ASCII or a number that is no plain IPv4 address is not that.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not _PLACE.fullmatch(parts.netloc) or parts.port == 0:
            return None
        address = parts.hostname or ""
        if ":" in address or _NUMBER.fullmatch(address.rpartition(".")[2]):
            ipaddress.ip_address(address)
    except ValueError:
        return None
    return parts


def origin_of(url: str) -> str:
    """Return `scheme://host[:port]` in one spelling: lower case, without the scheme's default port."""
    parts = urlsplit(url)
    default_port = {"http": ":80", "https": ":443"}.get(parts.scheme.lower(), "")
    host = parts.netloc.lower().removesuffix(default_port) if default_port else parts.netloc.lower()
    return f"{parts.scheme.lower()}://{host}"


def is_here(host: str) -> bool:
    """Return whether a host name or address (no port, no brackets) is this machine or on its link.

    What it resolves to is not asked. Link-local addresses hold a cloud's metadata, and its credentials.
    """
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return bool(_NUMBER.fullmatch(name.rpartition(".")[2]))  # 127.1, 0x7f000001: systems take them
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            address = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        else:
            address = address.ipv4_mapped or address
    return address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast


def leads_here(url: str, origin: str) -> bool:
    """Return whether an address leads to this machine or its link, given by somebody who is not there."""
    return is_here(urlsplit(url).hostname or "") and not is_here(urlsplit(origin).hostname or "")


_PROXY_SCHEMES = frozenset({"http", "https", "socks4", "socks4a", "socks5", "socks5h"})


def proxy_address(text: str) -> str | None:
    """Return the address of a proxy in full; None for what can't be one. Without a scheme it is http."""
    scheme, _, rest = text.strip().rpartition("://")
    try:
        parts = urlsplit(f"{scheme.lower() or 'http'}://{rest.removeprefix('//')}")
        usable = parts.scheme in _PROXY_SCHEMES and parts.port != 0
    except ValueError:
        return None
    usable = usable and _PLACE.fullmatch(parts.netloc.rpartition("@")[2]) is not None
    return f"{parts.scheme}://{parts.netloc}" if usable else None


def reached_directly(host: str, port: int, no_proxy: str) -> bool:
    """Return whether a host is reached without a proxy: on this machine, or by a list as of NO_PROXY.

    Its entries are names (with all below them), `.names` (only those below), addresses, networks in CIDR
    notation, each perhaps with a port, and `*`. Nothing is resolved. Source: Go, http/httpproxy.
    """
    host = host.lower().strip("[]").rstrip(".")
    address = _address(host)
    if host == "localhost" or (address and address.is_loopback):
        return True
    entries = no_proxy.lower().replace(",", " ").split()
    return any(entry == "*" or _covers(entry, host, address, port) for entry in entries)


def _covers(entry: str, host: str, address: _Address | None, port: int) -> bool:
    if address and (network := _network(entry)):
        return address in network
    name, entry_port = _with_port(entry)
    if entry_port not in ("", str(port)):
        return False
    if address:
        return _address(name.strip("[]")) == address
    name = (name[1:] if name.startswith("*.") else name).rstrip(".")
    return host == name or (bool(name) and host.endswith(f".{name.removeprefix('.')}"))


def _with_port(entry: str) -> tuple[str, str]:
    """Return name and port of an entry; an IPv6 address has a port only behind brackets."""
    head, colon, port = entry.rpartition(":")
    return (head, port) if colon and (":" not in head or head.endswith("]")) else (entry, "")


def _address(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    _, slash, length = text.rpartition("/")
    try:
        network = ipaddress.ip_network(text, strict=False) if slash and length.isdigit() else None
    except ValueError:
        return None
    mapped = getattr(network and network.network_address, "ipv4_mapped", None)
    return ipaddress.IPv4Network((mapped, int(length) - 96)) if mapped and int(length) >= 96 else network
