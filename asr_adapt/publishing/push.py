"""A published folder sent to a hub, and looked at there.

Knows the hub through its client library. Does not know what is in the folder.
"""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

from asr_adapt.errors import ModelError, UsageError
from asr_adapt.publishing.files import sizes

#: What a hub puts into a new repository by itself.
_ITS_OWN = {".gitattributes"}
#: The class of all failures of the client's HTTP library, whichever that is.
_HTTPError: type[Exception] = HfHubHTTPError.__mro__[1]


def require_token() -> None:
    """Raise :class:`UsageError` where nobody is signed in."""
    if get_token() is None:
        raise UsageError("--push needs a token that may write: set HF_TOKEN, or run hf auth login.")


def push(folder: Path, repository: str, *, private: bool, pull_request: bool = False) -> str:
    """Send every file of ``folder`` in one commit; the address of the commit or pull request.

    Nothing there is overwritten: a repository with files takes a pull request only. Raises
    :class:`UsageError` for that and for a name that is none, :class:`ModelError` where the hub refuses,
    cannot be reached, or lists another size than was sent.
    """
    api = HfApi()
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        held = set(api.list_repo_files(repository)) - _ITS_OWN
        if held and not pull_request:
            raise UsageError(
                f"{repository} holds files already ({min(held)}): name a new repository, or give "
                "--pull-request to propose the change there."
            )
        commit = api.create_commit(
            repository,
            [CommitOperationAdd(name, folder / name) for name, _ in sizes(folder)],
            commit_message="Publish with asr-adapt",
            create_pr=pull_request,
        )
        revision = commit.pr_revision if pull_request else None
        listed = api.list_repo_tree(repository, recursive=True, revision=revision)
        arrived = {item.path: item.size for item in listed if hasattr(item, "size")}
    except HFValidationError as error:
        raise UsageError(f"{repository!r} is no name of a repository: give owner/name.") from error
    except OfflineModeIsEnabled as error:
        raise ModelError("HF_HUB_OFFLINE is set, so nothing was sent: unset it.", path=repository) from error
    except (_HTTPError, OSError, RuntimeError) as error:  # RuntimeError: hf_xet, which sends large files
        raise ModelError(f"the hub did not take it ({_reason(error)}).", path=repository) from error
    wrong = [name for name, size in sizes(folder) if arrived.get(name) != size]
    if wrong:
        raise ModelError(
            f"the hub does not list {wrong[0]} as it was sent: look at it there.", path=repository
        )
    return str(commit.pr_url if pull_request else commit.commit_url)


def _reason(error: Exception) -> str:
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if status in (401, 403):
        return f"status {status}: the token may not write there"
    return f"status {status}" if status else str(error).splitlines()[0] or type(error).__name__
