"""Weights on a Hugging Face hub: pushed with the sha256 of every file, and believed only where it fits.

A repository holds `weights.safetensors`, `README.md`, and `anycost.json` (the manifest) with size and sha256 of the
others. Tokens are the business of `huggingface_hub`: nothing here reads, prints or stores one.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from anycost.errors import UserError
from anycost.interchange.header import FORMAT, Header, shown
from anycost.interchange.weights import read_weights, write_weights
from anycost.networks.published import sha256

MANIFEST = "anycost.json"
FILE = "weights.safetensors"
_NAME = re.compile(r"(hf:/{1,2})?([\w.-]+/[\w.-]+)(?:@([\w.-]+))?(?:/(.+))?", re.ASCII)
_LONGEST_MANIFEST = 2**20
_OF_NETWORKS = ("httpx", "httpx2", "httpcore", "requests", "hf_xet")  # libraries whose errors are those of connections


@dataclass(frozen=True)
class HubName:
    """A file of a repository; `explicit` where it was written with `hf://`."""

    repo: str
    revision: str | None = None
    file: str = FILE
    explicit: bool = True

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        return f"{self.repo}{at}" + ("" if self.file == FILE else f"/{self.file}")


def hub_name(text: str) -> HubName | None:
    """What `OWNER/NAME`, `OWNER/NAME@REVISION` or `hf://OWNER/NAME[@REVISION][/FILE]` means; None for anything else."""
    match = _NAME.fullmatch(text)
    if match is None:
        return None
    scheme, repo, revision, file = match.groups()
    if file is not None and (not scheme or ".." in PurePosixPath(file).parts):
        return None
    if any(part.strip(".") == "" for part in repo.split("/")):  # ../runs and the like
        return None
    return HubName(repo, revision, file or FILE, scheme is not None)


def repository(text: str, revision: str | None = None) -> str:
    """`OWNER/NAME` out of it or of `hf://OWNER/NAME`.

    `UserError` for anything else, and for a `revision` that no name could reach.
    """
    name = hub_name(text)
    if name is None or name.revision or name.file != FILE:
        raise UserError(f"repo={text} is not of the form OWNER/NAME")
    if revision is not None and hub_name(f"{name.repo}@{revision}") is None:
        raise UserError(f"revision={revision}: OWNER/NAME@REVISION takes letters, digits and ._- alone")
    return name.repo


def pull(name: HubName | str, endpoint: str | None = None, cache: Path | None = None) -> Path:
    """The file in the hub's local cache, downloaded where it is not there, its sha256 checked against the manifest.

    A copy that does not fit is downloaded once more. `endpoint` (default: $HF_ENDPOINT) is the address of the hub,
    `cache` its folder (default: the usual one). Raises `UserError`.
    """
    wanted = hub_name(name) if isinstance(name, str) else name
    if wanted is None:
        raise UserError(f"name={name} is no repository: OWNER/NAME, OWNER/NAME@REVISION or hf://OWNER/NAME is needed")
    hub = library()
    options: dict[str, Any] = {"repo_id": wanted.repo, "endpoint": _endpoint(endpoint), "cache_dir": cache}
    with _explained(str(wanted)):
        if not is_cached(wanted, cache):
            _ask_once(hub, wanted, options["endpoint"])
        manifest = Path(hub.hf_hub_download(filename=MANIFEST, revision=wanted.revision, **options))
        commit = manifest.parent.name  # the cache's public layout; both files are then of one commit
        expected = _expected(manifest, wanted)
        path = Path(hub.hf_hub_download(filename=wanted.file, revision=commit, **options))
        if sha256(path) == expected:
            return path
        path = Path(hub.hf_hub_download(filename=wanted.file, revision=commit, force_download=True, **options))
    if sha256(path) != expected:
        raise UserError(
            f"{wanted.file} of {wanted} does not have the sha256 that {MANIFEST} states ({expected[:16]}...): the "
            f"repository is damaged or was changed by hand; {path} is not used"
        )
    return path


def is_cached(name: HubName, cache: Path | None = None) -> bool:
    """Whether the local cache has this revision of the repository; the hub is not asked. Raises `UserError`."""
    hub = library()
    with _explained(str(name)):
        found = hub.try_to_load_from_cache(name.repo, MANIFEST, cache_dir=cache, revision=name.revision)
    return isinstance(found, str)


def _ask_once(hub: Any, wanted: HubName, endpoint: str | None) -> None:
    """Raise what is wrong with the name or the connection at once: a download tries again for half a minute."""
    url = hub.hf_hub_url(wanted.repo, MANIFEST, revision=wanted.revision, endpoint=endpoint)
    try:
        hub.get_hf_file_metadata(url, endpoint=endpoint)
    except Exception as error:
        if isinstance(error, ConnectionError) or _origin(error) in _OF_NETWORKS:
            raise hub.errors.LocalEntryNotFoundError(_line(error)) from error
        raise


@dataclass(frozen=True)
class Parcel:
    """What a push consists of: the weights and small files by their names in the repository."""

    weights: Path
    files: Mapping[str, bytes]

    def manifest(self) -> bytes:
        """`{"format": 1, "files": {name: {"sha256": ..., "bytes": ...}}}`."""
        entries = {FILE: {"sha256": sha256(self.weights), "bytes": self.weights.stat().st_size}}
        for name, content in sorted(self.files.items()):
            entries[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        return (json.dumps({"format": 1, "files": entries}, indent=2) + "\n").encode()


def push(
    parcel: Parcel,
    repo: str,
    revision: str | None = None,
    private: bool = False,
    message: str = "Weights from anycost",
    endpoint: str | None = None,
) -> str:
    """Put the parcel into `repo` in one commit, which is made last: a kill leaves the repository as it was.

    The repository, and the branch `revision`, are made where they do not exist. Returns the commit's address.
    """
    hub, repo = library(), repository(repo, revision)
    api = hub.HfApi(endpoint=_endpoint(endpoint))
    contents: dict[str, Any] = {FILE: str(parcel.weights), MANIFEST: parcel.manifest(), **parcel.files}
    with _explained(repo):
        api.create_repo(repo, private=private or None, exist_ok=True)
        if revision not in (None, "main"):
            api.create_branch(repo, branch=revision, exist_ok=True)
        operations = [hub.CommitOperationAdd(path, content) for path, content in contents.items()]
        commit = api.create_commit(repo, operations, commit_message=message, revision=revision)
    return str(commit.commit_url)


@contextmanager
def relicensed(weights: Path, licence: str | None) -> Iterator[tuple[Path, Header]]:
    """The checked file and its header; with another `licence`, a copy that lives as long as the block."""
    tensors, header = read_weights(weights)
    if licence is None or licence == header.licence:
        yield weights, header
        return
    header = replace(header, licence=licence, format=FORMAT)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / FILE
        write_weights(copy, tensors, header)
        yield copy, header


def library() -> Any:
    """`huggingface_hub`, which is an extra; `UserError` where it is missing."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise UserError('the hub needs huggingface_hub: pip install -e ".[hub]"') from error
    return huggingface_hub


def _endpoint(given: str | None) -> str | None:
    return given or os.environ.get("HF_ENDPOINT") or None


def _expected(manifest: Path, wanted: HubName) -> str:
    """The sha256 of the wanted file, as the manifest states it."""
    try:
        if manifest.stat().st_size > _LONGEST_MANIFEST:
            raise ValueError("too long")
        files = json.loads(manifest.read_bytes())["files"]
        entry = files.get(wanted.file)
        digest = entry["sha256"] if entry is not None else None
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        kind = type(error).__name__
        raise UserError(f"{MANIFEST} of {wanted} is damaged ({kind}); push the weights again") from error
    if digest is None:
        raise UserError(f"{wanted.repo} has no {wanted.file}; it has {shown(', '.join(files), 200)}")
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise UserError(f"{MANIFEST} of {wanted} states no sha256 of {wanted.file}; push the weights again")
    return digest


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what the hub and the network may raise into a `UserError` that says what to do."""
    from huggingface_hub import errors

    try:
        yield
    except UserError:
        raise
    except errors.GatedRepoError as error:
        raise UserError(f"{name} asks for consent: accept its terms in the browser, then hf auth login") from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(f"there is no repository {name}, or it is private: see its name, or hf auth login") from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"{name}: the repository has no such revision") from error
    except errors.LocalEntryNotFoundError as error:
        raise UserError(
            f"{name} is not in the cache and the hub cannot be reached; see the connection, $HF_ENDPOINT and "
            "$HF_HUB_OFFLINE"
        ) from error
    except errors.EntryNotFoundError as error:
        raise UserError(f"{name} was not pushed by anycost: it has no such file, or no {MANIFEST}") from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no answer"
        hint = "; hf auth login gives a token that may write" if status in (401, 403) else ""
        raise UserError(f"{name}: the hub refused ({status}): {_line(error)}{hint}") from error
    except (OSError, ValueError) as error:  # no connection, half a download, a name or card that the hub does not take
        raise UserError(f"{name}: {_line(error)}") from error
    except Exception as error:
        # Uploads that break off, and whatever fails in the Xet library, are plain RuntimeErrors.
        if not isinstance(error, RuntimeError) and _origin(error) not in _OF_NETWORKS:
            raise
        cause = f": {_line(error.__cause__)}" if isinstance(error.__cause__, Exception) else ""
        raise UserError(f"{name}: the hub cannot be reached or broke off ({_line(error)}{cause}); try again") from error


def _origin(error: Exception) -> str:
    return type(error).__module__.partition(".")[0]


def _line(error: Exception) -> str:
    return shown(" ".join(str(error).split()) or type(error).__name__, 200)
