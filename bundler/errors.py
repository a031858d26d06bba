"""Every error that a user or a network can cause; the class is the exit code.

    BundlerError
    ├── UsageError          2   a command, option or reference that can't be meant
    │   └── CollectedError  2   several of them, found at once
    ├── AuthError           3   401, 403, credentials missing or refused
    ├── NotFoundError       4   repository, tag, manifest or blob is not there
    ├── NetworkError        5   network or registry unavailable after retries
    ├── IntegrityError      6   bytes are not what their digest or size says
    ├── ContentError        7   refused: hostile, over a limit, not supported
    │   └── ViolationsError 7   several of them, by a policy
    ├── LocalError          9   disk, permission, lock on this machine
    ├── TargetRefusedError 10   the target registry will not take it
    └── TrustError         11   not signed as it must be, or older than what was imported
        └── UnsignedError  11   several of them

Exit codes 0, 1 (a bug), 8 (finished, some items failed) and 128+N (signal) have no class: they are
outcomes, see `bundler.__main__`.
"""

import base64
import json
import re
from binascii import a2b_base64, unhexlify
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import ClassVar
from urllib.parse import unquote

EXIT_OK = 0

EXIT_INTERNAL = 1

EXIT_SOME_FAILED = 8

BUNDLE = "bundle"
"""The item of an error about a bundle whose name is not known where it is raised."""

PIPE = "-"
"""The path of a bundle that came by standard input."""

_QUERY = r"(https?://[^\s?#]*)\?\S*|([^\s?'\"]+/[^\s?'\"]*)\?[^\s?=]+=\S*"

_USERINFO = re.compile(
    r"([a-zA-Z][a-zA-Z0-9+.-]*://)"
    r"(?:[^\s/@]*|(?<=oci://)[^\s'\"\]][^\s'\"]*|[^\s/@:]+:(?!\d{1,5}/)[^\s'\"]*)@(?!sha[0-9]+:)"
)
"""A user and a password; one with a `/` in it is known by `oci://`, or by what is not a port."""

_BARE_USERINFO = r"(?<![^\s'\"])[^\s/@:'\"]+:(?!//)[^\s@'\"]+@(?!sha[0-9]+:)"

_unspoken: set[str] = set()

_URL_SAFE = str.maketrans("+/", "-_")

_STANDARD = bytes.maketrans(b"-_", b"+/")

_LAYERS = 3
"""Encodings upon each other that are looked through."""

_CODED = re.compile(r"[0-9A-Za-z+/_-]{8,}=*")
"""A word that may be an encoding of something."""

_CODED_BYTES = re.compile(_CODED.pattern.encode())

_ESCAPE = re.compile(r"((?:\\x[0-9a-fA-F]{2})+)|\\u([0-9a-fA-F]{4})|\\([\"'/\\])")

_LEAST = 6
"""Characters of a secret that is cut out wherever it stands; a shorter one only as a word of its own."""

_WORD = r"(?<![0-9A-Za-z])(?<![A-Za-z]'){}(?![0-9A-Za-z])"
"""A short secret as a word: the `t` of "can't" is part of a longer one."""


def never_show(secret: str) -> None:
    """Have `printable` cut this out from now on, encoded too: a registry may repeat what it was sent."""
    if secret:
        _unspoken.update(_spellings(secret))


def _spellings(secret: str) -> Iterator[str]:
    """Yield a secret as it is, escaped for HTML and JSON, in hexadecimal, and in base64 at every offset."""
    import html  # a large table of names, for runs that have secrets only

    data = secret.encode()
    escaped = json.dumps(secret)[1:-1]
    go = escaped.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")
    yield from (secret, html.escape(secret), escaped, go, escaped.replace("/", r"\/"))
    if len(data) >= _LEAST:
        yield from (secret.upper(), secret.lower())
        yield from (case(data.hex(*by)) for by in ("", ":", "-") for case in (str, str.upper))
    whole = base64.b64encode(data).decode().rstrip("=")
    # Behind a user and a colon, the same bytes have other letters; those at the ends depend on neighbours.
    shifted = (
        base64.b64encode(bytes(shift) + data)[skip:-4].decode() for shift, skip in ((0, 0), (1, 4), (2, 4))
    )
    for part in (whole, *shifted):
        spell = _PartOfBase64 if len(part) >= _LEAST else str
        if part is whole or spell is _PartOfBase64:
            yield from (spell(part), spell(part.translate(_URL_SAFE)))


class _PartOfBase64(str):
    """Letters of a secret inside a longer text in base64: all of that text is cut out."""

    __slots__ = ()


def _without_secrets(text: str) -> str:
    """Return the text without the secrets of this run, in any encoding of them."""
    form = text
    for _ in range(_LAYERS):
        cut = _cut(form)
        if cut != form:
            rest = _decoded(cut)
            return cut if rest == cut else _without_secrets(rest)
        if form == (form := _decoded(form)):
            break
    long = [whole for secret in _unspoken if len(whole := "".join(secret.split())) >= _LEAST]
    squeezed = "".join(form.split())
    if any(secret in squeezed for secret in long):
        return "***"  # broken over lines
    spoken = [secret.encode() for secret in long]
    return _CODED.sub(lambda coded: "***" if _reveals(coded[0].encode(), spoken, _LAYERS) else coded[0], text)


def _cut(text: str) -> str:
    for secret in sorted(_unspoken, key=len, reverse=True):
        if isinstance(secret, _PartOfBase64):
            text = re.sub(rf"[\w+/-]*{re.escape(secret)}[\w+/=-]*", "***", text) if secret in text else text
        elif len(secret) >= _LEAST:
            text = text.replace(secret, "***")
        elif secret in text:
            text = re.sub(_WORD.format(re.escape(secret)), "***", text)
    return text


def _decoded(text: str) -> str:
    """Return the text without one layer of percent, JSON and HTML escapes."""
    import html

    plain = unquote(text) if "%" in text else text
    plain = _ESCAPE.sub(_letter, plain) if "\\" in plain else plain
    return html.unescape(plain) if "&" in plain else plain


def _letter(escape: re.Match[str]) -> str:
    if escape[1]:
        return unhexlify(escape[1].replace("\\x", "")).decode("utf-8", "replace")
    return chr(int(escape[2], 16)) if escape[2] else escape[3]


def _reveals(coded: bytes, secrets: list[bytes], layers: int) -> bool:
    """Return whether a word is base64, base32 or hexadecimal of something with a secret, layer upon layer."""
    for word in {coded, *re.split(b"[/_-]", coded)}:
        letters = word.rstrip(b"=")
        filled = letters.translate(_STANDARD) + b"=" * (-len(letters) % 4)
        by_32 = letters.upper() + b"=" * (-len(letters) % 8)
        for decode, form in ((a2b_base64, filled), (base64.b32decode, by_32), (unhexlify, letters)):
            with suppress(ValueError):
                data = decode(form)
                if any(secret in data for secret in secrets):
                    return True
                inner = _CODED_BYTES.findall(data) if layers > 1 and data.isascii() else ()
                if any(_reveals(part, secrets, layers - 1) for part in inner):
                    return True
    return False


def printable(text: object, limit: int = 200) -> str:
    """Return text from outside made fit for one line of a terminal or log.

    Control and format characters become `.`; queries in URLs, users and passwords are cut out, because
    presigned URLs and mistaken command lines carry secrets there; so are the secrets of this run. The rest
    is cut at `limit` characters.
    """
    whole = _without_secrets(str(text)) if _unspoken else str(text)
    line = "".join(letter if letter.isprintable() else "." for letter in whole[: limit * 4])
    line = re.sub(_BARE_USERINFO, "", _USERINFO.sub(r"\1", re.sub(_QUERY, r"\1\2?...", line)))
    return line if len(line) <= limit else line[: limit - 3] + "..."


class BundlerError(Exception):
    """One line: item, cause, next step. The parts stay readable for reports."""

    exit_code: ClassVar[int] = EXIT_INTERNAL

    def __init__(self, item: str, cause: str, next_step: str = "") -> None:
        super().__init__(item, cause, next_step)
        self.item = printable(item, 400)
        self.cause = printable(cause, 600)
        self.next_step = printable(next_step, 300)

    def __str__(self) -> str:
        return f"{self.item}: {self.cause}" + (f"; {self.next_step}" if self.next_step else "")


@contextmanager
def errors_of(bundle: object) -> Iterator[None]:
    """Let an error about "bundle", raised where only its bytes are known, name the file."""
    try:
        yield
    except BundlerError as error:
        for problem in error.problems if isinstance(error, SeveralErrors) else (error,):
            if problem.item == BUNDLE:
                problem.item = printable(bundle, 400)
        raise


@contextmanager
def errors_of_one(bundle: object) -> Iterator[None]:
    """Let every error about one of several files name it, also those about a part of it (`bundle.json`)."""
    file = printable(bundle, 400)
    try:
        yield
    except BundlerError as error:
        for problem in error.problems if isinstance(error, SeveralErrors) else (error,):
            if file not in problem.item and not file.startswith(problem.item):  # as the folder of volumes
                problem.item = f"{file}: {problem.item}"
        raise


class SlowEncodersWarning(UserWarning):
    """Compact bundles take longer than they would with the compiled encoders."""


class UsageError(BundlerError):
    """A command, option or reference that can't be meant."""

    exit_code = 2


class SeveralErrors(BundlerError):  # noqa: N818
    """Several errors of one kind, found at once: `problems` are whole errors, a line each."""

    most: ClassVar[int] = 10
    """Problems that are kept; of the others only the number."""

    in_cause: ClassVar[int] = 10
    """Problems that the cause repeats, for what has room for one line."""

    def __init__(self, item: str, problems: Sequence[BundlerError], more: int = 0) -> None:
        """Keep `problems`; `more` is the number of further ones that nobody kept."""
        super().__init__(item, "")
        kept = list(problems[: self.most])
        if more := more + len(problems) - len(kept):
            kept.append(type(kept[0])(item, f"and {more:,} more", "correct these first"))
        self.problems = tuple(kept)
        first = [str(problem) for problem in kept[: self.in_cause + 1]]
        hidden = len(kept) - len(first)
        self.cause = "; ".join([*first, *([f"and {hidden:,} more"] if hidden else [])])

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class CollectedError(SeveralErrors, UsageError):
    """All that is wrong with one file or one command."""


class AuthError(BundlerError):
    """The registry refuses who we are, or wants to know and nothing is at hand."""

    exit_code = 3


class NotFoundError(BundlerError):
    """A repository, tag, manifest or blob is not there."""

    exit_code = 4


class NetworkError(BundlerError):
    """Network or registry unavailable, after retries."""

    exit_code = 5


class IntegrityError(BundlerError):
    """Bytes are not what their digest or size says."""

    exit_code = 6


class ContentError(BundlerError):
    """Content refused: hostile, over a limit, or of a kind that is not supported."""

    exit_code = 7


class LocalError(BundlerError):
    """A fault of this machine: disk full, no permission, locked by another process."""

    exit_code = 9


class TargetRefusedError(BundlerError):
    """The target registry answered, and will not take it."""

    exit_code = 10


class TrustError(BundlerError):
    """A bundle not signed by those who must sign it, or not the newest: expired, or imported before."""

    exit_code = 11


class ViolationsError(SeveralErrors, ContentError):
    """Everything that a policy refuses."""

    most = 20_000


class UnsignedError(SeveralErrors, TrustError):
    """Everything that is not signed as it must be."""

    most = 20_000
