"""Every bound that hostile or broken input can run into, each with its unit."""

from typing import NamedTuple

KIB = 1024

MIB = 1024 * KIB


class Limits(NamedTuple):
    """All bounds in one value, so that a caller or a test can move one of them."""

    manifest: int = 4 * MIB
    """Bytes of one manifest or index."""
    manifests: int = 64 * MIB
    """Bytes of all manifests that one run holds in memory."""
    token_answer: int = 1 * MIB
    """Bytes of a token server's answer."""
    error_body: int = 64 * KIB
    """Bytes read of an error answer; 200 characters of it are shown."""
    tag_page: int = 4 * MIB
    """Bytes of one page of a tag list."""
    tag_pages: int = 1_000
    """Pages of one tag list."""
    tags: int = 100_000
    """Tags of one repository."""
    listed: int = 300_000
    """Tags of all lists that one run reads."""
    page_size: int = 1_000
    """Tags asked for per page (`n`; ECR refuses more); referrers given in one."""
    json_depth: int = 64
    """Nesting of any JSON or YAML document."""
    json_values: int = 400_000
    """Values of an inventory, `index.json` or a receipt: its commas and brackets are counted."""
    manifest_values: int = 200_000
    """The same of any other JSON document: a manifest, an answer of a registry."""
    json_names: int = 100_000
    """Names in one JSON object: no list of names is longer than that of a repository's tags."""
    json_wide: int = 1 * MIB
    """Bytes of an answer whose letters may take four bytes each in memory, all of them for one that does."""
    json_beside: int = 256 * KIB
    """Bytes of a JSON document that is parsed beside others; larger ones are parsed one after the other."""
    config: int = 4 * MIB
    """Characters of a file that a person wrote."""
    config_nodes: int = 100_000
    """Values of such a file, every use of an alias counted in full."""
    module_layer: int = 32 * MIB
    """Bytes of a module's layer that is read for its images, packed."""
    index_depth: int = 8
    """Nesting of an index in an index."""
    graph_nodes: int = 100_000
    """Manifests of one run."""
    descriptors: int = 100_000
    """Layers and children of all manifests that one run holds in memory."""
    annotations: int = 32 * MIB
    """Bytes of memory that the annotations of all these manifests take."""
    failures: int = 10_000
    """Tags or blobs of one export that may fail: more of them are no accident, and fill the report."""
    needs: int = 5_000_000
    """Blobs that repositories or tags need, all that each of them needs counted in full."""
    frames: int = 200_000
    """zstd frames of one bundle (some 400 GB)."""
    inventory: int = 16 * MIB
    """Bytes of `bundle.json` (about 95,000 blobs), and of `index.json`."""
    compact_headers: int = 64 * MIB
    """Bytes of the distinct tar headers of a compact bundle."""
    compact_recipe: int = 16 * MIB
    """Bytes of the recipe of one layer of a compact bundle, or of one prefix."""
    compact_ranges: int = 250_000
    """Separate ranges of its base that a compact delta reads."""
    statement: int = 16 * KIB
    """Bytes of `statement.json`."""
    signatures: int = 64 * KIB
    """Bytes of `statement.sig`."""
    signers: int = 16
    """Signatures of one statement."""
    unpacked: int = 512 * MIB
    """Bytes that the archives of one version take unpacked."""
    files: int = 100_000
    """Files and directories of one version, unpacked."""
    redirects: int = 5
    """Redirects followed for one request."""
    attempts: int = 6
    """Tries of one request, the first included."""
    integrity_attempts: int = 3
    """Downloads of one blob whose bytes arrive wrong."""
    retry_after: float = 120.0
    """Seconds that a server may make us wait with one Retry-After."""
    connect_timeout: float = 10.0
    """Seconds to reach a host."""
    read_timeout: float = 60.0
    """Seconds without a byte."""
    blob_seconds: float = 60.0
    """Seconds that any blob may take..."""
    blob_rate: int = 64 * KIB
    """...or its size at this many bytes per second, if that is longer."""
    helper_seconds: float = 30.0
    """Seconds that a credential helper, or ssh-keygen at its checks, may take."""
    signing_seconds: float = 120.0
    """Seconds that a signature may take to be made: a passphrase is typed, a hardware key touched."""
    location: int = 16 * KIB
    """Characters of a `Location` or `Link` header."""

    def blob_deadline(self, size: int) -> float:
        """Return seconds that a blob of `size` bytes may take in all."""
        return max(self.blob_seconds, size / self.blob_rate)


DEFAULT_LIMITS = Limits()
