"""Write a man page for each command, from the help that it prints: `python tools/man_pages.py FOLDER`.

With --check, only compare; exit code 1 if a page in FOLDER is missing, superfluous or out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from bundler.about import PROGRAM, VERSION
from bundler.cli.main import program

Pages = dict[str, str]


def escaped(text: str) -> str:
    """Write text so that roff prints it as it is. Source: groff_char(7), "Fundamental character set"."""
    plain = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("`", r"\(ga")
    return "\n".join(rf"\&{line}" if line.startswith((".", r"\(aq")) else line for line in plain.split("\n"))


class RoffFormatter(click.HelpFormatter):
    """Writes what a command prints as its help in the language of man pages. Source: man(7)."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the synopsis."""
        self.write_heading("Synopsis")
        self.write(f"\\fB{escaped(prog)}\\fR {escaped(args)}\n")
        self.write_heading("Description")

    def write_heading(self, heading: str) -> None:
        """Begin a section."""
        self.write(f'.SH "{escaped(heading.upper())}"\n')

    def write_paragraph(self) -> None:
        """Leave the space between paragraphs to roff."""

    def write_text(self, text: str) -> None:
        """Write paragraphs; the lines of one that begins with a backspace stay as they are."""
        for paragraph in text.split("\n\n"):
            lines = [line.strip() for line in paragraph.strip("\n").split("\n")]
            kept = lines[0] == "\b"
            body = escaped("\n".join(lines[kept:]))
            self.write(f".PP\n.nf\n{body}\n.fi\n" if kept else f".PP\n{body}\n")

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write options or commands, each with its description."""
        for term, text in rows:
            self.write(f".TP\n\\fB{escaped(term)}\\fR\n{escaped(text)}\n")

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Write a section's heading before what is in it."""
        self.write_heading(name)
        yield

    @contextmanager
    def indentation(self) -> Iterator[None]:
        """Leave the indentation to roff."""
        yield


def pages() -> Pages:
    """Make every page: that of the program, and those of its commands and their commands."""
    return dict(_pages(program, click.Context(program, info_name=PROGRAM, **program.context_settings)))


def _pages(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    name = context.command_path.replace(" ", "-")
    formatter = RoffFormatter()
    command.format_help(context, formatter)
    heading = f'.TH "{escaped(name.upper())}" 1 "" "{PROGRAM} {VERSION}" "User Commands"\n'
    summary = escaped(command.get_short_help_str(200).rstrip("."))
    yield f"{name}.1", f'{heading}.SH "NAME"\n{escaped(name)} \\- {summary}\n{formatter.getvalue()}'
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found
            yield from _pages(found, click.Context(found, info_name=child, parent=context))


def main(folder: Path, *, check: bool) -> int:
    """Write the pages, or compare them with those in the folder."""
    made = pages()
    there = {path.name: path.read_text() for path in folder.glob("*.1")}
    if check:
        differing = sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))
        print("".join(f"{folder / name} is out of date: run `make man`\n" for name in differing), end="")
        return int(bool(differing))
    folder.mkdir(parents=True, exist_ok=True)
    for name in there.keys() - made.keys():
        (folder / name).unlink()
    for name, page in made.items():
        (folder / name).write_text(page)
    return 0


if __name__ == "__main__":
    names = [argument for argument in sys.argv[1:] if argument != "--check"]
    sys.exit(main(Path(*names), check="--check" in sys.argv))
