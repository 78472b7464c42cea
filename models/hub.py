"""A folder → one commit on the Hugging Face hub, by its own client.

The repository is private until the commit is there, files that arrived before a cut connection are not sent again, and
no message of ours carries a token: the client reads it by its own means.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from configs.errors import RunError

FRESH = {".gitattributes", "README.md"}  # what a repository may hold that somebody has just created


def upload(folder: Path, repo: str, public: bool, message: str) -> str:
    """Commit every file of `folder` to the model repository `repo` at once; returns the commit's address.

    Goes on where an earlier try was cut off. Raises `RunError` for a repository that holds something already, a token
    that is missing, expired or may not write, and a connection that breaks; then nothing is visible there.
    """
    import httpx
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi()
    with _explained(repo):
        head = _created(api, repo)
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
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    api = HfApi()
    with _explained(repo):
        api.whoami()
        try:
            _check_unused(api.model_info(repo), repo)
        except RepositoryNotFoundError:
            return


def _created(api: Any, repo: str) -> str | None:
    """The repository's newest commit, after creating it (private) if it is not there. Raises `RunError` if in use."""
    api.create_repo(repo, private=True, exist_ok=True)
    info = api.model_info(repo)
    _check_unused(info, repo)
    return None if info.sha is None else str(info.sha)


def _check_unused(info: Any, repo: str) -> None:
    held = {sibling.rfilename for sibling in info.siblings or []} - FRESH
    if held:
        raise RunError(f"--repo: {repo} exists and holds {sorted(held)[0]}; name another, or delete it on the hub")


@contextmanager
def _explained(repo: str) -> Iterator[None]:
    """The client's errors as one line with the way out."""
    import httpx
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    try:
        yield
    except LocalTokenNotFoundError:
        raise RunError("the hub wants a token and there is none; run `hf auth login`, or set HF_TOKEN") from None
    except HFValidationError:
        raise RunError(f"--repo: {repo} is no repository name; write owner/name") from None
    except HfHubHTTPError as error:
        raise RunError(_refusal(repo, error.response.status_code)) from None
    except (httpx.HTTPError, OSError, RuntimeError) as error:  # the client wraps a failed upload in a RuntimeError
        cause = error.__cause__ if isinstance(error, RuntimeError) else error
        if isinstance(cause, HfHubHTTPError):
            raise RunError(_refusal(repo, cause.response.status_code)) from None
        raise RunError(
            f"--repo: the connection broke ({type(cause).__name__}), nothing is published; run the command again, "
            "and files that arrived are not sent twice"
        ) from None
    except ValueError as error:  # the hub's verdict on the card's metadata
        raise RunError(f"--repo: the hub refuses the model card: {' '.join(str(error).split())}") from None


def _refusal(repo: str, status: int) -> str:
    if status == 401:
        return "the hub refuses the token (expired, or not its own); run `hf auth login`, or set HF_TOKEN"
    if status == 403:
        return f"--repo: the token may not write to {repo}; give it write access, or name a repository of yours"
    if status == 412:
        return f"--repo: somebody committed to {repo} meanwhile, nothing is published; look there and run again"
    return f"--repo: the hub answers {status} for {repo}, nothing is published; run the command again later"
