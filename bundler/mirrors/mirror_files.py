"""The files by which containerd, CRI-O, podman and OpenShift use a mirror, as text. No I/O.

Names are of the grammar of references, so they need no quoting beyond their quotes.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from bundler.mirrors.mirror_rules import MirrorRule, MirrorRules, renamed
from bundler.oci import RegistryName

_DOCKER = "docker.io"

_PULLS = '  capabilities = ["pull", "resolve"]'

_DOCKER_API = "https://registry-1.docker.io"

Origin = Callable[[RegistryName], str]
"""Returns `https://host:port` of a registry, `http://...` for one without TLS."""


class MirrorFiles(NamedTuple):
    """The texts by their paths in the folder, and lines about what a format can't express."""

    files: dict[str, str]
    refused: tuple[str, ...]


MARK = "# Written by timoni-bundler import --write-mirror-config"
"""First line of every file. One without it is somebody else's: neither replaced nor removed."""

REGISTRIES_CONF = "registries.conf"
DIGEST_SET, TAG_SET = "image-digest-mirror-set.yaml", "image-tag-mirror-set.yaml"


def mirror_files(rules: MirrorRules, origin: Origin) -> MirrorFiles:
    """Return the files of all rules."""
    files = {REGISTRIES_CONF: registries_conf(rules, origin)}
    for rule in rules.registries:
        files[f"certs.d/{_folder(rule.source)}/hosts.toml"] = hosts_toml(rule, origin)
    refused = [*_refused_by_containerd(rules), *(sets := list(_refused_by_sets(rules, origin)))]
    if not sets:
        files[DIGEST_SET] = mirror_set("ImageDigestMirrorSet", "imageDigestMirrors", rules)
        files[TAG_SET] = mirror_set("ImageTagMirrorSet", "imageTagMirrors", rules)
    return MirrorFiles({path: f"{MARK}\n{text}" for path, text in files.items()}, tuple(refused))


def _folder(registry: str) -> str:
    """Return the folder in which containerd looks first: a port stands between underscores."""
    host, colon, port = registry.rpartition(":")
    return f"{host}_{port}_" if colon and port.isdecimal() else registry


def hosts_toml(rule: MirrorRule, origin: Origin) -> str:
    """Return `hosts.toml` of one registry for containerd."""
    host, _, path = rule.target.partition("/")
    server = _DOCKER_API if rule.source == _DOCKER else f"https://{rule.source}"
    address = origin(RegistryName(host))
    lines = [f'server = "{server}"', ""]
    if path:
        # The path stands for the `/v2` of the API: only so can a mirror be below a path.
        lines += [f'[host."{address}/v2/{path}"]', _PULLS, "  override_path = true"]
    else:
        lines += [f'[host."{address}"]', _PULLS]
    return "\n".join([*lines, ""])


def registries_conf(rules: MirrorRules, origin: Origin) -> str:
    """Return `registries.conf`, version 2, for CRI-O, podman, skopeo and buildah."""
    blocks = [_registry(rule, origin) for rule in rules.all]
    return "\n".join(blocks)


def _registry(rule: MirrorRule, origin: Origin) -> str:
    host = RegistryName(rule.target.partition("/")[0])
    insecure = ["insecure = true"] if origin(host).startswith("http:") else []
    lines = [
        "[[registry]]",
        f'prefix = "{rule.source}"',
        f'location = "{rule.source}"',
        "",
        "[[registry.mirror]]",
        f'location = "{rule.target}"',
        *insecure,
    ]
    return "\n".join([*lines, ""])


def mirror_set(kind: str, field: str, rules: MirrorRules) -> str:
    """Return the manifest of an ImageDigestMirrorSet or an ImageTagMirrorSet."""
    lines = [
        "apiVersion: config.openshift.io/v1",
        f"kind: {kind}",
        "metadata:",
        "  name: timoni-bundler",
        "spec:",
        f"  {field}:" if rules.all else f"  {field}: []",
    ]
    for rule in rules.all:
        lines += [f'    - source: "{rule.source}"', "      mirrors:", f'        - "{rule.target}"']
    return "\n".join([*lines, ""])


def _refused_by_containerd(rules: MirrorRules) -> Iterator[str]:
    for registry, repositories in renamed(rules):
        more = len(repositories) - 1
        have = f"and {more} more have names of their own" if more else "has a name of its own"
        yield (
            f"{registry}: no hosts.toml: containerd maps a registry as a whole, and {repositories[0]} "
            f"{have} at the target"
        )


def _refused_by_sets(rules: MirrorRules, origin: Origin) -> Iterator[str]:
    hosts = {rule.target.partition("/")[0] for rule in rules.all}
    for host in sorted(hosts):
        if origin(RegistryName(host)).startswith("http:"):
            yield (
                f"{host}: no ImageDigestMirrorSet: it can't say that a mirror has no TLS; "
                "give the registry TLS, or use registries.conf"
            )
    for name in sorted({name for rule in rules.all for name in rule if name.startswith("[")}):
        yield f"{name}: no ImageDigestMirrorSet: it has no IPv6 addresses; use a name"
