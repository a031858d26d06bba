"""Errors are lines, alone or several at once."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote

import pytest

from bundler.errors import CollectedError, NetworkError, UsageError, never_show, printable
from bundler.reporting.json_report import failure


def problems(count: int) -> list[UsageError]:
    """So many different ones."""
    return [UsageError(f"item {number}", "wrong\nhere", "do this") for number in range(count)]


def test_collected_errors_have_a_line_each() -> None:
    error = CollectedError("the file", problems(2))
    assert str(error).splitlines() == ["item 0: wrong.here; do this", "item 1: wrong.here; do this"]
    assert error.exit_code == 2


def test_ten_errors_are_told_and_the_rest_is_counted() -> None:
    told = str(CollectedError("the file", problems(10))).splitlines()
    assert len(told) == 10
    told = str(CollectedError("the file", problems(13))).splitlines()
    assert told[10:] == ["the file: and 3 more; correct these first"]


def test_a_report_that_has_room_for_one_cause_has_all_of_them() -> None:
    error = CollectedError("the file", problems(2))
    assert error.item == "the file"
    assert "item 0" in error.cause
    assert "item 1" in error.cause
    assert "\n" not in error.cause


def test_a_failure_of_a_tag_does_not_name_its_repository_twice() -> None:
    closed = NetworkError("h.example/app", "it takes no uploads", "create it")
    assert failure(closed, "h.example/app:1.0.0").cause == "it takes no uploads"
    assert failure(closed, "h.example/other:1.0.0").cause == "h.example/app: it takes no uploads"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("oci://me:horse@h.io/a", "oci://h.io/a"),
        ("me:horse@h.io/a", "h.io/a"),
        ("'me:horse@h.io:5000' is no host", "'h.io:5000' is no host"),
        ("app:1.0@sha256:00", "app:1.0@sha256:00"),
        ("h.io/app:1.0@sha256:00", "h.io/app:1.0@sha256:00"),
        ("signed by me@example.org", "signed by me@example.org"),
    ],
)
def test_users_and_passwords_are_not_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "oci://user:pass/word@ghcr.io/a", "user:pass/word@ghcr.io/a", "https://user:pa/ss@ghcr.io/a",
        "oci://user:12/word@ghcr.io/a", "ghcr.io/a?token=word", "oci://ghcr.io/a?x=1&token=word",
        "'user:pass/word@ghcr.io/a' is not a repository",
    ],
)  # fmt: skip
def test_a_secret_in_a_mistaken_address_is_not_shown(text: str) -> None:
    shown = str(UsageError(text, f"{text!r} is wrong", f"write {text}"))
    assert "word" not in shown
    assert "pa/ss" not in shown
    assert "ghcr.io/a" in shown


@pytest.mark.parametrize(
    "text",
    [
        f"ghcr.io/a:1.0@sha256:{'a' * 64}",
        f"oci://h:5000/a@sha256:{'a' * 64}",
        "https://github.com/org/app/.github/workflows/x.yml@refs/heads/main",
        "https://ci.example:8443/org/x.yml@refs/heads/main",
        "ann@example.org",
        "glob 'a/b-?'",
    ],
)
def test_what_only_looks_like_a_secret_is_shown(text: str) -> None:
    assert printable(text, 400) == text


@pytest.mark.parametrize("secret", ["p/ss w+rd!", "abc", "correct horse", "%41x", "a"])
@pytest.mark.parametrize(
    "form",
    [
        lambda secret: secret,
        lambda secret: quote(secret, safe=""),
        lambda secret: re.sub("%..", lambda found: found[0].lower(), quote(secret, safe="")),
        lambda secret: "".join(f"%{ord(letter):02x}" for letter in secret),
        lambda secret: base64.b64encode(secret.encode()).decode(),
        lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
        lambda secret: quote(quote(secret, safe=""), safe=""),
        html.escape,
        lambda secret: secret.replace("/", r"\/"),
    ],
)
def test_a_secret_is_shown_in_no_form(secret: str, form: Callable[[str], str]) -> None:
    never_show(secret)
    shown = printable(f"refused <{form(secret)}> for 'ann'")
    assert shown.startswith("refused <***")
    assert "for 'ann'" in shown


def test_a_secret_of_one_letter_leaves_words_whole() -> None:
    never_show("t")
    assert printable("can't open <t>: isn't there") == "can't open <***>: isn't there"


@pytest.mark.parametrize("user", ["", "a", "me", "ann", "carrier"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_password_is_not_shown_inside_of_base64(user: str, encode: Callable[[bytes], bytes]) -> None:
    never_show("correct/horse?>battery")
    shown = printable(f"Basic {encode(f'{user}:correct/horse?>battery'.encode()).decode()} refused", 400)
    assert shown == "Basic *** refused"


@pytest.mark.parametrize(
    "form",
    [
        lambda data: data.hex(), lambda data: data.hex().upper(), lambda data: data.hex(":"),
        lambda data: data.hex("-").upper(),
    ],
)  # fmt: skip
def test_a_password_is_not_shown_in_hexadecimal(form: Callable[[bytes], str]) -> None:
    never_show("correct horse")
    assert printable(f"refused {form(b'correct horse')}") == "refused ***"


@pytest.mark.parametrize("form", [str.upper, str.lower])
def test_a_password_is_not_shown_in_other_letters(form: Callable[[str], str]) -> None:
    never_show("Correct Horse")
    assert printable(f"refused {form('Correct Horse')}") == "refused ***"


LONG = 'Corr3ct/horse+b&t"y<'


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def in_base32(text: str) -> str:
    return base64.b32encode(text.encode()).decode()


ENCODED = {
    "base32": in_base32(f"ann:{LONG}"),
    "base32 of a client": in_base32(LONG).lower().rstrip("="),
    "twice in base64": in_base64(in_base64(f"ann:{LONG}")),
    "three times in base64": in_base64(in_base64(in_base64(f"ann:{LONG}"))),
    "base32 in base64": in_base64(in_base32(f"ann:{LONG}")),
    "a path in base64": "/v2/" + in_base64(in_base64(f"ann:{LONG}")),
    "HTML, decimal": "".join(f"&#{ord(letter)};" for letter in LONG),
    "HTML, hexadecimal": "".join(f"&#x{ord(letter):X};" for letter in LONG),
    "JSON, every letter": "".join(f"\\u{ord(letter):04X}" for letter in LONG),
    "JSON in JSON": json.dumps(json.dumps(LONG)),
    "C": "".join(f"\\x{ord(letter):02x}" for letter in LONG),
    "percent, lower case": "".join(f"%{ord(letter):02x}" for letter in LONG),
    "percent, three times": quote(quote(quote(LONG, safe=""))),
    "HTML in percent": quote(html.escape(LONG), safe=""),
    "lines": f"{LONG[:7]}\n{LONG[7:]}",
    "lines of base64": f"{in_base64(LONG)[:9]}\r\n {in_base64(LONG)[9:]}",
}


@pytest.mark.parametrize("form", ENCODED)
def test_a_secret_is_hidden_in_every_usual_encoding(form: str) -> None:
    never_show(LONG)
    shown = printable(f"the registry said <{ENCODED[form]}>", 1000)
    assert "***" in shown
    assert ENCODED[form][:8] not in shown
    assert ENCODED[form][-9:-1] not in shown


def test_digests_and_words_are_shown_beside_a_secret() -> None:
    never_show(LONG)
    line = f"GET https://h.example/v2/app/blobs/sha256:{'3e70' * 16}: 404 Not found in the repository"
    assert printable(line, 1000) == line
