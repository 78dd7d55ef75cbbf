"""Small real archives and a local web server, built by the tests that bring and read them."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from weakseg.data.sources.normal_form import Selection

ALL = Selection(images_per_class=0, test_share=0.0, val_share=0.0)


def picture(width: int = 12, height: int = 8, mode: str = "RGB") -> bytes:
    """A small JPEG."""
    buffer = io.BytesIO()
    pixels = np.arange(width * height * 3, dtype=np.uint8).reshape(height, width, 3)
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG")
    return buffer.getvalue()


def mask(values: np.ndarray | list) -> bytes:
    """A gray PNG of the values."""
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(values, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def tar_gz(path: Path, entries: dict[str, bytes], special: tuple[tarfile.TarInfo, ...] = ()) -> Path:
    """Write a compressed tar of the entries, special ones (links) last."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, content in entries.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
        for header in special:
            tar.addfile(header)
    return path


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    """A link as a tar entry."""
    header = tarfile.TarInfo(name)
    header.type, header.linkname = kind, target
    return header


def zipped(path: Path, entries: dict[str, bytes]) -> Path:
    """Write a zip of the entries."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def sums(folder: Path) -> None:
    """Write a SHA256SUMS for every file of a folder."""
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in sorted(folder.iterdir())]
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n")


def outputs(folder: Path) -> dict[str, Path]:
    """Paths of everything a dataset is prepared to."""
    names = ("images", "labels.csv", "masks", "boxes.csv", "parts.csv")
    return {Path(name).stem: folder / name for name in names}


def prepare(dataset, raw: Path, folder: Path, selection: Selection = ALL) -> dict[str, Path]:
    """Run both doors of a dataset."""
    paths = outputs(folder)
    dataset.prepare(raw, paths["images"], paths["labels"], selection)
    dataset.prepare_truth(raw, *(paths[name] for name in ("labels", "masks", "boxes", "parts")))
    return paths


def boxes(path: Path) -> dict[str, list[tuple]]:
    """Boxes by image from a table."""
    result: dict[str, list[tuple]] = {}
    for row in pd.read_csv(path).itertuples(index=False):
        result.setdefault(row.image_id, []).append(tuple(row)[1:])
    return result


class Server(ThreadingHTTPServer):
    """Serves `files` by path; notes the Range of every request; `cut` bytes at most in one answer.

    lie: bytes more, or less, than there are that an answer promises; hangs: seconds of silence after what is sent.
    """

    def __init__(self, files: dict[str, bytes], resumes: bool = True, cut: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.resumes, self.cut = files, resumes, cut
        self.lie, self.hangs = 0, 0.0
        self.ranges: list[tuple[str, str | None]] = []

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Answers GET, with a Range where the server resumes."""

    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append((self.path, wanted))
        if self.path not in self.server.files:
            return self.send_error(404)
        content = self.server.files[self.path]
        start = int(wanted.split("=")[1].rstrip("-")) if wanted and self.server.resumes else 0
        if start >= len(content) > 0 and start:
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start + self.server.lie))
        self.end_headers()
        self.wfile.write(content[start:][: self.server.cut])
        self.wfile.flush()
        time.sleep(self.server.hangs)

    def log_message(self, *arguments: object) -> None:
        """Stay silent."""


@contextmanager
def served(files: dict[str, bytes], resumes: bool = True, cut: int | None = None) -> Iterator[Server]:
    """A running server."""
    server = Server(files, resumes, cut)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
