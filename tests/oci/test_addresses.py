"""Which addresses of strangers may be asked."""

from __future__ import annotations

import pytest

from bundler.oci.addresses import is_here, leads_here, proxy_address, reached_directly, split_address

PLAIN = [
    "https://registry.example/v2/", "http://127.0.0.1:5000/x?y=z#f", "https://[2001:db8::1]:5000/", "HTTPS://A.B/",
    "https://my_bucket.s3.example/x", "https://registry", "https://10.0.0.1/", "https://a.example./",
]  # fmt: skip


@pytest.mark.parametrize("url", PLAIN)
def test_a_plain_address_can_be_used(url: str) -> None:
    assert split_address(url)


ODD = [
    "", "x", "//h.example/", "ftp://h.example/", "file:///etc/passwd", "https://", "https:///x", "https://:5000/",
    "https://user@h.example/", "https://h.example@evil.example/", "https://h.example:0/", "https://h.example:99999/",
    "https://h.example:/", "https://h.example\\@evil.example/", "https://h.example\\.evil.example/",
    "https://h.example%2eevil.example/", "https://h.ex\u00e4mple/", "https://\u2488\u2488.example/",
    "https://0x7f.0.0.1/", "https://0177.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f000001/",
    "https://1.2.3.4.5/", "https://256.1.1.1/", "https://[fe80::1%25eth0]/", "https://[::1", "https://[x]/",
    "https://[::1]x/", "https://{h}/", "https://h.example ./", "https://-h.example/", "https://h..example:x/",
]  # fmt: skip


@pytest.mark.parametrize("url", ODD)
def test_an_ambiguous_address_is_refused(url: str) -> None:
    assert split_address(url) is None


HERE = [
    "localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.255.0.9", "::1", "0.0.0.0", "::",
    "169.254.169.254",
    "fe80::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "127.1", "2130706433",
    "0x7f000001", "017700000001", "224.0.0.1", "ff02::1",
]  # fmt: skip


@pytest.mark.parametrize("host", HERE)
def test_this_machine_and_its_link_are_known_in_every_spelling(host: str) -> None:
    assert is_here(host)


@pytest.mark.parametrize(
    "host", ["registry.example", "10.0.0.1", "192.168.0.1", "fd00::1", "localhost.example"]
)
def test_another_machine_is_not_here(host: str) -> None:
    assert not is_here(host)


@pytest.mark.parametrize(
    ("origin", "leads"),
    [("https://registry.example", True), ("https://10.0.0.1:5000", True), ("http://127.0.0.1:5000", False)],
)
def test_only_who_is_here_himself_may_lead_here(origin: str, leads: bool) -> None:
    assert leads_here("http://169.254.169.254/latest/meta-data", origin) == leads


@pytest.mark.parametrize(
    ("host", "port", "no_proxy", "direct"),
    [
        ("10.1.2.3", 443, "10.0.0.0/8", True), ("11.1.2.3", 443, "10.0.0.0/8", False),
        ("10.1.2.3", 443, "x.example, 10.1.2.0/24", True), ("10.1.2.3", 443, "10.1.2.3", True),
        ("10.1.2.3", 443, "10.1.2.3:443", True), ("10.1.2.3", 80, "10.1.2.3:443", False),
        ("fd00::1", 443, "fd00::/8", True), ("[fd00::1]", 443, "fd00::1", True),
        ("fd00::1", 443, "[fd00::1]", True), ("fd00::1", 5000, "[fd00::1]:5000", True),
        ("fd00::1", 443, "[fd00::1]:5000", False), ("fe00::1", 443, "fd00::/8", False),
        ("::ffff:10.1.2.3", 443, "10.0.0.0/8", True),
        ("registry.example", 443, "example", True), ("registry.example", 443, ".example", True),
        ("example", 443, ".example", False), ("example", 443, "example", True),
        ("a.registry.example", 443, "*.registry.example", True),
        ("registry.example", 443, "REGISTRY.example.", True),
        ("myregistry.example", 443, "registry.example", False),
        ("registry.example", 5000, "registry.example:5000", True),
        ("registry.example", 443, "registry.example:5000", False),
        ("registry.example", 443, "a b,*", True), ("registry.example", 443, "", False),
        ("registry.example", 443, " , ", False), ("10.example", 443, "10.0.0.0/8", False),
        ("10.1.2.3", 443, "10.0.0.0/99", False), ("10.1.2.3", 443, "2.3", False),
        # What Go's httpproxy answered to the same questions:
        ("example.com", 443, "example.com:", True), ("example.com", 443, "example.com:abc", False),
        ("example.com", 443, "*example.com", False), ("a.example.com", 443, "*example.com", False),
        ("example.com", 443, "*.example.com", False), ("example.com", 443, "*.example.com:443", False),
        ("a.example.com", 443, "*.example.com:443", True), ("a.example.com", 443, "..example.com", False),
        ("10.1.2.3", 443, "10.0.0.0/255.0.0.0", False), ("10.1.2.3", 443, "::ffff:10.0.0.0/104", True),
        ("11.1.2.3", 443, "::ffff:10.0.0.0/104", False), ("10.1.2.3", 443, "::/0", False),
        ("10.1.2.3", 443, "0/0", False), ("10.1.2.3", 443, "0.0.0.0/0", True),
        ("10.1.2.3", 443, "[::ffff:10.1.2.3]:443", True), ("fd00::1", 443, "fd00::1:443", False),
        ("example.com", 443, "http://example.com", False), ("example.com", 443, ":443", False),
        ("10.1.2.3.example.com", 443, "10.1.2.3", False), ("example.com", 443, "foo.*", False),
        ("localhost", 443, "", True), ("127.9.9.9", 443, "", True), ("::1", 443, "", True),
        ("::ffff:127.0.0.1", 443, "", True), ("127.example.com", 443, "", False),
    ],
)  # fmt: skip
def test_no_proxy_has_names_addresses_networks_and_ports(
    host: str, port: int, no_proxy: str, direct: bool
) -> None:
    assert reached_directly(host, port, no_proxy) is direct


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("proxy:3128", "http://proxy:3128"), (" http://proxy ", "http://proxy"), ("//proxy", "http://proxy"),
        ("user:p@ss@proxy:1", "http://user:p@ss@proxy:1"), ("HTTPS://proxy:1/x", "https://proxy:1"),
        ("http://[fd00::1]:1", "http://[fd00::1]:1"), ("socks5h://proxy", "socks5h://proxy"),
        ("http://user:secret@", None), ("http://", None), ("ftp://proxy", None), ("http://proxy:99999", None),
        ("http://proxy:0", None), ("http://[::1", None), ("http://a b:1", None), ("http://:80", None),
        ("", None),
    ],
)  # fmt: skip
def test_a_proxy_is_a_whole_address_or_none(text: str, address: str | None) -> None:
    assert proxy_address(text) == address
