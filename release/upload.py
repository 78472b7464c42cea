"""A folder → one commit on the Hugging Face hub, by its own client.

A repository is private until the commit is there, unless `--public` finds a public one; files that arrived before a cut
connection are not sent again; and no message of ours carries a token: the client reads it by its own means.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, RepositoryNotFoundError

from configs.errors import RunError

FRESH = {".gitattributes", "README.md"}  # what a repository may hold that somebody has just created
XET_STATUS = re.compile(r"HTTP status \w+ error \((\d{3})")  # the client's uploads by Xet say it in words alone


def upload(folder: Path, repo: str, public: bool, message: str) -> str:
    """Commit every file of `folder` to the model repository `repo` at once; returns the commit's address.

    Goes on where an earlier try was cut off. Raises `RunError` for a repository that holds something already, a token
    that is missing, expired or may not write, and a connection that breaks; then nothing is visible there.
    """
    api = HfApi()
    with _explained(repo):
        head = _created(api, repo, public)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        operations = [CommitOperationAdd(path.relative_to(folder).as_posix(), str(path)) for path in files]
        commit = api.create_commit(repo, operations, commit_message=message, parent_commit=head)
    if public:
        try:
            api.update_repo_settings(repo, visibility="public")
        except (HfHubHTTPError, httpx.HTTPError, OSError):
            raise RunError(f"--public: {commit.commit_url} is there, but stayed private; open it on its page") from None
    return str(commit.commit_url)


def check_access(repo: str) -> None:
    """Raise `RunError` where a publication to `repo` would be refused; nothing is written."""
    if repo.count("/") != 1:
        raise RunError(f"--repo: {repo} is no repository name; write owner/name")
    api = HfApi()
    with _explained(repo):
        api.whoami()
        try:
            _check_unused(api.model_info(repo), repo)
        except RepositoryNotFoundError:
            return


def _created(api: Any, repo: str, public: bool) -> str | None:
    """The repository's newest commit, after creating it if it is not there. Raises `RunError` if in use.

    It is private then: a new one, and, unless `public`, one that somebody has opened.
    """
    api.create_repo(repo, private=True, exist_ok=True)
    info = api.model_info(repo)
    _check_unused(info, repo)
    if not (public or info.private):
        api.update_repo_settings(repo, visibility="private")
    return None if info.sha is None else str(info.sha)


def _check_unused(info: Any, repo: str) -> None:
    held = {sibling.rfilename for sibling in info.siblings or []} - FRESH
    if held:
        raise RunError(f"--repo: {repo} exists and holds {sorted(held)[0]}; name another, or delete it on the hub")


@contextmanager
def _explained(repo: str) -> Iterator[None]:
    """The client's errors as one line with the way out."""
    try:
        yield
    except LocalTokenNotFoundError:
        raise RunError("the hub wants a token and there is none; run `hf auth login`, or set HF_TOKEN") from None
    except HFValidationError:
        raise RunError(f"--repo: {repo} is no repository name; write owner/name") from None
    except (httpx.HTTPError, OSError, RuntimeError) as error:  # the client wraps some failed uploads in a RuntimeError
        cause = (error.__cause__ or error) if isinstance(error, RuntimeError) else error
        status = _status(cause)
        if status is not None:
            raise RunError(_refusal(repo, status)) from None
        raise RunError(
            f"--repo: the connection broke ({type(cause).__name__}), nothing is published; run the command again, "
            "and files that arrived are not sent twice"
        ) from None
    except ValueError as error:  # the hub's verdict on the card's metadata
        raise RunError(f"--repo: the hub refuses the model card: {' '.join(str(error).split())}") from None


def _status(error: BaseException) -> int | None:
    """The HTTP status that refused an upload, None where the connection broke."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code
    if isinstance(error, PermissionError) and error.errno is None:  # Xet's; that of a file has a number
        return 401
    found = XET_STATUS.search(str(error))
    return int(found[1]) if found else None


def _refusal(repo: str, status: int) -> str:
    if status == 401:
        return "the hub refuses the token (expired, or not its own); run `hf auth login`, or set HF_TOKEN"
    if status == 403:
        return f"--repo: the token may not write to {repo}; give it write access, or name a repository of yours"
    if status == 412:
        return f"--repo: somebody committed to {repo} meanwhile, nothing is published; look there and run again"
    return f"--repo: the hub answers {status} for {repo}, nothing is published; run the command again later"
