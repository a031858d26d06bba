"""ssh-keygen, run: the only place that signs or verifies.

It is called with fixed arguments and no shell. What it reads stands in memory, not in temporary files:
on Linux no directory need be writable, and nobody can swap a file between two calls.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from bundler.durable import local_errors
from bundler.errors import LocalError, TrustError, UsageError, printable
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.trust.armor import NAMESPACE, Signature, certificate_in, signatures_in

PROGRAM = "ssh-keygen"

_BY_HAND = "run it by hand to see why"

_TIME = rb"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8})"

_VALIDITY = re.compile(
    rb"^\s*Valid: (?:(?:from|after) " + _TIME + rb")?\s*(?:(?:to|before) " + _TIME + rb")?", re.MULTILINE
)

_OF_A_HOST = re.compile(rb"^\s*Type: \S+ host certificate$", re.MULTILINE)

_OF_NOBODY = re.compile(rb"^\s*Principals: \(none\)$", re.MULTILINE)

_FINGERPRINT = re.compile(rb"[0-9]+ (SHA256:[A-Za-z0-9+/]{43}) ")


class Signer(NamedTuple):
    """A person whose signature was proven."""

    principal: str
    """As the file of allowed signers calls them."""
    key: str
    """The key's fingerprint."""


class Allowed(NamedTuple):
    """The signers who count: the text of a file of allowed signers, and of revoked keys if there is one."""

    name: str
    signers: bytes
    revoked_name: str = ""
    revoked: bytes | None = None


class Ended(NamedTuple):
    """The result of one call."""

    code: int
    out: bytes
    errors: str


class SshKeygen:
    """ssh-keygen, with the environment of the caller, whose time zone must be this process's.

    Where nobody sits at a terminal it gets none, and asks for no passphrase.
    """

    def __init__(
        self, environment: Mapping[str, str], *, interactive: bool = False, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self._environment = {**environment, "LC_ALL": "C"}
        if not interactive:
            self._environment.setdefault("SSH_ASKPASS_REQUIRE", "never")
        self._interactive = interactive
        self._limits = limits

    def fingerprint(self, key: Path) -> str:
        """Return a signing key's fingerprint. Raises UsageError if there is none, before any work."""
        if not key.is_file():
            raise UsageError(str(key), "no such file", "name a private key, or a public one for the agent")
        ended = self._run(["-l", "-E", "sha256", "-f", str(key)])
        match = _FINGERPRINT.match(ended.out)
        if ended.code or not match:
            raise UsageError(str(key), "not an OpenSSH key", "create one with `ssh-keygen -t ed25519`")
        return match[1].decode()

    def certificate(self, key: Path) -> str:
        """Return the fingerprint of the whole certificate that is to sign; empty for a key without one."""
        with local_errors(key, "read"), key.open("rb") as file:
            return certificate_in(file.read(self._limits.config))

    def unfit(self, key: Path, now: str) -> str:
        """Return why nobody accepts what a certificate signs; empty if they may, and for a plain key.

        `now` is in UTC, `2026-01-31T09:00:00`.
        """
        ended = self._run(["-L", "-f", str(key)], TZ="UTC")
        valid = _VALIDITY.search(ended.out)
        if ended.code or not valid:
            return ""
        begins, ends = ((valid[bound] or b"").decode() for bound in (1, 2))
        if begins > now:
            return f"is not valid before {begins}Z"
        if ends and ends <= now:
            return f"expired at {ends}Z"
        if _OF_A_HOST.search(ended.out):
            return "is that of a host, not of a user"
        return "names no principal" if _OF_NOBODY.search(ended.out) else ""

    def sign(self, key: Path, message: bytes) -> Signature:
        """Sign these bytes. Raises LocalError: wrong passphrase, no agent, no hardware."""
        arguments = ["-Y", "sign", "-n", NAMESPACE, "-f", str(key)]
        ended = self._run(arguments, message, seconds=self._limits.signing_seconds)
        if ended.code:
            next_step = "a key with a passphrase needs a terminal, or an agent (ssh-add)"
            raise LocalError(str(key), f"can't sign: {ended.errors}", next_step)
        return signatures_in(ended.out)[0]

    def signer(
        self, allowed: Allowed, signature: Signature, message: bytes, times: tuple[int, ...]
    ) -> Signer:
        """Return the signer of these bytes whose key is allowed at all these times (since the epoch).

        Raises TrustError that says why it doesn't count.
        """
        if signature.namespace != NAMESPACE:
            raise _refused(signature, f"made for the namespace {signature.namespace!r}, not {NAMESPACE}")
        with ExitStack() as stack:
            held = [stack.enter_context(_held(data)) for data in (signature.armored, allowed.signers)]
            revoked = None if allowed.revoked is None else stack.enter_context(_held(allowed.revoked))
            files = _Files(held[0], held[1], revoked)
            principals = self._principals(allowed, signature, files, times)
            causes = [self._refusal(allowed, principal, message, files, times) for principal in principals]
        for principal, cause in zip(principals, causes, strict=True):
            if not cause:
                return Signer(printable(principal.decode("utf-8", "replace"), 100), signature.key)
        raise _refused(signature, causes[0])

    def _principals(
        self, allowed: Allowed, signature: Signature, files: _Files, times: tuple[int, ...]
    ) -> list[bytes]:
        """Return whom the key belongs to at these times; never nobody."""
        principals: list[bytes] = []
        for when in times:
            ended = self._run(["-Y", "find-principals", *files.named(), _at(when)], files=files)
            principals = ended.out.splitlines()
            if ended.code or not principals:
                reason = _reason(ended.errors, files, allowed)
                raise _refused(signature, reason or f"its key is not in {allowed.name}")
        return principals

    def _refusal(
        self, allowed: Allowed, principal: bytes, message: bytes, files: _Files, times: tuple[int, ...]
    ) -> str:
        """Return why this principal's signature does not count; empty if it does."""
        for when in times:
            arguments = ["-Y", "verify", *files.named(), "-n", NAMESPACE, "-I", os.fsdecode(principal)]
            ended = self._run([*arguments, _at(when)], message, files=files)
            if not _good(ended):
                return _reason(ended.errors, files, allowed) or "not a right signature"
            if files.revoked is not None:
                arguments += ["-r", f"/dev/fd/{files.revoked}"]
                if not _good(self._run([*arguments, _at(when)], message, files=files)):
                    # ssh-keygen says the same of both.
                    return f"its key is revoked in {allowed.revoked_name}, or that lists no keys"
        return ""

    def _run(
        self,
        arguments: list[str],
        message: bytes = b"",
        *,
        files: _Files | None = None,
        seconds: float = 0.0,
        **variables: str,
    ) -> Ended:
        import subprocess

        seconds = seconds or self._limits.helper_seconds
        try:
            ended = subprocess.run(  # noqa: S603
                [PROGRAM, *arguments],
                input=message,
                capture_output=True,
                check=False,
                timeout=seconds,
                env={**self._environment, **variables},
                pass_fds=files.descriptors() if files else (),
                start_new_session=not self._interactive,
            )
        except FileNotFoundError:
            raise LocalError(PROGRAM, "not installed", "install OpenSSH (openssh-client)") from None
        except subprocess.TimeoutExpired:
            cause = f"gave no answer in {seconds:.0f} s"
            raise LocalError(PROGRAM, cause, _BY_HAND) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise LocalError(PROGRAM, f"can't be run: {reason}", _BY_HAND) from None
        if ended.returncode < 0:
            raise LocalError(PROGRAM, f"ended by signal {-ended.returncode}", "run the same command again")
        return Ended(ended.returncode, ended.stdout, ended.stderr.decode("utf-8", "replace").strip())


class _Files(NamedTuple):
    """Open files, as ssh-keygen finds them under /dev/fd."""

    signature: int
    signers: int
    revoked: int | None

    def named(self) -> list[str]:
        return ["-s", f"/dev/fd/{self.signature}", "-f", f"/dev/fd/{self.signers}"]

    def descriptors(self) -> tuple[int, ...]:
        descriptors = tuple(descriptor for descriptor in self if descriptor is not None)
        for descriptor in descriptors:
            # Where /dev/fd gives no file of its own, it would go on where the last call ended.
            os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptors


@contextmanager
def _held(data: bytes) -> Iterator[int]:
    """Return an open file without a name that holds `data`."""
    descriptor = _nameless()
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        yield descriptor
    finally:
        os.close(descriptor)


def _nameless() -> int:
    if sys.platform == "linux":
        return os.memfd_create("timoni-bundler")
    else:  # noqa: RET505  without it mypy sees code that Linux never reaches
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())


def _at(seconds: int) -> str:
    """Return the option that judges keys as of this time.

    In local time, as OpenSSH before 9.1 knows no other; in UTC near a change of the clock, where a local
    time may come twice.
    """
    before, after = (time.localtime(seconds + hours * 3600).tm_gmtoff for hours in (-4, 4))
    if before == after:
        return time.strftime("-Overify-time=%Y%m%d%H%M%S", time.localtime(seconds))
    return time.strftime("-Overify-time=%Y%m%d%H%M%SZ", time.gmtime(seconds))


def _good(ended: Ended) -> bool:
    return not ended.code and ended.out.startswith(f'Good "{NAMESPACE}" signature for '.encode())


def _reason(output: str, files: _Files, allowed: Allowed) -> str:
    """Return ssh-keygen's message, under the user's name for the file; empty if it only found nobody."""
    lines = [line.strip().replace(f"/dev/fd/{files.signers}", allowed.name) for line in output.splitlines()]
    messages = [line for line in lines if line.startswith(f"{allowed.name}:")]
    messages += [line for line in lines if line and line != "No principal matched."]
    return printable(messages[0]) if messages else ""


def _refused(signature: Signature, cause: str) -> TrustError:
    return TrustError(f"signature by {signature.key}", cause)
