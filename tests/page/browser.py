"""Debian's chromium, headless, and just enough to read its pictures."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.processes import needs

_QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--disable-extensions", "--force-device-scale-factor=1"),
)


class Browser(NamedTuple):
    """A browser with a profile of its own; everything it asks for goes to `proxy`."""

    folder: Path
    proxy: str

    def run(self, page: Path, *options: str) -> subprocess.CompletedProcess[str]:
        """Open a page; what its console says is in `stderr`."""
        needs(shutil.which("chromium") is not None, "chromium")
        command = [
            *("chromium", *_QUIET, f"--user-data-dir={self.folder / 'profile'}", "--enable-logging=stderr"),
            *(f"--proxy-server={self.proxy}", "--proxy-bypass-list=<-loopback>", *options, page.as_uri()),
        ]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)

    def text_of(self, page: Path) -> str:
        """The page as the browser holds it."""
        return self.run(page, "--dump-dom").stdout

    def picture_of(self, page: Path, width: int, height: int) -> Picture:
        """What the browser paints."""
        file = self.folder / "picture.png"
        self.run(page, f"--window-size={width},{height}", f"--screenshot={file}")
        return picture(file.read_bytes())

    def printed(self, page: Path) -> Path:
        """The page on paper."""
        file = self.folder / "printed.pdf"
        self.run(page, f"--print-to-pdf={file}", "--no-pdf-header-footer")
        return file


def console(ended: subprocess.CompletedProcess[str]) -> list[str]:
    """What the page's console says."""
    return [line for line in ended.stderr.splitlines() if "CONSOLE" in line]


def printed_text(file: Path) -> list[str]:
    """The text of each sheet."""
    needs(shutil.which("pdftotext") is not None, "pdftotext (poppler-utils)")
    command = ["pdftotext", "-layout", str(file), "-"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\f")[:-1]


# --- pictures ----------------------------------------------------------------------------------------


class Picture(NamedTuple):
    """Rows of pixels, each `channels` bytes."""

    width: int
    channels: int
    rows: list[bytes]

    def painted(self, top: int, bottom: int) -> int:
        """How many rows between two are not of one colour."""
        return sum(1 for row in self.rows[top:bottom] if row != row[: self.channels] * self.width)

    def has(self, red: int, green: int, blue: int) -> bool:
        """Whether four pixels of a colour stand side by side."""
        colour = bytes((red, green, blue, 255)[: self.channels])
        return any(colour * 4 in row for row in self.rows)


def picture(data: bytes) -> Picture:
    """A PNG as browsers write it: eight bits, no palette, not interlaced. Source: PNG, third edition."""
    chunks = dict[bytes, bytes]()
    for kind, content in _chunks(data):
        chunks[kind] = chunks.get(kind, b"") + content
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, interlaced) == (8, 0)
    channels = {2: 3, 6: 4}[kind]
    plain, size = zlib.decompress(chunks[b"IDAT"]), width * channels
    rows, before = [], bytes(size)
    for at in range(0, height * (size + 1), size + 1):
        before = _unfiltered(plain[at], plain[at + 1 : at + 1 + size], before, channels)
        rows.append(before)
    return Picture(width, channels, rows)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += size + 12


def _unfiltered(kind: int, row: bytes, before: bytes, channels: int) -> bytes:
    if kind == 0 or (kind in (1, 2, 4) and not any(row) and row == before):
        return row
    done = bytearray(len(row))
    for at, value in enumerate(row):
        left = done[at - channels] if at >= channels else 0
        corner = before[at - channels] if at >= channels else 0
        done[at] = (value + _predicted(kind, left, before[at], corner)) & 255
    return bytes(done)


def _predicted(kind: int, left: int, above: int, corner: int) -> int:
    if kind < 4:
        return (0, left, above, (left + above) // 2)[kind]
    guess = left + above - corner
    return min((left, above, corner), key=lambda value: abs(guess - value))
