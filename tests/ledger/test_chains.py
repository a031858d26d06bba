"""Whatever was imported, in part, taken back or pruned: the receipt says what the target holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

import pytest
import requests

from bundler.__main__ import run
from tests.builders import Content, a_module, add_version, an_index, sign_by_tag
from tests.doubles import MemoryRegistry
from tests.registries import RealRegistry

PARTS = ["", "--repository=*/app", "--tag=1.*", "--newest=1", "--exclude=1.*", "--filter-indexes"]
CONFLICTS = ["", "--on-conflict=skip", "--on-conflict=overwrite", "--on-conflict=fail"]
CHOICES = ["", "--newest=1", "--exclude=1.0.*"]


class Chain:
    """A source that changes, a target, and what a person does between them in a random order."""

    def __init__(self, seed: int, source: MemoryRegistry, target: RealRegistry, prefix: str) -> None:
        self.random = Random(seed)
        self.source = source
        self.target = target
        self.prefix = prefix
        self.steps: list[str] = []
        self.bundles: list[Path] = []

    def run(self, *words: str) -> int:
        """Run a command, and note it for the message of a test that fails."""
        line = [word for word in words if word]
        code = run([*line, "-q"])
        self.steps.append(f"{' '.join(line)} -> {code}")
        assert code != 1
        return code

    def change(self) -> None:
        """Add, move, remove or sign a version outside."""
        name, number = self.random.choice(["app", "db"]), len(self.steps)
        content = self.source.repositories[name]
        versions = [tag for tag in content.tags if not tag.startswith("sha256-")]
        what = self.random.choice(["add", "move", "remove", "sign"])
        if what == "remove" and len(versions) > 1:
            del content.tags[self.random.choice(versions)]
        elif what == "sign":
            sign_by_tag(content, content.tags[versions[0]])
        else:
            tag = self.random.choice(versions) if what == "move" else f"1.{number}.7"
            add_version(content, tag, name=f"{name}-{number}")

    def exported(self, *, base: bool) -> Path | None:
        """Export some repositories, perhaps on the receipt."""
        out = Path(f"{len(self.steps)}.tar.zst")
        names = self.random.sample(sorted(self.source.repositories), self.random.choice([1, 3, 3]))
        receipt = Path("r.json").exists() and base
        words = [f"{self.source.host}/{name}" for name in names]
        words += [self.random.choice(CHOICES), "--base=r.json" if receipt else ""]
        self.run("export", *words, "-o", str(out))
        return out if out.exists() else None

    def imported(self, bundle: Path, *options: str) -> int:
        """Import a bundle; the dry run says the same. What needs a delta is left out of a full bundle."""
        words = ["import", str(bundle), "--to", f"{self.target.host}/{self.prefix}", "--state=state"]
        words += ["--receipt=r.json", *options]
        dry = self.run(*words, "--dry-run")
        code = self.run(*words)
        assert dry == code
        return code

    def step(self) -> None:
        """Do one thing."""
        self.change()
        saved = sorted(Path().glob("*.undo"))
        if saved and self.random.random() < 0.2:
            self.run("import", "--rollback", str(self.random.choice(saved)), "--state=state")
            return
        bundle = self.exported(base=self.random.random() < 0.7)
        if bundle is None or self.random.random() < 0.2:
            bundle = self.random.choice([*self.bundles, *([bundle] if bundle else [])])
        self.bundles.append(bundle)
        options = [self.random.choice(PARTS), self.random.choice(CONFLICTS)]
        if self.random.random() < 0.7:
            options.append(f"--rollback-file={len(self.steps)}.undo")
        prune = ["--prune=50", self.random.choice(["", "--prune-deselected"])]
        if self.random.random() < 0.5 or self.imported(bundle, *options, *prune) == 2:
            self.imported(bundle, *options)

    def held(self) -> dict[tuple[str, str], str]:
        """Every tag at the target, with its digest."""
        accepts = {
            "Accept": "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"
        }
        held: dict[tuple[str, str], str] = {}
        for name in self.target.catalog():
            for tag in self.target.tags(name) if name.startswith(f"{self.prefix}/") else ():
                url = f"{self.target.base}/v2/{name}/manifests/{tag}"
                held[name, tag] = requests.head(url, headers=accepts, timeout=60).headers[
                    "Docker-Content-Digest"
                ]
        return held

    def told(self) -> dict[tuple[str, str], str]:
        """Every tag that the receipt says the target holds, filtered indexes with their own digest."""
        receipt = json.loads(Path("r.json").read_text())
        whole = {tag: filtered for filtered, tag in receipt.get("filtered", {}).items()}
        return {
            (entry["target"].partition("/")[2], tag): digest
            for entry in receipt["repositories"]
            for tag, digest in ((tag, whole.get(digest, digest)) for tag, digest in entry["tags"].items())
        }


def lists_aside(tags: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    """Without lists of referrers, which are merged at the target."""
    return {name: digest for name, digest in tags.items() if not name[1].startswith("sha256-")}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 6, 30, 37])
def test_after_any_chain_the_receipt_says_what_the_target_holds(
    seed: int,
    target_registry: RealRegistry,
    fresh: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next delta on it is complete: imported as a whole, it makes the target as the source is."""
    monkeypatch.chdir(tmp_path)
    contents: dict[str, Content] = {
        "app": a_module("1.0.0", "1.1.0"), "db": a_module("1.0.0", "2.0.0", name="db"), "img": an_index(),
    }  # fmt: skip
    with MemoryRegistry(contents) as source:
        chain = Chain(seed, source, target_registry, fresh("chain"))
        first = chain.exported(base=False)
        assert first
        chain.bundles.append(first)
        chain.imported(first)
        for _ in range(5):
            chain.step()
            assert lists_aside(chain.told()) == lists_aside(chain.held()), chain.steps
        everything = [f"{source.host}/{name}" for name in contents]
        chain.run("export", *everything, "-o", "end.tar.zst", "--base=r.json")
        if Path("end.tar.zst").exists():
            assert chain.imported(Path("end.tar.zst"), "--on-conflict=overwrite", "--allow-gap") in (0, 2)
            chain.imported(Path("end.tar.zst"), "--on-conflict=overwrite")
        held = {(name.rpartition("/")[2], tag): digest for (name, tag), digest in chain.told().items()}
        whole = {
            (name, tag): digest for name, content in contents.items() for tag, digest in content.tags.items()
        }
        lost = {name for name, digest in lists_aside(whole).items() if held.get(name) != digest}
        filtered = set(json.loads(Path("r.json").read_text()).get("filtered", {}))
        assert not {name for name in lost if held.get(name) not in filtered}, chain.steps
