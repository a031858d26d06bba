"""Kinds of registries, and what helps where one of them refuses something."""

import re
from typing import NamedTuple

from bundler.errors import IntegrityError, TargetRefusedError
from bundler.oci import Digest, RepositoryName
from bundler.registry.http.status import FULL


class MissingContentError(TargetRefusedError):
    """The target says that a blob or manifest is missing which it said it had."""


class TypeRefusedError(TargetRefusedError):
    """The target takes no artifacts of this kind."""


class DigestRefusedError(TargetRefusedError):
    """The target says that a manifest has not its digest.

    Its bytes are proven here, so they were damaged on the way; or Distribution read a link of its own that
    another request was just writing.
    """


class RepositoryRefusedError(TargetRefusedError):
    """The target takes nothing into this repository: other blobs would be refused as well."""


class StoredOtherwiseError(IntegrityError):
    """The target says that it stored other bytes than it was sent."""


def contradicts(digest_header: str, digest: Digest) -> bool:
    """Return whether a registry names another digest; by another algorithm, it may be the same content."""
    return digest_header.startswith(f"{digest.algorithm}:") and digest_header != digest


AT_TARGET = "ask those who run the target registry: the same import will be refused again"
"""The next step where none of the kinds has a better one."""

REFUSED = "the target refuses it: "

DIGEST_HINT = "it was sent several times: find out what changes manifests on the way to the target"

FOREIGN_HINT = (
    "allow the addresses of its foreign layers at the target (Distribution: validation.manifests.urls.allow)"
)

NAME_HINT = "if the target does not take nested names, see `flatten` in docs/importing.md"

LOCATION_HINT = "have the proxy in front of the target rewrite Location (nginx: proxy_redirect)"

_ECR = r"[0-9]+\.dkr\.ecr[a-z-]*\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?"


_ZOT = 'zot: "compat": ["docker2s2"] under http'


class _Kind(NamedTuple):
    """One kind of registry: how it is known by its host or its words, and what helps."""

    host: str
    words: str
    missing: str
    """Creates a repository; `{path}`, `{first}` and `{region}` are filled in."""
    types: str
    """Makes it accept a media type."""


def _kind(host: str, words: str, missing: str, types: str) -> _Kind:
    return _Kind(host or "(?!)", words or "(?!)", missing, types)


_KINDS = (
    _kind(
        r"public\.ecr\.aws",
        "",
        "aws ecr-public create-repository --repository-name {rest}",
        "public ECR takes OCI and Docker types only",
    ),
    _kind(
        _ECR,
        r"in the registry with id",
        "aws ecr create-repository --repository-name {path} --region {region}",
        "ECR takes OCI and Docker types only; newer artifact types need a current region",
    ),
    _kind(
        "",
        r"project\b.*\bnot found|harbor",
        "create the Harbor project {first}",
        "Harbor: check the project's allowed artifact types",
    ),
    _kind(
        r"quay\.io",
        r"quay",
        "create the Quay organisation {first}, or let this robot create repositories",
        "Quay: FEATURE_GENERAL_OCI_SUPPORT: true and ALLOWED_OCI_ARTIFACT_TYPES in config.yaml",
    ),
    _kind(
        r"gitlab\.|registry\.gitlab\.com",
        r"gitlab",
        "create the GitLab project {first}, and switch its container registry on",
        "GitLab takes the types that its version knows: update it",
    ),
    _kind(
        r".*\.jfrog\.io",
        r"artifactory|jfrog",
        "create the Artifactory repository {first} (its key is the first part of the path)",
        "Artifactory: create the repository with the OCI package type",
    ),
    _kind(
        "",
        r"zot",
        "zot creates repositories by itself: check accessControl",
        f"{_ZOT}, for Docker types",
    ),
)

_ANY = _kind(
    "",
    "",
    "create the repository or project first, or map it elsewhere",
    "allow this media type at the target, or update the target",
)


_REFUSALS = (
    (f"(?s).*{FULL}", "make room at the target, then run the import again"),
    (
        "413 ?",
        "a proxy in front of the registry may limit bodies: raise its limit (nginx: client_max_body_size)",
    ),
    (
        "(?is)405 ?|.*read.?only",
        "it may be read-only (maintenance), or a mirror of another registry",
    ),
)
"""Refusals that are of one kind at every registry."""


def refusal_hint(words: str) -> str:
    """Return the next step after a refusal, given its status and words; empty if there is none."""
    return next((hint for kind, hint in _REFUSALS if re.match(kind, words)), "")


def has_another_reason(error: TargetRefusedError) -> bool:
    """Return whether a refusal is about something else than what a manifest has below it.

    zot calls an index invalid, with the status of a refused type, where children are missing.
    """
    types = isinstance(error, TypeRefusedError) and "MANIFEST_INVALID" not in error.cause
    hint = refusal_hint(error.cause.removeprefix(REFUSED))
    return types or isinstance(error, RepositoryRefusedError) or bool(hint)


def missing_hint(name: RepositoryName, words: str) -> str:
    """Return what creates a repository or opens it for writing, given the registry's words."""
    if hint := refusal_hint(words):
        return hint
    region = re.fullmatch(_ECR, name.registry.hostname)
    rest = name.path.partition("/")[2] or name.path
    first = name.path.partition("/")[0]
    text = _kind_of(name, words).missing
    return text.format(path=name.path, first=first, rest=rest, region=region[1] if region else "REGION")


def type_hint(name: RepositoryName, words: str) -> str:
    """Return what makes a registry accept a media type, given its words."""
    kind = _kind_of(name, words)
    if kind is _ANY and "MANIFEST_INVALID" in words:
        return f"the target may not take this media type ({_ZOT}), or not what the manifest says"
    return kind.types


def _kind_of(name: RepositoryName, words: str) -> _Kind:
    by_host = (kind for kind in _KINDS if re.fullmatch(kind.host, name.registry.hostname))
    by_words = (kind for kind in _KINDS if re.search(kind.words, words, re.IGNORECASE))
    return next(by_host, None) or next(by_words, _ANY)
