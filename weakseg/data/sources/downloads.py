"""Files brought from an address or a folder: resumed, checked against a checksum, renamed when whole."""

from __future__ import annotations

import hashlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from weakseg.errors import UserError
from weakseg.harness.progress import track

BLOCK = 1 << 20  # bytes
TIMEOUT = 60  # seconds without an answer
ATTEMPTS = 4  # each resumes where the one before stopped
SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Official:
    """A file of a public dataset: its name, official address and checksum as 'md5:...' or 'sha256:...'."""

    name: str
    address: str
    checksum: str


def is_address(source: str) -> bool:
    """Whether `source` is a web address rather than a path."""
    return source.startswith(("http://", "https://"))


def missing(origins: Mapping[str, str]) -> list[str]:
    """A phrase for each parameter whose value, a path, does not exist; addresses are not asked."""
    paths = {name: origin.partition("#")[0] for name, origin in origins.items() if not is_address(origin)}
    return [f"{name} is '{path}', which does not exist" for name, path in paths.items() if not Path(path).exists()]


def checksum(path: Path, algorithm: str) -> str:
    """'algorithm:hexadecimal digest' of a file."""
    digest = hashlib.new(algorithm)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return f"{algorithm}:{digest.hexdigest()}"


def verify(path: Path, expected: str | None, origin: str) -> None:
    """UserError, and no file left, when `path` has another checksum than `expected`, whose digits may be cut short.

    None checks nothing.
    """
    if expected is None:
        return
    found = checksum(path, expected.partition(":")[0])
    if not found.startswith(expected.lower()):
        path.unlink()
        raise UserError(
            f"{origin} has checksum {found}, not {expected}: bring it again, or put a {SUMS} file beside a version of"
            " your own"
        )


def parse_sums(text: str) -> dict[str, str]:
    """Checksums by file name from the lines of a SHA256SUMS file."""
    lines = re.findall(r"^([0-9a-fA-F]{64}) [ *](.+)$", text, re.MULTILINE)
    return {name.strip().removeprefix("./"): f"sha256:{digest.lower()}" for digest, name in lines}


def sums_of(source: str) -> dict[str, str]:
    """Checksums beside the files of a folder or address; empty when there is no SHA256SUMS."""
    if not is_address(source):
        path = Path(source) / SUMS
        return parse_sums(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else {}
    try:
        with urllib.request.urlopen(f"{source.rstrip('/')}/{SUMS}", timeout=TIMEOUT) as response:
            return parse_sums(response.read().decode(errors="replace"))
    except urllib.error.HTTPError:
        return {}
    except (OSError, http.client.HTTPException) as error:
        raise UserError(f"{source} cannot be reached ({error}): check the address and the connection") from None


def _blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    # What has arrived, and not a whole block: it is kept when the connection hangs.
    while block := response.read1(BLOCK):
        yield block


def _receive(address: str, part: Path) -> None:
    """One attempt: append to `part` from where it stops; start anew where the server cannot resume."""
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        length = response.headers.get("Content-Length")
        whole = (start if resumed else 0) + int(length) if length else None
        with part.open("ab" if resumed else "wb") as file:
            for block in track(_blocks(response), f"{part.stem} (MiB)", whole and whole // BLOCK):
                file.write(block)
    if whole is not None and part.stat().st_size < whole:
        raise ConnectionError(f"closed after {part.stat().st_size} of {whole} bytes")


def download(address: str, part: Path) -> None:
    """Bring `address` to `part`, resuming what is there; UserError when it cannot be had."""
    problem: Exception | None = None
    for _ in range(ATTEMPTS):
        try:
            return _receive(address, part)
        except urllib.error.HTTPError as error:
            if error.code == 416 and part.exists():
                return None
            raise UserError(f"{address} answers {error.code} {error.reason}: check the address") from None
        except (OSError, http.client.HTTPException) as error:
            problem = error
    raise UserError(f"{address} cannot be downloaded ({problem}): check the connection and run again, it resumes")


def copy(path: Path, part: Path) -> None:
    """Copy a local file to `part`; UserError when there is no such file."""
    if not path.is_file():
        raise UserError(f"{path} does not exist: put the file there or change the source")
    with path.open("rb") as source, part.open("wb") as target:
        while block := source.read(BLOCK):
            target.write(block)


def bring(origin: str, path: Path, expected: str | None) -> None:
    """Bring one file from an address or a local path to `path`, by way of `path`.part.

    A `path` that already has the expected checksum stays; a transfer broken in an earlier run resumes only where a
    checksum can tell that both halves belong together. UserError: absent, unreachable, another checksum.
    """
    if expected is not None and path.is_file() and checksum(path, expected.partition(":")[0]) == expected.lower():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    if expected is None:
        part.unlink(missing_ok=True)
    if is_address(origin):
        download(origin, part)
    else:
        copy(Path(origin), part)
    verify(part, expected, origin)
    part.replace(path)


def bring_all(files: Sequence[Official], source: str, out: Path) -> None:
    """Bring every file into the folder `out`.

    `source`: 'official', or a folder or address that holds files of the same names. A SHA256SUMS beside them
    goes before the official checksums.
    """
    sums = {} if source == "official" else sums_of(source)
    for file in files:
        origin = file.address if source == "official" else f"{source.rstrip('/')}/{file.name}"
        bring(origin, out / file.name, sums.get(file.name, file.checksum))


def staging(root: Path, *what: object) -> Path:
    """The folder below `root` where `what` is brought; the same for the same, so that a broken transfer resumes."""
    folder = root / hashlib.sha256(repr(what).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder
