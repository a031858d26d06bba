"""The search for secrets finds them: in words, in other spellings, in files and in bundles."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.builders import Content, a_bundle, manifest_document
from tests.leaks import SECRETS, assert_none_below, assert_none_in


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_found_in_every_spelling(secret: str) -> None:
    basic = base64.b64encode(f"carrier:{secret}".encode()).decode()
    for text in (
        f"user:{secret}@h",
        f"Basic {basic}",
        secret.encode().hex(),
        f"?p={secret.replace('-', '%2D')}",
    ):
        with pytest.raises(AssertionError, match="shows a secret"):
            assert_none_in(text, "this")
    assert_none_in("nothing of it", "this")


def test_a_secret_is_found_in_a_file_and_in_a_bundle(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("leaks")
    (folder / "state.json").write_text('{"password": "correct-horse"}')
    with pytest.raises(AssertionError, match=r"state\.json"):
        assert_none_below(folder)
    (folder / "state.json").unlink()
    content = Content()
    layer = content.add_blob(b"a layer with correct-horse in it")
    content.add_manifest(manifest_document(content.add_blob(b"{}"), [layer]), "1.0.0")
    a_bundle(folder / "b.tar.zst", {"h.example/app": content})
    with pytest.raises(AssertionError, match=r"b\.tar\.zst shows"):
        assert_none_below(folder)


def test_what_a_test_keeps_for_itself_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "creds").write_text("h.example carrier:correct-horse\n")
    assert_none_below(tmp_path)
