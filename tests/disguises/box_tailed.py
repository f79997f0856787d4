"""Shortcuts, pictures and programs with an archive behind them."""

import base64
import gzip
import struct
import zlib

from boxes import Box, noise, prose
from zips import Member, zipped


def boxes(payload):
    """All of them."""
    inner = zipped(Member("eicar.com", payload))
    yield from tailed(payload, inner)


def tailed(payload, inner):
    """Shortcuts and pictures with an archive behind them, and other files that hold one."""
    link = bytes.fromhex("4c0000000114020000000000c000000000000046") + struct.pack("<I", 0x80) + bytes(52)
    yield Box("file-lnk-tail", "a shortcut with a zip behind it", link + bytes(8) + inner, "paper.lnk", ("zip",))
    yield Box(
        "file-url-tail",
        "an Internet shortcut with a zip behind it",
        b"[InternetShortcut]\r\nURL=http://away.example/\r\n" + inner,
        "paper.url",
        ("zip",),
    )
    yield Box(
        "file-exe-gzip",
        "a program with a gzip among its bytes",
        b"MZ" + bytes(600) + gzip.compress(payload, mtime=0) + bytes(90),
        "setup.exe",
        ("deflate-at",),
    )
    png = b"\x89PNG\r\n\x1a\n"
    for kind, body in (
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)),
        (b"zTXt", b"a\0\0" + zlib.compress(payload)),
        (b"IDAT", zlib.compress(b"\0\0")),
        (b"IEND", b""),
    ):
        png += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    yield Box(
        "file-png-gzip",
        "a picture with a gzip behind it",
        png.replace(b"zTXt", b"zTXu") + gzip.compress(payload, mtime=0),
        "photo.png",
        ("deflate-at",),
        declared="image/png",
    )
    crx = b"Cr24" + struct.pack("<III", 3, 10, 0)[:8] + noise(10) + inner
    yield Box("file-crx", "a browser's extension", crx, "tool.crx", ("zip",))
    yield Box(
        "file-swf",
        "Flash, compressed",
        b"CWS\x0a" + struct.pack("<I", 8 + 200 + len(payload)) + zlib.compress(prose(200) + payload),
        "a.swf",
        ("7z|zlib-8",),
    )
    yield Box("file-sqlite", "a database's name on a gzip", gzip.compress(payload, mtime=0), "a.sqlite", ("gz",))
    yield Box(
        "file-eml-as-txt",
        "a message named as text",
        b"From: a@b.example\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(inner),
        "note.txt",
        ("mail", "zip"),
        declared="text/plain",
    )
