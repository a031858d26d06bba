"""The commands by name; each is loaded when it is called."""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from bundler.about import PROGRAM, VERSION
from bundler.cli.declared_command import DeclaredOption
from bundler.cli.terminal.log import JSON, OPTION, VARIABLE, Log
from bundler.errors import SlowEncodersWarning, UsageError

GROUPS = {
    "Outside": {
        "catalog": "Show the repositories of a registry.",
        "ls": "Show the tags of a repository.",
        "export": "Export modules from registries into a bundle.",
        "explain": "Show which tags an export would take, and why.",
        "merge": "Make one full bundle from deltas or from shards.",
        "compact": "Write a bundle in its compact form, a fraction of the bytes.",
        "kit": "Put bundles, the program and checksums into one folder.",
    },
    "Inside": {
        "import": "Import a bundle into a registry.",
        "expand": "Write a compact bundle in its portable form.",
        "serve": "Run a registry from a bundle or a directory.",
        "extract": "Take one version out of a bundle: an OCI archive, or files.",
    },
    "Check and inspect": {
        "verify": "Prove that a bundle is complete and undamaged.",
        "sign": "Sign a bundle with an OpenSSH key.",
        "inspect": "Show what is in a bundle.",
        "diff": "Show what changed between two bundles.",
        "report": "Write an HTML page about a bundle, for the person who approves it.",
    },
    "Setup and maintenance": {
        "login": "Log in to a registry, and keep the credentials.",
        "logout": "Remove the credentials of a registry.",
        "store": "Clean up, check and list the store of an export.",
        "volumes": "Split a bundle into volumes, check and repair them.",
        "demo": "Run the complete process here, between two registries.",
        "schema": "Print the JSON Schema of a file or a report.",
        "completion": "Print a completion script for your shell.",
    },
}
"""The commands under the headings of the help, in the order of use."""

COMMANDS = {name: text for commands in GROUPS.values() for name, text in commands.items()}

FOLDERS = {
    "Outside": "outside",
    "Inside": "inside",
    "Check and inspect": "review",
    "Setup and maintenance": "upkeep",
}
"""The folder of `commands` with the commands of each heading."""

_FOLDER_OF = {name: FOLDERS[heading] for heading, commands in GROUPS.items() for name in commands}

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
    """The commands; only the module of the one that runs is loaded, the others would slow every start."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, or None."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(
            f"bundler.cli.commands.{_FOLDER_OF[cmd_name]}.{cmd_name}_command"
        ).command
        command.short_help = COMMANDS[cmd_name]
        _with_log_format(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command; for an unknown one, raise UsageError with what may have been meant."""
        name = args[0]
        if name not in COMMANDS and not ctx.resilient_parsing and not name.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(name, COMMANDS, 1)
            meant = f", did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"no such command: {name}{meant}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table, without loading any command."""
        width = max(map(len, COMMANDS))
        for heading, commands in GROUPS.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), text) for name, text in commands.items()])


def _with_log_format(command: click.Command) -> None:
    """Give every command the option, and those of a group too."""
    if LOG_FORMAT not in command.params:
        command.params.append(LOG_FORMAT)
    if isinstance(command, click.Group):
        for part in command.commands.values():
            _with_log_format(part)


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
        with warnings.catch_warnings():
            _tell_of_slowness(log, quiet="--json" in words)
            result = program.main(words, prog_name=PROGRAM, standalone_mode=False, obj=log)
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        return _misused(error, words, log)
    return result if isinstance(result, int) else 0


def _tell_of_slowness(log: Log, *, quiet: bool) -> None:
    """Have the library's warning as a line of this log, or not at all."""
    otherwise = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *more: Any, **named: Any) -> None:
        if category is SlowEncodersWarning:
            log.warn(str(message))
        else:
            otherwise(message, category, *more, **named)

    warnings.filterwarnings("ignore" if quiet else "always", category=SlowEncodersWarning)
    warnings.showwarning = show


def _as_others_say_it(arguments: Sequence[str]) -> list[str]:
    """Turn `help COMMAND` and `version`, which many programs have, into the options of this one."""
    if arguments and arguments[0] == "help":
        return [*arguments[1:], "--help"]
    return ["--version"] if list(arguments) == ["version"] else list(arguments)


def _misused(error: click.ClickException, words: Sequence[str], log: Log) -> int:
    """Print a line for a command line that can't be read, or the help for none; return the exit code."""
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
