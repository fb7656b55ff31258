"""The page's own files. Their addresses carry a digest of all of them, so that browsers may keep them for good. Each is
compressed once. Those that the page begins with are bundled."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flask import Request, Response

from app.web import bundle

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
FOR_GOOD = "public, max-age=31536000, immutable"
ASK_FIRST = "no-cache"
STYLES = "css/page.css"
SCRIPT = "js/main.js"


@dataclass(frozen=True)
class Asset:
    content: bytes
    type: str

    @cached_property
    def compressed(self) -> bytes | None:
        """None for what is compressed already."""
        return None if self.type.startswith("font/") else gzip.compress(self.content, 9, mtime=0)

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()[:16]

    def response(self, request: Request, cache: str) -> Response:
        compressed = self.compressed if request.accept_encodings.quality("gzip") > 0 else None
        response = Response(self.content if compressed is None else compressed, content_type=self.type)
        response.headers["Cache-Control"] = cache
        response.headers["Vary"] = "Accept-Encoding"
        # What a proxy keeps for one encoding is not what it may give for another.
        response.set_etag(self.digest if compressed is None else f"{self.digest}-gzip")
        if compressed is not None:
            response.headers["Content-Encoding"] = "gzip"
        response.make_conditional(request)
        return response


class Assets:
    """The files below `folder`, as they are now."""

    def __init__(self, folder: Path) -> None:
        contents = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.suffix in TYPES and path.is_file()
        }
        sources = {name: content.decode() for name, content in contents.items() if name.endswith((".css", ".js"))}
        contents[STYLES] = bundle.style_sheet(STYLES, sources).encode()
        contents[SCRIPT] = bundle.module(SCRIPT, sources).encode()
        self._files = {name: Asset(content, TYPES[Path(name).suffix]) for name, content in contents.items()}
        names = "".join(f"{name} {asset.digest}\n" for name, asset in self._files.items())
        self._version = hashlib.sha256(names.encode()).hexdigest()[:12]

    def url(self, name: str) -> str:
        if name not in self._files:
            raise FileNotFoundError(name)
        return f"/static/{self._version}/{name}"

    def find(self, name: str) -> Asset | None:
        return self._files.get(name)

    def cache_of(self, version: str) -> str:
        """A page of before or after a deployment names other files than these."""
        return FOR_GOOD if version == self._version else ASK_FIRST
