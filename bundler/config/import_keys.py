"""The keys of an import file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from bundler.config.fields import Count, Host, Keys, Path, Target, Text, Texts, from_text, never_null
from bundler.config.refusal import RefusedError
from bundler.config.rule_keys import NameRuleKeys
from bundler.oci.reference import RegistryName, RepositoryName

MATCHES = ("repository", "prefix", "pattern", "registry")
"""Of these a mapping rule has exactly one."""


def _prefix(text: str) -> str:
    """`host`, or `host/path`, perhaps with a slash behind it."""
    bare = text.rstrip("/")
    try:
        RepositoryName.parse(bare) if "/" in bare else RegistryName.parse(bare)
    except ValueError as error:
        raise RefusedError(str(error), "write HOST/ or HOST/PATH/") from None
    return bare


SourceName = Annotated[
    RepositoryName, from_text(lambda text, at: RepositoryName.parse(text.removeprefix("oci://")))
]


class MappingKeys(Keys):
    """What becomes of some repositories."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [match]} for match in MATCHES]})

    repository: SourceName | None = Field(default=None, json_schema_extra=never_null)
    """This one: HOST/REPOSITORY."""
    prefix: Annotated[str, AfterValidator(_prefix)] | None = Field(default=None, json_schema_extra=never_null)
    """All whose HOST/REPOSITORY begins so, up to a `/`."""
    pattern: Text | None = Field(default=None, json_schema_extra=never_null)
    """All whose HOST/REPOSITORY matches this regular expression as a whole."""
    registry: Host | None = Field(default=None, json_schema_extra=never_null)
    """All of this registry."""
    to: str
    """Below the target: a path, what replaces the prefix or the registry, or a template with `\\1`."""


class SelectKeys(NameRuleKeys):
    """What to import of a bundle."""

    repositories: list[Text] | None = None
    """Repositories whose HOST/REPOSITORY matches one of these globs; `*` is also for `/`."""


class ImportKeys(Keys):
    """An import file. Paths are relative to the file's own folder."""

    version: Annotated[int, Field(ge=1, le=1)]
    """Of this format."""
    to: Target | None = None
    """oci://HOST[/PREFIX]"""
    mapping: list[MappingKeys] | None = None
    """The first rule that matches wins; without one, the path is kept and the host is dropped."""
    flatten: Count | None = None
    """Levels that a path at the target has at most, the prefix included; the rest is joined with `-`."""
    allow: Texts | None = None
    """Globs for paths at the target (`*` is also for `/`); for any other, nothing is written."""
    on_conflict: Literal["fail", "skip", "overwrite"] | None = None
    """A tag that exists with another digest. If it is not said, `latest` moves and any other fails."""
    select: SelectKeys | None = None
    image_map: Path | None = None
    """Write a list of images and their new names."""
