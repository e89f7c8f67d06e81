"""A stand-in of the hub's HTTP interface: what `huggingface_hub` calls for pushing and pulling, on loopback."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

TOKEN = "hf_secretsecretsecret"


class StandIn(ThreadingHTTPServer):
    """What `huggingface_hub` asks of a hub, kept in memory.

    `repos` maps a name to its branches, a branch to commits, a commit to (its name, files). `cuts` counts how many
    downloads of a file still break off halfway; `refuse_writes` answers 403 to whoever writes, `fail_uploads` 400 to
    the content of a large file, `fail_commits` 500 to the last request of a push. A download of `stalled` stops
    halfway, sets `halfway` and waits for `go_on`.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, dict[str, list[tuple[str, dict[str, bytes]]]]] = {}
        self.private: dict[str, bool] = {}
        self.lfs: dict[str, bytes] = {}
        self.cuts: dict[str, int] = {}
        self.refuse_writes = self.fail_uploads = self.fail_commits = False
        self.stalled: str | None = None
        self.halfway, self.go_on = threading.Event(), threading.Event()
        self.tokens: set[str] = set()
        self.requests: list[str] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def find(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        branches = self.repos[repo]
        if branches.get(revision):
            return branches[revision][-1]
        return next((one for commits in branches.values() for one in commits if one[0] == revision), None)

    def files(self, repo: str, revision: str = "main") -> dict[str, bytes]:
        found = self.find(repo, revision)
        assert found
        return found[1]

    def commit(self, repo: str, branch: str, changes: dict[str, bytes]) -> str:
        commits = self.repos[repo].setdefault(branch, [])
        files = {**(commits[-1][1] if commits else {}), **changes}
        name = hashlib.sha1(repr((branch, len(commits), sorted(files.items()))).encode()).hexdigest()
        commits.append((name, files))
        return name


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandIn

    def log_message(self, *arguments: Any) -> None:
        pass

    def answer(self, status: int, content: Any = b"", headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def note(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        if token := self.headers.get("Authorization"):
            self.server.tokens.add(token.removeprefix("Bearer "))

    def do_POST(self) -> None:
        self.note()
        body, server = self.body(), self.server
        if server.refuse_writes:
            return self.answer(403, {"error": "Forbidden"}, {"X-Error-Message": "Forbidden"})
        if self.path == "/api/repos/create":
            return self.create(json.loads(body))
        if self.path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if match := re.fullmatch(r"/([\w.-]+/[\w.-]+)\.git/info/lfs/objects/batch", self.path):
            return self.answer(200, {"objects": [self.upload(one) for one in json.loads(body)["objects"]]})
        if self.path == "/lfs/verify":
            entry = json.loads(body)
            return self.answer(200 if len(server.lfs.get(entry["oid"], b"")) == entry["size"] else 422)
        match = re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)/(branch|preupload|commit)/([\w.-]+)", self.path)
        if not match or match[1] not in server.repos:
            return self.answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        return getattr(self, match[2])(match[1], match[3], body)

    def create(self, entry: dict[str, Any]) -> None:
        repo = f"{entry['organization']}/{entry['name']}"
        url = {"url": f"{self.server.endpoint}/{repo}", "id": repo, "name": repo}
        if repo in self.server.repos:
            return self.answer(409, {**url, "error": "You already created this model repo"})
        self.server.repos[repo] = {"main": []}
        self.server.commit(repo, "main", {".gitattributes": b"*.safetensors filter=lfs"})
        self.server.private[repo] = entry.get("visibility") == "private"
        return self.answer(200, url)

    def upload(self, entry: dict[str, Any]) -> dict[str, Any]:
        address = self.server.endpoint
        if entry["oid"] in self.server.lfs:
            return entry
        actions = {"upload": {"href": f"{address}/lfs/{entry['oid']}"}, "verify": {"href": f"{address}/lfs/verify"}}
        return {**entry, "actions": actions}

    def branch(self, repo: str, name: str, body: bytes) -> None:
        if name in self.server.repos[repo]:
            return self.answer(409, {"error": "Reference already exists"})
        self.server.repos[repo][name] = list(self.server.repos[repo]["main"])
        return self.answer(200, {})

    def preupload(self, repo: str, revision: str, body: bytes) -> None:
        there = self.server.files(repo, revision)

        def mode(path: str) -> dict[str, Any]:
            kind = "lfs" if path.endswith(".safetensors") else "regular"
            content = there.get(path)
            blob = None if content is None else hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            oid = blob if kind == "regular" or content is None else hashlib.sha256(content).hexdigest()
            return {"path": path, "uploadMode": kind, "shouldIgnore": False, "oid": oid}

        self.answer(200, {"files": [mode(one["path"]) for one in json.loads(body)["files"]]})

    def commit(self, repo: str, revision: str, body: bytes) -> None:
        if self.server.fail_commits:
            return self.answer(500)
        changes = {}
        for line in filter(None, body.splitlines()):
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                changes[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                changes[value["path"]] = self.server.lfs[value["oid"]]
        name = self.server.commit(repo, revision, changes)
        url = f"{self.server.endpoint}/{repo}/commit/{name}"
        return self.answer(200, {"success": True, "commitOid": name, "commitUrl": url, "hookOutput": ""})

    def do_PUT(self) -> None:
        self.note()
        content, oid = self.body(), self.path.rpartition("/")[2]
        if self.server.fail_uploads or hashlib.sha256(content).hexdigest() != oid:
            return self.answer(400)
        self.server.lfs[oid] = content
        return self.answer(200, headers={"ETag": oid})

    def do_GET(self) -> None:
        self.note()
        match = re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/([\w.-]+)/(.+)", self.path)
        if not match or match[1] not in self.server.repos:
            return self.answer(404, {"error": "Not found"}, {"X-Error-Code": "RepoNotFound"})
        repo, revision, path = match.groups()
        found = self.server.find(repo, revision)
        if found is None:
            return self.answer(404, headers={"X-Error-Code": "RevisionNotFound"})
        commit, files = found
        if path not in files:
            return self.answer(404, headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        content = files[path]
        etag = hashlib.sha256(content).hexdigest()
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": commit, "X-Linked-Size": str(len(content)),
                   "X-Linked-Etag": f'"{etag}"', "Accept-Ranges": "bytes"}  # fmt: skip
        start = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if start and int(start[1]):
            headers["Content-Range"] = f"bytes {start[1]}-{len(content) - 1}/{len(content)}"
            content = content[int(start[1]) :]
        if self.command == "GET" and self.server.stalled == path:
            self.server.cuts[path] = 1
        if self.command == "GET" and self.server.cuts.get(path, 0):
            self.server.cuts[path] -= 1
            return self.break_off(content, headers)
        return self.answer(206 if "Content-Range" in headers else 200, content, headers)

    do_HEAD = do_GET

    def break_off(self, content: bytes, headers: dict[str, str]) -> None:
        """Promise all, send half, and hang up."""
        self.send_response(206 if "Content-Range" in headers else 200)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.wfile.flush()
        if self.server.stalled:
            self.server.halfway.set()
            self.server.go_on.wait(60)
        self.close_connection = True


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A hub of this test alone, with an empty cache, and a user who is logged in."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the pauses between the library's retries
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    server = StandIn()
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    monkeypatch.chdir(tmp_path)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
