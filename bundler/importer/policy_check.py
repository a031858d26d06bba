"""A bundle held against a border policy: every violation at once, before anything is written."""

from collections.abc import Iterator, Mapping
from itertools import chain

from bundler.attachments.evidence import Attachments, evidence_of
from bundler.bundle.inventory import Inventory, Root, roots_of
from bundler.errors import (
    BUNDLE,
    BundlerError,
    ContentError,
    TrustError,
    UnsignedError,
    UsageError,
    ViolationsError,
)
from bundler.oci import BlobSource, Manifest, Manifests, RepositoryName, is_meant
from bundler.reporting.json_report import SignedReport, StatementReport
from bundler.trust.module_signers import Signers
from bundler.trust.policy import Demand, Policy, matches

Names = Mapping[RepositoryName, RepositoryName]


class PolicyCheck:
    """A policy, those whose signatures it wants, and the content that signatures are read from."""

    def __init__(self, policy: Policy, signers: Mapping[Demand, Signers], content: BlobSource | None) -> None:
        """Take what is demanded; `content` is None for a pipe.

        Raises: UsageError for signatures on modules in a pipe, where they come after the manifests, and for
        a demand without anybody whose signature counts.
        """
        for demand in policy.demands:
            if demand.signed and demand not in signers:
                cause = "nobody is named whose signatures on modules count"
                raise UsageError("policy", cause, "give the signers of each demand")
            if demand.signed and content is None:
                cause = "signatures on modules can't be checked in a stream"
                raise UsageError("-", cause, "give a file")
        self._policy = policy
        self._signers = signers
        self._content = content
        self._signed: dict[SignedReport, None] = {}

    @property
    def signed(self) -> tuple[SignedReport, ...]:
        """Return who signed what, after the check."""
        return tuple(self._signed)

    def check_origin(self, proven: StatementReport | None) -> None:
        """Raise TrustError unless it was proven that the signers of the policy signed the bundle itself."""
        policy = self._policy
        if policy.allowed_signers is None:
            return
        if proven is None:
            cause = f"the policy demands signers of {policy.allowed_signers}, and no signature was checked"
            raise TrustError(BUNDLE, cause, "open it with a verifier of these signers")
        if len(proven.signers) < (needed := policy.signatures or 1):
            cause = f"{len(proven.signers)} of {needed} signers that the policy demands"
            raise TrustError(BUNDLE, cause, "open it with a verifier that demands as many")
        if policy.job and proven.job != policy.job:
            cause = f"signed for job {proven.job}, but the policy expects job {policy.job}"
            raise TrustError(BUNDLE, cause, "import the bundle of that job")

    def check(self, inventory: Inventory, manifests: Manifests, names: Names | None = None) -> None:
        """Raise what is violated: ContentError, or TrustError where only signatures on modules lack.

        `names` are the repositories at the target, where one is known.
        """
        violations: list[BundlerError] = []
        more, only_unsigned = 0, True
        for problem in chain(
            _places(self._policy, inventory, names),
            _types(self._policy, manifests),
            _sizes(self._policy, inventory),
            self._demanded(inventory, manifests),
        ):
            only_unsigned &= isinstance(problem, TrustError)
            # A bundle that was made to violate in a million places does not fill the memory.
            if len(violations) < ViolationsError.most:
                violations.append(problem)
            else:
                more += 1
        if violations and only_unsigned:
            raise UnsignedError("policy", violations, more)
        if violations:
            # One exit code for all of them: what is not allowed at all weighs more.
            problems = [
                ContentError(violation.item, violation.cause, violation.next_step) for violation in violations
            ]
            raise ViolationsError("policy", problems, more)

    def _demanded(self, inventory: Inventory, manifests: Manifests) -> Iterator[BundlerError]:
        if not self._policy.demands:
            return
        roots, content = list(roots_of(inventory)), self._content
        attachments = Attachments(
            roots,
            manifests,
            has_base=inventory.kind == "delta",
            content_of=(lambda _: content) if content else None,
        )
        for demand in self._policy.demands:
            for root in roots:
                if demand.is_for(root.repository) and not attachments.is_attached(root):
                    yield from self._of_one(root, demand, attachments)

    def _of_one(self, root: Root, demand: Demand, attachments: Attachments) -> Iterator[BundlerError]:
        if missing := demand.referrers - attachments.kinds(root):
            cause = f"it has no {' and no '.join(sorted(missing))}, which the policy requires"
            yield ContentError(str(root), cause, "have it created outside, and export again")
        if demand.signed and self._content:
            signers = self._signers[demand]
            try:
                signatures = attachments.signed(root, signers, self._content)
                self._signed[evidence_of(root, signers, signatures)] = None
            except TrustError as error:
                yield error


# --- what does not depend on signatures --------------------------------------------------------------


def _places(policy: Policy, inventory: Inventory, names: Names | None) -> Iterator[ContentError]:
    for entry in inventory.repositories:
        if policy.sources and not is_meant(entry.name, policy.sources):
            yield _refused(entry.name, "the policy does not allow this source")
        target = names.get(entry.name) if names else None
        if target and policy.targets and not matches(target.path, policy.targets):
            yield _refused(entry.name, f"it would become {target}, and the policy does not allow that place")


def _types(policy: Policy, manifests: Manifests) -> Iterator[ContentError]:
    if not policy.media_types:
        return
    seen: set[str] = set()
    for manifest in manifests.values():
        for kind in sorted(_types_of(manifest) - seen):
            seen.add(kind)
            if not matches(kind, policy.media_types):
                item = f"manifest {manifest.blob.digest}"
                yield _refused(item, f"the policy does not allow the type {kind}")


def _types_of(manifest: Manifest) -> set[str]:
    parts = (*([manifest.config] if manifest.config else []), *manifest.layers)
    named = {manifest.artifact_type} if manifest.artifact_type else set()
    return {manifest.blob.media_type, *(part.blob.media_type for part in parts)} | named


def _sizes(policy: Policy, inventory: Inventory) -> Iterator[ContentError]:
    blobs = list(inventory.content)
    counted = (
        ("bytes in all", sum(blob.size for blob in blobs), policy.bundle_bytes),
        ("repositories", len(inventory.repositories), policy.repositories),
        ("tags", sum(len(entry.tags) for entry in inventory.repositories), policy.tags),
    )
    for what, count, most in counted:
        if most is not None and count > most:
            yield _refused(BUNDLE, f"{count:,} {what}, and the policy allows {most:,}")
    for blob in blobs:
        if policy.blob_bytes is not None and blob.size > policy.blob_bytes:
            cause = f"{blob.size:,} bytes, and the policy allows {policy.blob_bytes:,}"
            yield _refused(f"blob {blob.digest}", cause)


def _refused(item: str, cause: str) -> ContentError:
    return ContentError(item, cause, "export without it, or have the policy changed")
