"""The commands of skopeo, crane, oras and regctl that copy all tags of one repository."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

TOOLS = ("skopeo", "crane", "oras", "regctl")


def installed() -> list[str]:
    """Return the tools that are on the path."""
    return [tool for tool in TOOLS if shutil.which(tool)]


def pull(tool: str, host: str, path: str, tags: Sequence[str], folder: str) -> str:
    """Return the command that copies all tags of a repository into a folder."""
    name = f"{host}/{path}"
    if tool == "skopeo":
        return f"skopeo sync --src docker --dest dir --src-tls-verify=false {name} {folder}"
    if tool == "crane":
        return f"crane pull --insecure --format=oci {' '.join(f'{name}:{tag}' for tag in tags)} {folder}"
    if tool == "oras":
        return f"oras backup --plain-http --output {folder} {name}"
    return _regctl(host, [f"{name}:{tag} ocidir://{folder}:{tag}" for tag in tags])


def for_push(tool: str, host: str, path: str, tags: Sequence[str], folder: str) -> str:
    """Return the command that makes what `push` takes; for crane, each tag is a layout of its own."""
    if tool == "crane":
        name = f"{host}/{path}"
        return f"mkdir -p {folder}; " + "; ".join(
            f"crane pull --insecure --format=oci {name}:{tag} {folder}/{tag}" for tag in tags
        )
    return pull(tool, host, path, tags, folder)


def push(tool: str, host: str, path: str, tags: Sequence[str], folder: str) -> str:
    """Return the command that copies the folder to a registry, as the repository `path`."""
    name = f"{host}/{path}"
    if tool == "skopeo":
        above = name.rpartition("/")[0]
        return f"skopeo sync --src dir --dest docker --dest-tls-verify=false {folder} {above}"
    if tool == "crane":
        return "; ".join(f"crane push --insecure {folder}/{tag} {name}:{tag}" for tag in tags)
    if tool == "oras":
        return f"oras restore --plain-http --input {folder} {name}"
    return _regctl(host, [f"ocidir://{folder}:{tag} {name}:{tag}" for tag in tags])


def _regctl(host: str, copies: Sequence[str]) -> str:
    return "; ".join(f"regctl --host reg={host},tls=disabled image copy {copy}" for copy in copies)
