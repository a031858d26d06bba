"""Bundles made one: a full bundle and the deltas on it, or shards of one selection."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bundler.about import VERSION
from bundler.bundle.bundle_output import BundleOutput
from bundler.bundle.inventory import Inventory, bundle_id, encode, roots_of
from bundler.bundle.manifest_pool import ChainEntry, ManifestPool, read_chain_entry
from bundler.bundle.reader import Bundle, open_bundle, refuse_unused_folders
from bundler.bundle.wire import FrameCache
from bundler.bundle.writer import check_readable
from bundler.deltas.base_blobs import provide_base
from bundler.deltas.state import State, base_error, full_inventory, state_of
from bundler.errors import ContentError, IntegrityError, UsageError, errors_of_one
from bundler.folders import check_disk
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci import Descriptor, Digest, RepositoryName, Tally, reached
from bundler.reporting.json_report import BundleReport, Report, RepositoryReport, TagReport
from bundler.session import Session


def merge_bundles(
    paths: Sequence[Path],
    out: BundleOutput,
    session: Session,
    *,
    volumes_in: Sequence[Path] = (),
) -> Report:
    """Make one full bundle, byte for byte what a full export of the same state makes.

    Applied in the order given: what a later one says of a tag holds. Raises UsageError that names a
    bundle which one of them builds on, and which is not before it; IntegrityError or ContentError for
    damaged ones.
    """
    if out.is_store:
        raise UsageError(out.name, "a merged bundle is a file", "use a name that ends in .tar.zst")
    out.check()
    limits, progress = session.limits, session.progress
    with ExitStack() as stack:
        opened = partial(open_bundle, limits=limits, volumes_in=volumes_in, frames=FrameCache())
        bundles = []
        for path in paths:
            with errors_of_one(path):
                bundles.append(stack.enter_context(opened(path)))
        refuse_unused_folders(volumes_in, *bundles)
        for bundle in bundles:
            provide_base(bundle, session, beside=[other for other in bundles if other is not bundle])
        pool = ManifestPool(limits)
        chain = [read_chain_entry(bundle, pool) for bundle in bundles]
        inventory = merged_inventory(chain, limits, {bundle.id: str(bundle.path) for bundle in bundles})
        check_readable(inventory, limits)
        existing = out.unchanged(inventory, progress)
        if existing:
            out.confirm(existing)
        elif needed := out.need(inventory):
            check_disk([needed])
        written = existing or out.write(inventory, _Together(bundles), progress)
    return written_report("merge", inventory, written, unchanged=existing is not None)


def written_report(command: str, inventory: Inventory, bundle: BundleReport, *, unchanged: bool) -> Report:
    """Return the report of a command that wrote a bundle from other bundles: all its tags are exported."""
    tags: dict[RepositoryName, list[TagReport]] = {}
    for root in roots_of(inventory):
        exported = TagReport(root.tag or root.digest, "exported", root.digest)
        tags.setdefault(root.repository, []).append(exported)
    repositories = tuple(RepositoryReport(name, tuple(reports)) for name, reports in tags.items())
    return Report(command, VERSION, repositories, (), bundle, unchanged=unchanged)


def merged_inventory(
    chain: Sequence[ChainEntry], limits: Limits = DEFAULT_LIMITS, named: Mapping[Digest, str] | None = None
) -> Inventory:
    """Return the inventory of the full bundle that these make. No I/O.

    `named` has the file of each bundle, for messages. Raises ContentError over a limit, UsageError for a
    delta without its base.
    """
    # One that is named twice has its place where it came first.
    chain = list({link.id: link for link in chain}.values())
    below: dict[Digest, set[Digest]] = {}
    for link in chain:
        bases = _bases(link, below, named or {})
        below[link.id] = {link.id, *bases}.union(*(below[base] for base in bases))
    state = state_of(chain)
    _check_work(state, limits)
    inventory = full_inventory(state.roots, state.manifests)
    last = chain[-1]
    # A delta says what it makes of all that it builds on; beside it there may be shards.
    if last.inventory.state and below.keys() == below[last.id]:
        made = bundle_id(encode(inventory))
        if made != last.inventory.state:
            cause = f"together they make {made}, but the delta expects {last.inventory.state}"
            raise IntegrityError(f"bundle {last.id}", cause, "export a full bundle again")
    return inventory


def _check_work(state: State, limits: Limits) -> None:
    """Raise ContentError where it would be work without end."""
    tally = Tally("merge", limits.needs, "blobs that its tags need")
    for _, root in dict.fromkeys((root.repository, root.digest) for root in state.roots):
        for digest in reached(root, state.manifests):
            tally.add(state.manifests[digest].descriptors if digest in state.manifests else 1)


def _bases(link: ChainEntry, present: Collection[Digest], named: Mapping[Digest, str]) -> tuple[Digest, ...]:
    """Return the bases of a bundle: the bundles themselves, or the full one that was merged of them."""
    missing = [base for base in link.inventory.base if base not in present]
    if not missing:
        return link.inventory.base
    whole = link.inventory.base_state
    if whole and whole in present:
        return (whole,)
    raise base_error(named.get(link.id, f"bundle {link.id}"), missing[0], named)


class _Together:
    """Several bundles as one BlobSource."""

    def __init__(self, bundles: Sequence[Bundle]) -> None:
        self._homes = {blob.digest: bundle for bundle in bundles for blob in bundle.inventory.content}

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes, verified."""
        if blob.digest not in self._homes:
            raise ContentError(
                f"blob {blob.digest}", "it is in none of the bundles", "export a full bundle again"
            )
        return self._homes[blob.digest].chunks(blob)
