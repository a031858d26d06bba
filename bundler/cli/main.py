"""The commands by name; each is loaded when it is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import click

from bundler.about import PROGRAM, VERSION
from bundler.cli.options.command_line import DeclaredOption
from bundler.cli.terminal.log import JSON, OPTION, VARIABLE, Log
from bundler.errors import UsageError

COMMANDS = {
    "export": "Outside: export modules from registries into a bundle.",
    "explain": "Show which tags an export would take, and why.",
    "verify": "Prove that a bundle is complete and undamaged.",
    "sign": "Sign a bundle with an OpenSSH key.",
    "inspect": "Show what is in a bundle.",
    "extract": "Take one version out of a bundle, as an OCI archive or as files.",
    "merge": "Make one full bundle from deltas or from shards.",
    "volumes": "Split a bundle into volumes, check and repair them.",
    "diff": "Show what changed between two bundles.",
    "report": "Write an HTML page about a bundle, for the person who signs.",
    "import": "Inside: import a bundle into a registry.",
    "serve": "Run a registry from a bundle or a directory.",
    "demo": "Run the complete process on this machine, between two embedded registries.",
    "store": "Clean up and check the store of an export.",
    "completion": "Print a completion script for your shell.",
}

_GROUPS = {
    "transfer": "export explain import merge extract serve",
    "review": "verify sign inspect diff report",
    "maintain": "store volumes demo completion",
}
_GROUP_OF = {name: group for group, names in _GROUPS.items() for name in names.split()}
"""The folder of `commands` that each command is in."""

HELP = """Carry Timoni modules and other OCI artifacts across an air gap.

\b
Outside:  timoni-bundler export ghcr.io/stefanprodan/modules/podinfo -o modules.tar.zst
Inside:   timoni-bundler import modules.tar.zst --to oci://registry.internal:5000/mirror

\b
Exit codes: 0 done, 2 usage, 3 authentication, 4 not found, 5 network, 6 integrity,
7 content refused, 8 finished but some items failed, 9 this machine (disk, permission,
lock), 10 target refused, 11 signature or rollback, 128+N signal, 1 a bug.
"""


class Commands(click.Group):
    """Loads a command's module only for that command: the others' would slow every start."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, or None."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(
            f"bundler.cli.commands.{_GROUP_OF[cmd_name]}.{cmd_name}_command"
        ).command
        command.short_help = COMMANDS[cmd_name]
        _with_log_format(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command; an unknown one is told with what it may have meant."""
        name = args[0]
        if name not in COMMANDS and not ctx.resilient_parsing and not name.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(name, COMMANDS, 1)
            meant = f", did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"no such command: {name}{meant}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table, without loading any command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _with_log_format(command: click.Command) -> None:
    """Every command has the option, and those of a group too."""
    if LOG_FORMAT not in command.params:
        command.params.append(LOG_FORMAT)
    if isinstance(command, click.Group):
        for one in command.commands.values():
            _with_log_format(one)


LOG_FORMAT = DeclaredOption(
    [OPTION],
    type=click.Choice(["text", JSON]),
    envvar=VARIABLE,
    expose_value=False,
    help="Write lines for people to standard error, or a JSON object per line. Default: "
    f"${VARIABLE}, else text.",
)
LOG_FORMAT.heading = "Output"
"""Every command has it; it is obeyed by `log_for`, which also sees what no command gets to see."""


@click.command(
    cls=Commands, name=PROGRAM, help=HELP, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(VERSION, prog_name=PROGRAM, message="%(prog)s %(version)s")
def program() -> None:
    """See HELP."""


program.params.append(LOG_FORMAT)


def invoke(arguments: Sequence[str], log: Log) -> int:
    """Run one command; the result is its exit code. Usage errors are told here."""
    words = _as_others_say_it(arguments)
    try:
        result = program.main(words, prog_name=PROGRAM, standalone_mode=False, obj=log)
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        return _misused(error, words, log)
    return result if isinstance(result, int) else 0


def _as_others_say_it(arguments: Sequence[str]) -> list[str]:
    """`help COMMAND` and `version`, which many programs have, as the options that they are here."""
    if arguments and arguments[0] == "help":
        return [*arguments[1:], "--help"]
    return ["--version"] if list(arguments) == ["version"] else list(arguments)


def _misused(error: click.ClickException, words: Sequence[str], log: Log) -> int:
    """One line for a command line that can't be read, the help for none at all; the exit code."""
    context = getattr(error, "ctx", None)
    named = [word for word in words if word in COMMANDS][:1]
    path = context.command_path if context else " ".join([PROGRAM, *named])
    message = " ".join(error.format_message().split())
    if isinstance(error, _NO_ARGUMENTS) and not log.structured:
        error.show()
    else:
        item = path.removeprefix(PROGRAM).strip()
        cause = message[:1].lower() + message[1:].rstrip(".")
        _tell_misuse(UsageError(item or "command line", cause, f"see `{path} --help`"), item, words, log)
    return error.exit_code


def _tell_misuse(error: UsageError, command: str, words: Sequence[str], log: Log) -> None:
    """Write the line, and the report where the command line asks for JSON."""
    log.error(error)
    before_names = words[: words.index("--")] if "--" in words else words
    if "--json" in before_names and not log.structured:
        from bundler.cli.terminal.outcome import failed_report, print_document
        from bundler.reporting.json_report import reported

        stream = sys.stderr if "-" in before_names else sys.stdout
        print_document(reported(failed_report(command, error)), stream)


_NO_ARGUMENTS = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""Not in click before 8.2, which ends with the help itself."""
