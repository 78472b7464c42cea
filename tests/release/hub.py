"""A small hub on loopback: as much of the hub's HTTP API as its own client needs to create, upload and read back."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlparse

TOKEN = "hf_standInTokenThatMustNeverBeShown"


@dataclass
class Repo:
    """A model repository: files of its newest commit, and how often somebody committed."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: int = 0

    @property
    def sha(self) -> str:
        """The newest commit's id."""
        return hashlib.sha1(str(self.commits).encode()).hexdigest()


@dataclass
class Hub:
    """The stand-in's state, and how it misbehaves."""

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    uploads: list[str] = field(default_factory=list)
    """Blobs that arrived whole, in order, by hash."""
    cut_uploads: bool = False
    """Break the connection in the middle of every upload but the first."""
    cut_commit: bool = False
    """Break the connection when the commit is sent."""
    token: str = TOKEN
    """The token that is valid."""
    refused_upload: int = 0
    """The status that answers who asks to upload by Xet."""
    lock: Any = field(default_factory=threading.Lock)
    """The client uploads in threads."""


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        """Silence."""

    def _answer(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.close()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            found = b""
            while size := int(self.rfile.readline().strip(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return found
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _handle(self) -> None:
        body = self._body()
        path = unquote(urlparse(self.path).path)
        if path.startswith("/blobs/"):  # signed addresses: no token
            self._blob(path.removeprefix("/blobs/"), body)
        elif self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            self._answer(401, {"error": "Invalid credentials in Authorization header"})
        elif path == "/api/whoami-v2":
            self._answer(200, {"type": "user", "name": "me", "orgs": [], "auth": {"type": "access_token"}})
        elif path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path.startswith("/api/models/"):
            self._model(path.removeprefix("/api/models/").split("/"), body)
        elif path.endswith("/info/lfs/objects/batch"):
            self._batch(json.loads(body))
        else:
            self._file(path)

    do_GET = do_HEAD = do_POST = do_PUT = _handle

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        if not name.startswith("me/"):
            self._answer(403, {"error": "You don't have the rights to create a model under this namespace"})
        elif name in self.hub.repos:
            self._answer(409, {"error": "You already created this model repo", "url": f"{self.hub.url}/{name}"})
        else:
            self.hub.repos[name] = Repo(private=asked.get("visibility") == "private")
            self._answer(200, {"url": f"{self.hub.url}/{name}"})

    def _model(self, parts: list[str], body: bytes) -> None:
        name, action = "/".join(parts[:2]), parts[2] if len(parts) > 2 else "revision"
        repo = self.hub.repos.get(name)
        if repo is None:
            self._answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        elif action == "revision":
            siblings = [{"rfilename": file} for file in sorted(repo.files)]
            self._answer(200, {"id": name, "sha": repo.sha, "private": repo.private, "siblings": siblings, "tags": []})
        elif action == "settings":
            repo.private = json.loads(body)["visibility"] == "private"
            self._answer(200, {})
        elif action == "xet-write-token":
            self._answer(self.hub.refused_upload, {"error": "Invalid credentials"})
        elif action == "tree":
            held = [(path, len(content)) for path, content in sorted(repo.files.items())]
            self._answer(200, [{"type": "file", "path": path, "size": size, "oid": path} for path, size in held])
        elif action == "preupload":
            modes = [
                {
                    "path": file["path"],
                    "shouldIgnore": False,
                    "uploadMode": "lfs" if _is_large(file["path"]) else "regular",
                }
                for file in json.loads(body)["files"]
            ]
            self._answer(200, {"files": modes})
        elif action == "commit":
            self._commit(name, repo, [json.loads(line) for line in body.splitlines()])
        else:
            self._answer(404, {"error": "Not here"}, {"X-Error-Code": "EntryNotFound"})

    def _commit(self, name: str, repo: Repo, lines: list[dict[str, Any]]) -> None:
        if self.hub.cut_commit:
            return self._cut()
        if lines[0]["value"].get("parentCommit", repo.sha) != repo.sha:
            return self._answer(412, {"error": "A commit has happened since. Please refresh and try again."})
        files = {}
        for line in lines[1:]:
            value = line["value"]
            files[value["path"]] = self.hub.blobs[value["oid"]] if line["key"] == "lfsFile" else base64.b64decode(
                value["content"])  # fmt: skip
        repo.files |= files
        repo.commits += 1
        self._answer(200, {"commitUrl": f"{self.hub.url}/{name}/commit/{repo.sha}", "commitOid": repo.sha})

    def _batch(self, asked: dict[str, Any]) -> None:
        objects = []
        for entry in asked["objects"]:
            if entry["oid"] not in self.hub.blobs:
                entry = entry | {"actions": {"upload": {"href": f"{self.hub.url}/blobs/{entry['oid']}"}}}
            objects.append(entry)
        self._answer(200, {"transfer": "basic", "objects": objects})

    def _blob(self, oid: str, body: bytes) -> None:
        with self.hub.lock:
            if self.hub.cut_uploads and self.hub.uploads:
                return self._cut()
            assert hashlib.sha256(body).hexdigest() == oid
            self.hub.blobs[oid] = body
            self.hub.uploads.append(oid)
        self._answer(200, b"")

    def _file(self, path: str) -> None:
        """`/owner/name/resolve/revision/file`."""
        parts = path.strip("/").split("/")
        repo = self.hub.repos.get("/".join(parts[:2]))
        content = repo.files.get("/".join(parts[4:])) if repo is not None and len(parts) > 4 else None
        if repo is None or content is None:
            return self._answer(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
        etag = hashlib.sha256(content).hexdigest()
        self._answer(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": repo.sha, "Accept-Ranges": "none"})


def _is_large(path: str) -> bool:
    return path.endswith((".safetensors", ".gguf", ".png"))


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that listens on a free port of this machine."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
