"""How a command shows its options, under headings where they are many, and how it reads them."""

from __future__ import annotations

import click

MANY = 12
"""Options of a command from which on they stand under headings."""

HEADINGS = {
    "Where to": "--output --store --to --on-conflict --against --force --dry-run --all",
    "Which tags": (
        "--repository --tag --tag-regex --versions --prereleases --newest --newest-per-major "
        "--newest-per-minor --exclude --since --min-age --follow-latest --preset --from-timoni-bundle --set"
    ),
    "What goes along": "--with-images --platform --no-referrers --require",
    "The same again, and shared": "--lock --on-drift --shard",
    "Night by night": (
        "--base --allow-empty --immutable --keep --keep-days --with --allow-gap --receipt --prune --state"
    ),
    "Volumes": "--volume-size --parity --volumes-in",
    "Names inside": "--write-image-map --timoni-bundle --timoni-bundle-to",
    "The way back": "--rollback-file --rollback",
    "Signatures and policy": (
        "--sign-key --sequence --expires --policy --cosign-key --trusted-root --certificate-identity "
        "--certificate-oidc-issuer --allowed-signers --revoked-keys --require-signatures "
        "--require-signature --allow-rollback"
    ),
    "What is told": "--report --json --quiet --metrics --job --log-format",
    "Registries": "--jobs --plain-http --ca-file --creds-file --token-host --proxy",
}
"""By heading, in the order of the help; what is named nowhere comes first."""

_HEADING_OF = {option: heading for heading, options in HEADINGS.items() for option in options.split()}


class Command(click.Command):
    """A command as this program has them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse an option where the value of another must stand: `--plain-http -o OUT`."""
        rest = super().parse_args(ctx, args)
        options = [param for param in self.params if isinstance(param, click.Option)]
        names = {name for option in options for name in option.opts}
        for option in options:
            value = ctx.params.get(option.name or "")
            for given in value if isinstance(value, tuple) else (value,):
                if str(given) in names:
                    cause = f"{option.opts[0]} needs a value, and {given} follows it"
                    raise click.BadOptionUsage(option.opts[0], cause, ctx)
        return rest

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Under headings, if they are many."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": [], **{name: [] for name in HEADINGS}}
        params = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        for param in params:
            name = max(param.opts, key=len)
            heading = _HEADING_OF.get(name, "Options") if len(params) > MANY else "Options"
            if record := param.get_help_record(ctx):
                sections[heading].append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Where the exit codes are told: they are the same for all commands."""
        formatter.write_paragraph()
        formatter.write_text("Exit codes: `timoni-bundler --help`.")
