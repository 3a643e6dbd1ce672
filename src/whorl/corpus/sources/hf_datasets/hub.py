"""corpus/sources/hf_datasets/hub: a dataset repository on a Hugging Face hub: its commit, its files, and ranges of their bytes.

Retries, waiting after "too many requests" and the user's token are huggingface_hub's. The token is read by that library
(HF_TOKEN, or its login) and goes to its own hosts only, never to a mirror named in a recipe. Every answer is held against the
size and range that were asked for. Nothing about this machine is sent.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from httpx2 import HTTPError, ReadError, RemoteProtocolError, Response
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import get_token, hf_raise_for_status, http_stream_backoff  # type: ignore[attr-defined]

import whorl
from whorl.core.errors import DataError, ResourceError

__all__ = ["COMMIT", "Hub", "RepositoryFile", "ranged"]

COMMIT = re.compile(r"[0-9a-f]{40}")
_TIMEOUT_S = 60
_TRIES = 4  # of an answer that breaks off
_MAX_ANSWER = 100_000_000  # bytes of anything but a file
_FIRST_WAIT_S = 1.0  # doubles up to 8 s, five times; a hub that names a time is given that time
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class RepositoryFile(NamedTuple):
    """A file at a commit; `content` is its Git or LFS hash."""

    path: str
    size_bytes: int
    content: str


class Hub(NamedTuple):
    """A dataset repository `org/name` at `endpoint`."""

    endpoint: str
    repository: str

    def commit(self, revision: str) -> str:
        """The commit a branch, tag or short hash means now. Raises DataError when there is none, ResourceError offline."""
        answer = _asked(f"{self._api}/revision/{quote(revision, safe='')}", self.repository).json()
        commit = answer.get("sha") if isinstance(answer, dict) else None
        if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
            raise DataError(f"{self.repository}: the hub names no commit for '{revision}' (got {commit!r})")
        return commit

    def files(self, commit: str) -> list[RepositoryFile]:
        """Every file at a commit, by path."""
        found: list[RepositoryFile] = []
        page: str | None = f"{self._api}/tree/{commit}?recursive=true"
        while page is not None:
            answer = _asked(page, self.repository)
            found += [_file(entry) for entry in answer.json() if entry.get("type") == "file"]
            page = answer.links.get("next", {}).get("url")
            if page is not None and not page.startswith(f"{self._api}/"):
                raise DataError(f"{self.repository}: the hub goes on at another address ({page[:100]}), which is not followed")
        return sorted(found)

    def address(self, path: str, commit: str) -> str:
        """Where a file is served."""
        return f"{self.endpoint}/datasets/{self.repository}/resolve/{commit}/{quote(path)}"

    @property
    def _api(self) -> str:
        return f"{self.endpoint}/api/datasets/{self.repository}"


def ranged(address: str, begin: int, end: int, *, size_bytes: int) -> bytes:
    """Bytes `begin` to `end` (excluded) of a file of that size. Raises ResourceError when the answer is not just that."""
    headers = {"range": f"bytes={begin}-{end - 1}", "accept-encoding": "identity"}
    answer = _asked(address, address, headers=headers, max_bytes=end - begin)
    said = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
    length = int(answer.headers.get("content-length", 0))
    got = tuple(map(int, said.groups())) if said else (0, length - 1, length)
    if got != (begin, end - 1, size_bytes) or length != end - begin:
        raise ResourceError(
            f"{address}: wanted bytes {begin} to {end - 1} of {size_bytes}, got {length} bytes said to be {got[0]} to "
            f"{got[1]} of {got[2]}; the file changed, or the server has no ranges: try again, or another endpoint"
        )
    return answer.content


def _asked(address: str, what: str, *, headers: Mapping[str, str] | None = None, max_bytes: int = _MAX_ANSWER) -> Response:
    """An answer of the hub, with its body unless that is said to be longer than `max_bytes`."""
    # Not build_hf_headers: it names installed packages and the program that drives us, and asks the hub for a list of those.
    sent = {"user-agent": f"whorl/{whorl.__version__}", **(headers or {})}
    is_trusted = urlsplit(address).hostname in constants.HF_URL_HOSTS
    token = get_token() if is_trusted else None
    if token:
        sent["authorization"] = f"Bearer {token}"
    for tries_left in reversed(range(_TRIES)):
        try:
            return _answer(address, sent, max_bytes)
        except OfflineModeIsEnabled as error:
            hint = "run without --offline, or name a folder that holds it"
            raise ResourceError(f"--offline: {what} is on a hub; {hint}") from error
        except HfHubHTTPError as error:
            raise _refusal(what, error.response.status_code, is_trusted=is_trusted) from error
        except (HTTPError, OSError) as error:
            if tries_left and isinstance(error, RemoteProtocolError | ReadError):
                continue  # broke off in the middle; what happens before that has been tried again already
            raise ResourceError(f"{what}: {urlsplit(address).netloc} cannot be reached ({error}); try again") from error
    raise AssertionError("the last try returns or raises")


def _answer(address: str, headers: Mapping[str, str], max_bytes: int) -> Response:
    broken: HTTPError | None = None
    own = dict(headers)
    with http_stream_backoff("GET", address, headers=own, timeout=_TIMEOUT_S, base_wait_time=_FIRST_WAIT_S) as answer:
        hf_raise_for_status(answer)
        try:
            if int(answer.headers.get("content-length", 0)) <= max_bytes:
                answer.read()
        except HTTPError as error:  # must not leave the block by itself: http_stream_backoff would go round again
            broken = error
    if broken is not None:
        raise broken
    return answer


def _refusal(what: str, status: int, *, is_trusted: bool) -> DataError | ResourceError:
    if status in (401, 403, 404):
        hint = "log in (HF_TOKEN) if it is private or gated" if is_trusted else "no token is sent to an endpoint of a recipe"
        return DataError(f"{what}: the hub says {status}: no such dataset or revision, or not for you; {hint}")
    return ResourceError(f"{what}: the hub says {status}, again and again; try later")


def _file(entry: Mapping[str, Any]) -> RepositoryFile:
    stored = entry.get("lfs") or {}
    return RepositoryFile(str(entry["path"]), int(entry["size"]), str(stored.get("oid") or entry["oid"]))
