"""Commands made of functions: parameters are groups of declared options, or single ones."""

import inspect
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import click

from bundler.cli.option_combinations import flags_of, refuse_combination, refuse_force
from bundler.config.option import (
    HEADINGS,
    NOTHING,
    Argument,
    Circumstances,
    Option,
    OptionField,
    built,
    field_of,
    fields_of,
)
from bundler.config.problems import RefusedValueError
from bundler.durable import NEXT_STEP
from bundler.errors import BundlerError, LocalError, UsageError

MANY = 16
"""Options of a command from which on they stand under headings."""


class DeclaredOption(click.Option):
    """An option that knows its heading."""

    heading = ""


class Number(click.IntRange):
    """A number with bounds; the help leaves them to the error that names them."""

    def _describe_range(self) -> str:
        return ""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            bounds = f" of {self.min} or more" if self.max is None else f" from {self.min} to {self.max}"
            self.fail(f"{value!r} is not a whole number{'' if self.min is None else bounds}", param, ctx)


class Command(click.Command):
    """A command as this program has them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse a second value, and an option where a value must stand: `--plain-http -o OUT`."""
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

    def make_parser(self, ctx: click.Context) -> Any:
        """Return the parser, which refuses a second value."""
        parser = super().make_parser(ctx)
        parse = parser.parse_args

        def parse_and_refuse(args: list[str]) -> Any:
            parsed = parse(args)
            _refuse_second_values(ctx, parsed[2])
            return parsed

        parser.parse_args = parse_and_refuse  # type: ignore[method-assign]
        return parser

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write them under headings, if they are many."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": [], **{name: [] for name in HEADINGS}}
        params = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        for param in params:
            heading = getattr(param, "heading", "") if len(params) > MANY else ""
            if record := param.get_help_record(ctx):
                sections[heading or "Options"].append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say where the exit codes are: they are the same for all commands."""
        formatter.write_paragraph()
        formatter.write_text("Exit codes: `timoni-bundler --help`.")


def _refuse_second_values(ctx: click.Context, order: list[click.Parameter]) -> None:
    for param, times in Counter(order).items():
        if isinstance(param, click.Option) and times > 1 and not (param.multiple or param.is_flag):
            raise click.BadOptionUsage(param.opts[0], f"{param.opts[-1]} is given {times} times", ctx)


class _Parameter(NamedTuple):
    """One parameter of a function: a group of fields, or a field alone."""

    name: str
    group: Any
    """The NamedTuple; None for a single field."""
    fields: tuple[OptionField, ...]

    def value(self, raw: dict[str, Any], at: Circumstances) -> Any:
        """Make its value of what click has read. Raises UsageError."""

        def take(field: OptionField) -> Any:
            return _converted(field, raw.get(field.name), at)

        return built(self.group, take) if self.group else take(self.fields[0])


def declared(
    name: str, group: click.Group | None = None, *, reads_files: bool = False
) -> Callable[[Callable[..., int]], click.Command]:
    """Make a command of a function, whose annotations declare its options; perhaps of a group of commands.

    A command that reads files checks by itself which options go together: they may stand in the files.
    """

    def made(function: Callable[..., int]) -> click.Command:
        parameters = list(_parameters(function))
        fields = [field for parameter in parameters for field in parameter.fields]

        def callback(**raw: Any) -> int:
            at = Circumstances(int(time.time()))
            try:
                values = {parameter.name: parameter.value(raw, at) for parameter in parameters}
                if not reads_files:
                    given = (
                        field for field in fields if raw.get(field.name) not in (field.default, None, ())
                    )
                    refuse_combination((group or command).name or name, frozenset(flags_of(given)))
                    refuse_force(str(raw.get("out")), force=bool(raw.get("force")))
                return function(**values)
            except BundlerError as error:
                return _failed(name, error, raw)
            except OSError as error:
                if error.filename is None:
                    raise  # of standard output
                cause, next_step = str(error.strerror), NEXT_STEP.get(error.errno or 0, "")
                return _failed(name, LocalError(str(error.filename), cause, next_step), raw)

        params = [_click_parameter(field) for field in fields if _is_given(field)]
        command = Command(name, callback=callback, params=params, help=inspect.getdoc(function))
        if group is not None:
            group.add_command(command)
        return command

    return made


def _failed(name: str, error: BundlerError, raw: dict[str, Any]) -> int:
    """Say why a command failed as a whole, with --json also in a report; the result is the exit code."""
    from bundler.cli.terminal.outcome import conclude, failed_report

    stream = sys.stderr if str(raw.get("out")) == "-" else sys.stdout
    return conclude(
        failed_report(name, error), summary="", file=None, as_json=bool(raw.get("as_json")), stream=stream
    )


def _parameters(function: Callable[..., int]) -> Iterator[_Parameter]:
    defaults = {name: item.default for name, item in inspect.signature(function).parameters.items()}
    for name, hint in get_type_hints(function, include_extras=True).items():
        if name == "return":
            continue
        if isinstance(hint, type) and hasattr(hint, "_fields"):
            yield _Parameter(name, hint, tuple(fields_of(hint)))
        else:
            default = defaults[name]
            default = NOTHING if default is inspect.Parameter.empty else default
            yield _Parameter(name, None, (field_of(name, hint, default),))


def _is_given(field: OptionField) -> bool:
    return isinstance(field.declared, Argument) or bool(field.declared.flags)


def _click_parameter(field: OptionField) -> click.Parameter:
    declared, required = field.declared, field.default is NOTHING
    kind = _click_type(field)
    if isinstance(declared, Argument):
        nargs = -1 if field.many else 1
        return click.Argument(
            [field.name], metavar=declared.metavar, type=kind, nargs=nargs, required=required
        )
    shown: dict[str, Any] = {"is_flag": True} if field.item is bool else {"metavar": declared.metavar}
    option = DeclaredOption(
        [field.name, *declared.flags],
        type=None if field.item is bool else kind,
        help=declared.help,
        required=required,
        multiple=field.many,
        default=None if required or field.many or field.reader else field.default,
        **shown,
    )
    option.heading = declared.heading
    return option


def _click_type(field: OptionField) -> Any:
    declared = field.declared
    if field.choices:
        return click.Choice(list(field.choices))
    if field.item is Path:
        return click.Path(path_type=Path)
    if declared.path:
        return click.Path(allow_dash=True, readable=False)
    if field.item is int and field.reader is None and isinstance(declared, Option):
        return Number(declared.least, declared.most)
    return click.STRING


def _converted(field: OptionField, value: Any, at: Circumstances) -> Any:
    """Convert what click has read to the type that the field declares. Raises UsageError."""
    if value is None or value == ():
        return () if field.many else None if field.default is NOTHING else field.default
    if field.many:
        return tuple(_read(field, item, at) for item in value)
    return _read(field, value, at)


def _read(field: OptionField, value: Any, at: Circumstances) -> Any:
    read, declared = field.reader, field.declared
    if read is None or not isinstance(value, str):
        return value
    flag = declared.metavar if isinstance(declared, Argument) else declared.flags[0]
    try:
        return read(value, at)
    except RefusedValueError as refused:
        raise UsageError(flag, str(refused), refused.next_step or f"write {declared.metavar}") from None
    except ValueError as error:
        raise UsageError(flag, str(error), f"write {declared.metavar}") from None
