"""The options that go together: one without effect is refused by its name, never passed over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from bundler.config.option import Argument, OptionField, parts_of
from bundler.errors import UsageError


class CombinationRule(NamedTuple):
    """The options that one option of some commands needs beside it, or can't have there."""

    commands: str
    option: str
    needs: tuple[str, ...] = ()
    """One of these; none for an option that needs nothing."""
    excludes: tuple[str, ...] = ()
    cause: str = ""
    together: tuple[str, ...] = ()
    """All of these, if it is given."""

    def fault(self, flags: frozenset[str]) -> UsageError | None:
        """Return what is wrong with the options that are given, if they break the rule."""
        if self.option not in flags:
            return None
        if self.needs and flags.isdisjoint(self.needs):
            return UsageError(self.option, self.cause, f"add {' or '.join(self.needs)}, or leave it out")
        if missing := [option for option in self.together if option not in flags]:
            return UsageError(self.option, f"{self.cause} without {' and '.join(missing)}", "give them all")
        if excluded := [option for option in self.excludes if option in flags]:
            return UsageError(f"{self.option} with {excluded[0]}", self.cause, "leave one of them out")
        return None


_SELECTING = "export explain import verify"

_RANGES = ("--versions", "--newest", "--newest-per-major", "--newest-per-minor", "--config")

_REACH = (
    "--jobs",
    "--plain-http",
    "--ca-file",
    "--creds-file",
    "--token-host",
    "--proxy",
    "--client-cert",
    "--limit-rate",
    "--debug",
    "--debug-file",
)

_TAGS = (
    "--repository", "--tag", "--tag-regex", "--versions", "--newest", "--newest-per-major",
    "--newest-per-minor", "--exclude",
)  # fmt: skip

_KEYLESS = ("--trusted-root", "--certificate-identity", "--certificate-oidc-issuer")

RULES = (
    CombinationRule("export", "--no-referrers", excludes=("--cosign-key", "--trusted-root"),
                    cause="module signatures are needed to check them"),
    CombinationRule("export import", "--all", ("--dry-run",), cause="only a dry run shows tags"),
    *(CombinationRule("export import verify", option, cause="keyless signatures are not checked",
                      together=tuple(other for other in _KEYLESS if other != option))
      for option in _KEYLESS),
    *(CombinationRule("import verify", option, ("--allowed-signers", "--policy"),
                      cause="nothing says whose signatures count")
      for option in ("--revoked-keys", "--require-signatures")),
    *(CombinationRule("import", option, ("--allowed-signers", "--policy"),
                      cause="nothing says whose signatures count")
      for option in ("--require-signature", "--allow-rollback", "--new-job")),
    CombinationRule("import verify", "--job", ("--metrics", "--allowed-signers", "--policy"),
                    cause="only metrics and signatures have jobs"),
    *(CombinationRule("export explain", option, excludes=("--from-timoni-bundle", "--from-file"),
                      cause="the creation time of what a file names is not asked for")
      for option in ("--since", "--min-age")),
    CombinationRule("export", "--full-every", ("--base",), cause="only a chain of deltas can begin anew"),
    CombinationRule("export explain", "--set", ("--from-timoni-bundle",),
                    cause="only Timoni Bundle files have runtime values"),
    CombinationRule("export explain", "--runtime-from-env", ("--from-timoni-bundle",),
                    cause="only Timoni Bundle files have runtime values"),
    CombinationRule("import", "--set", ("--timoni-bundle",), cause="no Timoni Bundle file is rewritten"),
    CombinationRule("import", "--runtime-from-env", ("--timoni-bundle",),
                    cause="no Timoni Bundle file is rewritten"),
    CombinationRule("import", "--timoni-bundle", ("--timoni-bundle-to",),
                    cause="the folder for the rewritten files is missing"),
    CombinationRule("import", "--rewrite-images", ("--timoni-bundle",),
                    cause="no Timoni Bundle file is rewritten"),
    CombinationRule("import", "--timoni-bundle-to", ("--timoni-bundle",),
                    cause="no Timoni Bundle file to rewrite is named"),
    CombinationRule("import", "--prune-deselected", ("--prune",), cause="nothing is deleted without --prune"),
    CombinationRule("verify", "--deep", ("--against", "--config"), cause="no registry is asked"),
    CombinationRule(_SELECTING, "--prereleases", _RANGES, cause="only ranges and --newest leave them out"),
    CombinationRule("export explain", "--no-referrers", excludes=("--require",),
                    cause="what is left out can't be required"),
    *(CombinationRule("export explain", option, ("--with-images", "--config"), cause="no images are included")
      for option in ("--exclude-image", "--optional-image", "--image-min-age")),
    CombinationRule("export kit volumes", "--parity", ("--volume-size",), cause="only volumes have parity"),
    CombinationRule("export", "--level", ("--compact",), cause="only compact bundles have a level"),
    CombinationRule("export", "--sequence", ("--sign-key",), cause="nothing is signed"),
    CombinationRule("export", "--expires", ("--sign-key",), cause="nothing is signed"),
    CombinationRule("export", "--keep", ("--store",),
                    cause="only a store records which bundles belong to this job"),
    CombinationRule("export", "--keep-days", ("--store",),
                    cause="only a store records which bundles belong to this job"),
    CombinationRule("export", "--allow-empty", ("--base",), cause="only a delta can be empty"),
    CombinationRule("export", "--immutable", ("--base", "--store"),
                    cause="only a base or a store remembers tags"),
    CombinationRule("export", "--job", ("--metrics", "--sign-key", "--store"),
                    cause="only metrics, signatures and a store have jobs"),
    *(CombinationRule("verify", option, ("--against", "--config"), cause="no registry is asked")
      for option in _REACH),
    *(CombinationRule("verify", option, ("--against", "--config"),
                      cause="without a target, all of a bundle is verified") for option in _TAGS),
    *(CombinationRule("compact expand", option, ("--from",), cause="no registry is asked")
      for option in _REACH),
    CombinationRule("ls", "--jobs", ("--digests",), cause="a list is one request at a time"),
    CombinationRule("diff", "--markdown", excludes=("--json",), cause="only one output format can be used"),
    CombinationRule("serve", "--tls-cert", ("--tls-key",), cause="a certificate needs its key"),
    CombinationRule("serve", "--tls-key", ("--tls-cert",), cause="a key needs its certificate"),
    CombinationRule("serve", "--writable", excludes=("--volumes-in",), cause="volumes can't accept pushes"),
    CombinationRule("export explain import verify", "--client-key", ("--client-cert", "--config"),
                    cause="it is the key of no certificate"),
    CombinationRule("catalog compact expand login ls", "--client-key", ("--client-cert",),
                    cause="it is the key of no certificate"),
)  # fmt: skip
"""All that depends on nothing but which options are given."""


def refuse_combination(command: str, flags: frozenset[str]) -> None:
    """Raise UsageError for the first rule of a command that the options break."""
    for fault in faults(command, flags):
        raise fault


def faults(command: str, flags: frozenset[str]) -> Iterator[UsageError]:
    """Yield what is wrong with the options that are given to a command."""
    rules = (rule for rule in RULES if command in rule.commands.split())
    yield from filter(None, (rule.fault(flags) for rule in rules))


def refuse_unused(flags: Iterable[str], options: Iterable[str], cause: str) -> None:
    """Raise UsageError for the first of the options that is given, where none can have an effect."""
    for option in options:
        if option in flags:
            raise UsageError(option, cause, "leave it out")


def refuse_force(out: str, *, force: bool) -> None:
    """Raise UsageError where --force can't replace anything."""
    if force and out == "-":
        raise UsageError("--force", "standard output replaces nothing", "leave it out")


def given_flags(*groups: tuple[Any, ...]) -> frozenset[str]:
    """Return the long flags of the options in groups that have another value than their default."""
    return frozenset(flag for group in groups for flag in _given(group))


def _given(group: tuple[Any, ...]) -> Iterator[str]:
    for part, value in zip(parts_of(type(group)), group, strict=True):
        if part.field is None:
            yield from _given(value)
        elif value != part.field.default:
            yield from flags_of((part.field,))


def flags_of(fields: Iterable[OptionField]) -> Iterator[str]:
    """Yield the long flag of every field that has one."""
    for field in fields:
        if not isinstance(field.declared, Argument) and field.declared.flags:
            yield max(field.declared.flags, key=len)
