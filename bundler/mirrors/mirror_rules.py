"""The mirrors that stand for registries and repositories. No I/O.

Source: hosts.toml of containerd, containers-registries.conf(5), config.openshift.io/v1.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from bundler.oci import RegistryName, RepositoryName


class MirrorRule(NamedTuple):
    """A name that images have, and the name of the same at the target."""

    source: str
    """A registry, or one repository."""
    target: str
    """A registry, perhaps with a path, or one repository."""


class MirrorRules(NamedTuple):
    """The rules for everything that the target has."""

    registries: tuple[MirrorRule, ...]
    """Registries whose repositories are all below one path of the target, under their own names."""
    repositories: tuple[MirrorRule, ...]
    """Repositories of the others, one by one."""

    @property
    def all(self) -> tuple[MirrorRule, ...]:
        """Return all rules, by source."""
        return tuple(sorted((*self.registries, *self.repositories)))


def mirror_rules(names: Mapping[RepositoryName, RepositoryName]) -> MirrorRules:
    """Return the rules; `names` has the name at the target of every repository."""
    by_registry: dict[RegistryName, dict[RepositoryName, RepositoryName]] = {}
    for source, target in sorted(names.items()):
        if source != target:
            by_registry.setdefault(source.registry, {})[source] = target
    registries: list[MirrorRule] = []
    repositories: list[MirrorRule] = []
    for registry, targets in by_registry.items():
        places = {_place(source, target) for source, target in targets.items()}
        place = places.pop() if len(places) == 1 else None
        if place:
            registries.append(MirrorRule(registry, place))
        else:
            repositories += [MirrorRule(source, target) for source, target in targets.items()]
    return MirrorRules(tuple(registries), tuple(repositories))


def _place(source: RepositoryName, target: RepositoryName) -> str | None:
    """Return `host` or `host/path` at the target, below which the source path stands; None if it does not."""
    if target.path == source.path:
        return target.registry
    return target.removesuffix(f"/{source.path}") if target.endswith(f"/{source.path}") else None


def renamed(rules: MirrorRules) -> Iterator[tuple[str, list[str]]]:
    """Yield each registry whose repositories have other names at the target, with the repositories."""
    by_registry: dict[str, list[str]] = {}
    for rule in rules.repositories:
        by_registry.setdefault(rule.source.partition("/")[0], []).append(rule.source)
    yield from by_registry.items()
