"""The directory of a writable registry: what outlives a restart, and which directories are taken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundler.bundle.inventory import INVENTORY_FILE, REF_NAME
from bundler.errors import ContentError, LocalError, UsageError
from bundler.layout import INDEX_FILE, LAYOUT_FILE
from bundler.server.uploads import Uploads
from bundler.server.writable import writable
from bundler.session import Session
from bundler.store.blob_store import PARTIAL
from tests.builders import SHAPES, a_module, an_index
from tests.server.client import tag_digest, writable_registry
from tests.server.test_read_only import assert_serves_the_module, unpacked


def names_in(path: Path) -> list[str]:
    """What `index.json` names."""
    entries = json.loads((path / INDEX_FILE).read_bytes())["manifests"]
    return [entry["annotations"][REF_NAME] for entry in entries]


@pytest.mark.slow
def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    content = an_index(of=2)
    with writable_registry(tmp_path) as client:
        client.push("team/app", a_module("1.0.0", "1.1.0"))
        client.push("team/os", content)
    with writable_registry(tmp_path) as client:
        assert_serves_the_module(client)
        for digest, (_, data) in content.manifests.items():
            assert client.get(f"/v2/team/os/manifests/{digest}").content == data


@pytest.mark.slow
def test_a_manifest_that_lost_its_tag_outlives_a_restart(tmp_path: Path) -> None:
    old = SHAPES["module"]()
    with writable_registry(tmp_path) as client:
        client.push("team/app", old)
        client.push("team/app", SHAPES["artifact"]())
    with writable_registry(tmp_path) as client:
        assert client.head(f"/v2/team/app/manifests/{old.tags['1.0.0']}").status_code == 200


@pytest.mark.slow
def test_the_index_names_repository_and_tag(tmp_path: Path) -> None:
    with writable_registry(tmp_path) as client:
        client.push("team/app", a_module("1.0.0", "latest"))
        client.push("other", a_module("1.0.0"))
    assert names_in(tmp_path) == ["other:1.0.0", "team/app:1.0.0", "team/app:latest"]


def test_an_exported_bundle_opens_and_stays_one_until_a_push(tmp_path: Path) -> None:
    with writable_registry(unpacked(tmp_path)) as client:
        assert_serves_the_module(client)
        client.push("team/app", a_module("1.0.0", "1.1.0"))
        assert (tmp_path / INVENTORY_FILE).exists()
        client.push("team/app", a_module("2.0.0"))
        assert not (tmp_path / INVENTORY_FILE).exists()
    assert names_in(tmp_path) == ["team/app:1.0.0", "team/app:1.1.0", "team/app:2.0.0"]


def test_an_index_that_names_hosts_is_read_without_inventory(tmp_path: Path) -> None:
    unpacked(tmp_path)
    (tmp_path / INVENTORY_FILE).unlink()
    with writable_registry(tmp_path) as client:
        assert_serves_the_module(client)


def test_two_servers_of_one_directory_are_refused(tmp_path: Path) -> None:
    session = Session()
    with writable(tmp_path, session), pytest.raises(LocalError, match="in use"), writable(tmp_path, session):
        pass


def test_a_directory_with_other_files_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    with pytest.raises(UsageError, match=r"letter\.txt"), writable(tmp_path, Session()):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["letter.txt"]


def test_a_file_can_not_take_pushes(bundle: Path) -> None:
    with pytest.raises(UsageError, match="not a directory"), writable(bundle, Session()):
        pass


def test_a_layout_that_names_no_repositories_is_refused(tmp_path: Path) -> None:
    (tmp_path / LAYOUT_FILE).write_text('{"imageLayoutVersion":"1.0.0"}')
    entry = {"mediaType": "x", "digest": f"sha256:{'0' * 64}", "size": 1, "annotations": {REF_NAME: "v1"}}
    (tmp_path / INDEX_FILE).write_text(json.dumps({"manifests": [entry]}))
    with pytest.raises(ContentError, match=r"index\.json"), writable(tmp_path, Session()):
        pass


def test_what_a_killed_server_left_of_uploads_is_removed(tmp_path: Path) -> None:
    with writable(tmp_path, Session()):
        pass
    (tmp_path / PARTIAL / "upload-0123").write_bytes(b"half")
    with writable(tmp_path, Session()):
        assert not list((tmp_path / PARTIAL).iterdir())


def test_the_oldest_session_makes_room_for_a_new_one(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, sessions=2)
    names = [uploads.begin() for _ in range(3)]
    alive = []
    for name in names:
        with uploads.session(name) as session:
            alive.append(session is not None)
    uploads.discard_all()
    assert alive == [False, True, True]
    assert not list(tmp_path.iterdir())


def test_a_tag_is_on_disk_when_the_push_is_answered(tmp_path: Path) -> None:
    with writable_registry(tmp_path) as client:
        client.push("team/app", a_module("1.0.0"))
        assert names_in(tmp_path) == ["team/app:1.0.0"]
        assert tag_digest(client, "team/app", "1.0.0") == a_module("1.0.0").tags["1.0.0"]
