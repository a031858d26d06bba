"""A registry's status and words, as one of our errors."""

import re
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from bundler.errors import AuthError, BundlerError, ContentError, NetworkError, NotFoundError, printable
from bundler.limits import Limits
from bundler.oci import strict_json
from bundler.registry.http.exchange import Answer, Request, place
from bundler.registry.http.retry import TransientError

ABOUT_A_BLOB = frozenset({200, 400, 404, 405, 406, 501})
"""Answers about a blob; where the question is not understood, the blob is sent."""

ABOUT_A_BYTE = frozenset({200, 206, 416})

TRANSIENT = frozenset({408, 429, 499, 500, 502, 503, 504, 522})

INTERNAL = 500

TOO_MANY = "TOOMANYREQUESTS"
"""Some registries say so with another status than 429."""

REFUSALS = frozenset(
    {
        "MANIFEST_BLOB_UNKNOWN",
        "MANIFEST_INVALID",
        "MANIFEST_UNVERIFIED",
        "NAME_INVALID",
        "DENIED",
        "UNSUPPORTED",
    }
)
"""Codes of what no other try will change."""

FULL = "its disk is full"
"""The words for a full disk."""

_NO_SPACE = re.compile(rb'no space left on device|disk quota exceeded|"Err": ?(?:28|122)\b', re.IGNORECASE)
"""Distribution says no more than "unknown error", and this in the details: ENOSPC, EDQUOT."""

_TYPE_WORDS = re.compile("media.?type|artifact.?type|unsupported|not supported", re.IGNORECASE)


class RequestRefusedError(NetworkError):
    """An answer that no other try will change."""

    status: int = 0
    code: str = ""


def item_of(request: Request) -> str:
    """Return a request as messages name it."""
    return f"{request.method} {place(request.url)}"


def meaning(
    request: Request, answer: Answer, limits: Limits, login: Callable[[int], tuple[str, str]]
) -> BundlerError:
    """Return the error for an answer, with the registry's words; reads the start of its body.

    `login` gives cause and next step of a 401 or 403.
    """
    body = answer.start_of_body(limits.error_body)
    code, words = own_words(body)
    item, cause = item_of(request), f"{answer.status} {words}".strip()
    if answer.status >= 500 and _NO_SPACE.search(body):
        return refused(request, answer.status, code, f"{cause}: {FULL}")
    if answer.status >= 500 and (refusal := _refusal_in(body)):
        return refused(request, answer.status, refusal, f"{cause}; {refusal}")
    if answer.status in TRANSIENT or code == TOO_MANY:
        error = TransientError(item, cause)
        error.status = answer.status
        error.retry_after = retry_after(answer.headers.get("Retry-After"), limits)
        return error
    if answer.status in (401, 403):
        refusal, next_step = login(answer.status)
        return AuthError(item, f"{refusal} ({cause})", next_step)
    if answer.status == 404:
        return NotFoundError(
            item, cause, "check the name, or log in: some registries answer 404 without permission"
        )
    return refused(request, answer.status, code, cause)


def refused(request: Request, status: int, code: str, cause: str) -> RequestRefusedError:
    """Return the error for an answer that no other try will change."""
    error = RequestRefusedError(item_of(request), cause)
    error.status, error.code = status, code
    return error


def about_types(error: RequestRefusedError) -> bool:
    """Return whether a refusal is about a media type, and not about this one manifest."""
    return error.status in (405, 415) or error.code == "UNSUPPORTED" or bool(_TYPE_WORDS.search(error.cause))


def own_words(body: bytes) -> tuple[str, str]:
    """Return `code` and `code: message` of the first error; for anything else a short plain text."""
    try:
        first = strict_json.loads(body, item="error", depth=16)["errors"][0]
        code = printable(first.get("code", ""), 60)
        return code, f"{code}: {printable(first.get('message', ''))}"
    except (ContentError, LookupError, TypeError, AttributeError):
        text = body.decode("utf-8", "replace").strip()
        return "", "(an HTML page)" if text.startswith("<") else printable(text)


def _refusal_in(body: bytes) -> str:
    """Return the code of a refusal among the errors of an answer; Distribution hides some behind a 500."""
    try:
        errors = strict_json.loads(body, item="error", depth=16)["errors"]
        codes = [error.get("code") for error in errors]
    except (ContentError, LookupError, TypeError, AttributeError):
        return ""
    return next((code for code in codes if code in REFUSALS), "")


def retry_after(header: str | None, limits: Limits) -> float | None:
    """Return seconds, capped; None when the header is missing or malformed."""
    if not header:
        return None
    try:
        seconds = float(header) if header.strip().isdigit() else _until(header)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), limits.retry_after)


def _until(date: str) -> float:
    # The only wall clock below the command line: the server named a wall-clock time.
    return parsedate_to_datetime(date).timestamp() - time.time()  # noqa: TID251
