"""`timoni-bundler schema`."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import click

from bundler.cli.declared_command import declared
from bundler.config.option import Argument
from bundler.errors import NotFoundError, UsageError

SUFFIX = ".schema.json"


@declared("schema")
def command(name: Annotated[str | None, Argument("[NAME]")] = None) -> int:
    """Print a JSON Schema: of a file that you write, or of a document that this program writes.

    Without NAME, list the schemas.

    \b
    timoni-bundler schema
    timoni-bundler schema export-file > export-file.schema.json
    """
    schemas = _schemas()
    if name is None:
        click.echo("\n".join(schemas))
        return 0
    bare = name.removesuffix(SUFFIX)
    if bare not in schemas:
        raise UsageError(name, "no such schema", f"name one of: {', '.join(schemas)}")
    click.echo(schemas[bare].read_text(), nl=False)
    return 0


def _schemas() -> dict[str, Traversable]:
    """Return the schemas of the package, or of the checkout, by name. Raises NotFoundError."""
    shipped: Traversable = files("bundler") / "schemas"
    here = shipped if shipped.is_dir() else Path(__file__).parents[4] / "schemas"
    if not here.is_dir():
        raise NotFoundError(str(here), "the schemas are missing", "install the package again")
    schemas = {file.name.removesuffix(SUFFIX): file for file in here.iterdir() if file.name.endswith(SUFFIX)}
    return dict(sorted(schemas.items()))
