"""`release.upload` through the hub's real client, against a stand-in on loopback that also misbehaves."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.errors import RunError
from release.upload import _explained, check_access, upload
from tests.release.hub import TOKEN, Hub, Repo, serving

pytestmark = pytest.mark.engine


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import constants

    with serving() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # the stand-in speaks LFS, not Xet
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
        yield hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "gguf").mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n")
    (folder / "adapter_model.safetensors").write_bytes(b"weights" * 100)
    (folder / "gguf" / "model.gguf").write_bytes(b"other weights" * 100)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_upload_is_one_private_commit(hub: Hub, folder: Path) -> None:
    check_access("me/model")
    assert hub.repos == {}
    address = upload(folder, "me/model", public=False, message="A model")
    repo = hub.repos["me/model"]
    assert (repo.private, repo.commits, repo.files) == (True, 1, contents(folder))
    assert address == f"{hub.url}/me/model/commit/{repo.sha}"


def test_public_is_set_after_commit(hub: Hub, folder: Path) -> None:
    upload(folder, "me/model", public=True, message="A model")
    assert hub.repos["me/model"].private is False
    hub.cut_commit = True
    with pytest.raises(RunError, match="nothing is published"):
        upload(folder, "me/other", public=True, message="A model")
    assert hub.repos["me/other"] == Repo(private=True)


def test_empty_public_repo_becomes_private(hub: Hub, folder: Path) -> None:
    hub.repos["me/model"] = Repo(private=False)
    hub.cut_commit = True
    with pytest.raises(RunError, match="nothing is published"):
        upload(folder, "me/model", public=False, message="A model")
    assert hub.repos["me/model"] == Repo(private=True)


def test_nonempty_repo_is_refused(hub: Hub, folder: Path) -> None:
    hub.repos["me/model"] = Repo(private=True, files={"model.safetensors": b"theirs"})
    for act in (check_access, lambda repo: upload(folder, repo, public=False, message="A model")):
        with pytest.raises(RunError, match=r"me/model exists and holds model\.safetensors; name another"):
            act("me/model")
    assert hub.repos["me/model"].files == {"model.safetensors": b"theirs"}


def test_expired_token_is_never_shown(
    hub: Hub, folder: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hub.token = "another"
    for act in (check_access, lambda repo: upload(folder, repo, public=False, message="A model")):
        with pytest.raises(RunError, match="refuses the token") as raised:
            act("me/model")
        assert TOKEN not in str(raised.value)
    assert hub.repos == {}
    assert TOKEN not in caplog.text + "".join(capsys.readouterr())


def test_missing_token_is_refused(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(RunError, match="there is none; run `hf auth login`"):
        check_access("me/model")


def test_foreign_namespace_is_refused(hub: Hub, folder: Path) -> None:
    with pytest.raises(RunError, match="may not write to you/model"):
        upload(folder, "you/model", public=False, message="A model")


@pytest.mark.parametrize("name", ["me/mo del", "model", "me/my/model"])
def test_invalid_repo_name_is_refused(hub: Hub, name: str) -> None:
    with pytest.raises(RunError, match=f"{name} is no repository name; write owner/name"):
        check_access(name)


@pytest.mark.parametrize("where", ["cut_uploads", "cut_commit"])
def test_broken_upload_can_be_continued(hub: Hub, folder: Path, where: str) -> None:
    setattr(hub, where, True)
    with pytest.raises(RunError, match=r"the connection broke .* run the command again"):
        upload(folder, "me/model", public=False, message="A model")
    assert hub.repos["me/model"] == Repo(private=True)  # an empty one, seen by nobody else
    arrived = list(hub.uploads)
    assert arrived
    setattr(hub, where, False)
    upload(folder, "me/model", public=False, message="A model")
    assert hub.repos["me/model"].files == contents(folder)
    assert len(set(hub.uploads)) == len(hub.uploads) == 2  # what had arrived was not sent again


@pytest.mark.parametrize(("status", "words"), [(401, "the hub refuses the token"), (403, "may not write to me/model")])
def test_xet_refusal_is_no_broken_connection(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch, status: int, words: str
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    hub.refused_upload = status
    with pytest.raises(RunError, match=words):
        upload(folder, "me/model", public=False, message="A model")


@pytest.mark.parametrize(
    ("kind", "words"),
    [("XetAuthenticationError", "the hub refuses the token"), ("RuntimeError", r"connection broke \(RuntimeError\)")],
)
def test_xet_errors_are_explained(kind: str, words: str) -> None:
    error = getattr(pytest.importorskip("hf_xet"), kind, RuntimeError)("Internal error")
    with pytest.raises(RunError, match=words), _explained("me/model"):
        raise error


def test_unreachable_server_is_reported(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(RunError, match="the connection broke"):
        check_access("me/model")
