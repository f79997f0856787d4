"""Zip files that are as they should be, or have something around them: methods, descriptors, zip64, junk, names, nesting."""

import gzip
import io
import struct
import tarfile
import zlib

from boxes import Box, broken_up, made, noise, prose
from zips import Member, deflated, end, zipped

ZIP = ("zip",)


def box(name, idea, data, file="papers.zip", steps=ZIP, **more):
    """A container of this file's kind."""
    return Box(f"zip-{name}", idea, data, file, steps, **({"declared": "application/zip"} | more))


def descriptor(member, signed=True):
    """Sizes and sum after the data."""
    return (b"PK\x07\x08" if signed else b"") + struct.pack("<III", zlib.crc32(member), len(deflated(member)), len(member))


def boxes(payload):
    """All of them."""
    yield from methods(payload)
    yield from layouts(payload)
    yield from surroundings(payload)
    yield from names(payload)
    yield from nests(payload)


def methods(payload):
    """One method of compression each."""
    one = "eicar.com"
    yield box("stored", "stored", zipped(Member(one, payload, 0)), clear=True)
    yield box("deflate", "deflate", zipped(Member(one, payload)))
    yield box("shrink", "shrunk (method 1)", zipped(Member(one, payload, 1)))
    yield box("implode", "imploded (method 6)", zipped(Member(one, payload, 6)))
    yield box("bzip2", "bzip2 (method 12)", zipped(Member(one, payload, 12)))
    yield box("lzma", "LZMA (method 14)", zipped(Member(one, payload, 14)))
    yield box("zstd-old", "zstd under its old number (method 20)", zipped(Member(one, broken_up(payload), 20)), want="held")
    yield box("zstd", "zstd (method 93)", zipped(Member(one, broken_up(payload), 93)))
    yield box("xz", "xz (method 95)", zipped(Member(one, broken_up(payload), 95)))
    for method in ("Deflate64", "BZip2", "LZMA", "PPMd"):
        data = made(["7z", "a", "-tzip", f"-mm={method}", "box.zip", one], {one: broken_up(payload)}, "box.zip")
        yield box(f"seven-{method.lower()}", f"{method} by 7-Zip", data)
    blocks = zlib.compressobj(9, zlib.DEFLATED, -15)
    cut = b"".join(blocks.compress(payload[at : at + 7]) + blocks.flush(zlib.Z_FULL_FLUSH) for at in range(0, 68, 7)) + blocks.flush()
    yield box("deflate-blocks", "deflate with an empty stored block every seven bytes", zipped(Member(one, payload, data=cut)))
    yield box(
        "deflate-rest",
        "data after the end of the deflate stream, inside the member",
        zipped(Member(one, payload, data=deflated(payload) + noise(90))),
    )
    yield box("deflate-late", "the payload after 3 MB of text", zipped(Member(one, prose(3_000_000) + payload)))
    yield box("deflate-window", "the payload across the edge of 32 KiB", zipped(Member(one, prose(32_740) + payload + prose(900))))


def layouts(payload):
    """Zip64 and descriptors."""
    one = "eicar.com"
    size = struct.pack("<QQ", len(payload), len(deflated(payload)))
    big = {"packed": 0xFFFFFFFF, "size": 0xFFFFFFFF, "extra": b"\x01\x00\x10\x00" + size, "version": 45}
    member = Member(one, payload, local=big, central=big)
    yield box("zip64-sizes", "sizes in zip64 fields", zipped(member))
    far = {"offset": 0xFFFFFFFF, "extra": b"\x01\x00\x08\x00" + bytes(8), "version": 45}
    yield box("zip64-offset", "the offset in a zip64 field", zipped(Member(one, payload, central=far)))
    local = Member(one, payload)
    body, entry = local.local_bytes(), local.central_bytes(0)
    record = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(entry), len(body))
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(body) + len(entry), 1)
    most = end(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    yield box("zip64-end", "a zip64 end record, the old one all ones", body + entry + record + locator + most)
    lied = end(0, 0, 0)
    yield box("zip64-end-zero", "a zip64 end record, the old one all noughts", body + entry + record + locator + lied)
    blank = {"crc": 0, "packed": 0, "size": 0}
    yield box("descriptor", "sizes only after the data", zipped(Member(one, payload, local=blank, flags=8, tail=descriptor(payload))))
    yield box(
        "descriptor-unsigned",
        "sizes after the data, without a mark",
        zipped(Member(one, payload, local=blank, flags=8, tail=descriptor(payload, False))),
    )
    yield box("descriptor-missing", "the flag says sizes after the data, none there", zipped(Member(one, payload, local=blank, flags=8)))
    yield box("sizes-missing", "no sizes before the data and no flag", zipped(Member(one, payload, local=blank)))
    long_tail = b"PK\x07\x08" + struct.pack("<IQQ", zlib.crc32(payload), len(deflated(payload)), len(payload))
    yield box(
        "descriptor-64",
        "sizes of eight bytes after the data",
        zipped(Member(one, payload, local=blank | {"extra": b"\1\0\x10\0" + bytes(16), "version": 45}, flags=8, tail=long_tail)),
    )
    nested = zipped(Member(one, payload))
    stored_tail = b"PK\x07\x08" + struct.pack("<III", zlib.crc32(nested), len(nested), len(nested))
    yield box(
        "descriptor-stored",
        "a stored zip with sizes only after it",
        zipped(Member("a.zip", nested, 0, local=blank, flags=8, tail=stored_tail)),
        steps=("zip", "zip"),
    )
    short = {"size": 0xFFFFFFFF, "extra": b"\1\0\x08\0" + struct.pack("<Q", len(payload)), "version": 45}
    yield box("zip64-one", "only the size in a zip64 field", zipped(Member(one, payload, local=short, central=short)))
    needless = {"extra": b"\1\0\x10\0" + struct.pack("<QQ", 7, 7)}
    yield box(
        "zip64-needless",
        "a zip64 field that nothing asks for, with other sizes",
        zipped(Member(one, payload, local=needless, central=needless)),
    )
    after = Member("note.txt", prose(200))
    yield box(
        "descriptor-two",
        "two members with sizes after the data, the second the one",
        zipped(
            Member("note.txt", prose(200), local=blank, flags=8, tail=descriptor(prose(200))),
            Member(one, payload, local=blank, flags=8, tail=descriptor(payload)),
        ),
    )
    yield box("gap", "junk between two members", zipped(Member("note.txt", prose(200), tail=noise(333)), Member(one, payload)))
    yield box("gap-directory", "junk before the central directory", zipped(after, Member(one, payload), between=noise(77)))
    yield box(
        "extra", "long extra fields of unknown kinds", zipped(Member(one, payload, local={"extra": b"\xfe\xca\x80\x00" + noise(128)}))
    )
    yield box("member-comment", "a comment on the member", zipped(Member(one, payload, central={"comment": prose(300)})))
    extra_record = b"PK\x06\x08" + struct.pack("<I", 20) + noise(20)
    yield box("extra-record", "an archive extra data record before the directory", zipped(Member(one, payload), between=extra_record))


def surroundings(payload):
    """Something before or after it."""
    member = Member("eicar.com", payload)
    stubs = {
        "junk": noise(500),
        "program": b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0L\x01" + bytes(300),
        "jpeg": bytes.fromhex("ffd8ffe000104a46494600010100000100010000") + noise(200).replace(b"\xff", b"") + b"\xff\xd9",
        "gif": b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;",
        "png": b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 1, 1, 8, 0, 0, 0, 0)
        + bytes(4)
        + struct.pack(">I4sI", 0, b"IEND", 0xAE426082),
        "pdf": b"%PDF-1.4\n1 0 obj\n<</Type/Catalog>>\nendobj\ntrailer <</Root 1 0 R>>\n%%EOF\n",
        "text": prose(2_000),
        "bom": b"\xef\xbb\xbf",
        "line-end": b"\r\n",
        "one-byte": b"\0",
        "half-mark": b"PK\3",
        "rar": b"Rar!\x1a\x07\x00" + noise(60),
        "gzip": gzip.compress(b"Nothing here.", mtime=0),
        "ole": bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504),
        "tar": bytes(512),
        "elf": b"\x7fELF\2\1\1" + bytes(200),
        "script": b"#!/bin/sh\ntail -c +30 $0\nexit\n",
        "mp4": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(90),
        "message": b"From: a@b.example\r\nSubject: x\r\n\r\n",
        "html": b"<html><body>Nothing here.</body></html>\n",
        "rtf": rb"{\rtf1 Nothing here.}" + b"\n",
        "mark": b"PK\x07\x08",
        "mark-zero": b"PK00PK\x03\x04"[:4],
    }
    files = {
        "program": "setup.exe",
        "jpeg": "photo.jpg",
        "gif": "photo.gif",
        "png": "photo.png",
        "pdf": "paper.pdf",
        "text": "note.txt",
        "html": "page.html",
        "rtf": "paper.rtf",
    }
    for kind, stub in stubs.items():
        yield box(f"after-{kind}", f"behind: {kind}", zipped(member, prefix=stub), files.get(kind, "papers.zip"))
    yield box(
        "after-program-uncounted",
        "behind a program, offsets from the archive's start",
        zipped(member, prefix=stubs["program"], counted=False),
        "setup.exe",
    )
    yield box(
        "after-jpeg-uncounted",
        "behind a picture, offsets from the archive's start",
        zipped(member, prefix=stubs["jpeg"], counted=False),
        "photo.jpg",
    )
    yield box("after-much", "behind a megabyte of junk", zipped(member, prefix=noise(1_000_000)))
    yield box("before-junk", "junk behind it", zipped(member, suffix=noise(400)))
    yield box("before-zeros", "70,000 noughts behind it", zipped(member, suffix=bytes(70_000)))
    yield box("before-end-mark", "a second, empty end record behind it", zipped(member, suffix=end(0, 0, 0)))
    yield box("comment", "a comment of 60,000 bytes", zipped(member, comment=prose(60_000)))
    clean = zipped(Member("note.txt", prose(300)))
    shifted = zipped(member, prefix=clean)
    yield box("twice-second", "two archives one after the other, offsets of the second from the file's start", shifted)
    yield box("twice-second-own", "two archives one after the other, offsets of the second from its own start", clean + zipped(member))
    yield box("twice-first", "two archives one after the other, the first the one", zipped(member) + clean)
    inner = zipped(member)
    yield box("in-comment", "an archive in the comment of another", zipped(Member("note.txt", prose(300)), comment=inner))
    yield box(
        "in-gap",
        "an archive between a member and the directory of another",
        zipped(Member("note.txt", prose(300)), between=inner),
        steps=("zip|zip-at",),
    )
    yield box(
        "in-extra",
        "a local member in the extra field of another",
        zipped(Member("note.txt", prose(300), local={"extra": b"\xfe\xca" + struct.pack("<H", len(inner)) + inner})),
        steps=("zip-at",),
    )


def names(payload):
    """Names and types that mislead."""
    member = Member("eicar.com", payload)
    plain = zipped(member)
    for name, file, declared in (
        ("as-jar", "tool.jar", "application/java-archive"),
        ("as-png", "photo.png", "image/png"),
        ("as-text", "note.txt", "text/plain"),
        ("as-docx", "paper.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("as-pdf", "paper.pdf", "application/pdf"),
        ("as-nothing", "papers", "application/octet-stream"),
        ("as-zip-dot", "papers.zip.", "application/octet-stream"),
        ("as-gz", "papers.gz", "application/gzip"),
        ("as-message", "note.eml", "application/octet-stream"),
        ("as-html", "page.html", "text/html"),
        ("as-calendar", "meet.ics", "text/calendar"),
        ("as-rar", "papers.rar", "application/x-rar"),
        ("as-zipx", "papers.zipx", "application/octet-stream"),
        ("as-001", "papers.zip.001", "application/octet-stream"),
        ("as-epub", "book.epub", "application/epub+zip"),
        ("as-xpi", "tool.xpi", "application/x-xpinstall"),
    ):
        yield box(name, f"named {file}, declared {declared}", plain, file, declared=declared)
    odd = {
        "nul": b"note.txt\0eicar.com",
        "absolute": b"/etc/eicar.com",
        "parent": b"../../eicar.com",
        "drive": b"C:\\eicar.com",
        "backslash": b"a\\b\\eicar.com",
        "empty": b"",
        "long": b"a" * 3000 + b".com",
        "dots": b"eicar.com...",
        "device": b"aux.com",
        "utf8-bad": b"\xff\xfe\xc3.com",
        "right-to-left": "\u202emoc.txt".encode(),
        "control": b"a\r\nb\x1b[2J.com",
        "directory": b"eicar.com/",
        "colon": b"note.txt:eicar.com",
        "star": b"?*.com",
    }
    for kind, name in odd.items():
        flags = 0x800 if kind in ("utf8-bad", "right-to-left") else 0
        yield box(f"name-{kind}", f"a member with an odd name: {kind}", zipped(Member(name, payload, flags=flags)))
    yield box(
        "name-unicode-path",
        "a Unicode path field that says another name",
        zipped(Member("note.txt", payload, central={"extra": b"up" + struct.pack("<HBI", 14, 1, zlib.crc32(b"note.txt")) + b"eicar.com"})),
    )
    yield box("link", "a symbolic link whose target it is", zipped(Member("link", payload, central={"made": 0x314}, attributes=0xA1FF0000)))
    yield box("directory-attribute", "a file marked as a folder", zipped(Member("eicar.com", payload, attributes=0x10)))
    yield box("label", "a file marked as a volume label", zipped(Member("eicar.com", payload, attributes=0x08)))
    many = [Member(f"n{at}.txt", prose(30, at)) for at in range(3_000)]
    yield box("last-of-many", "the last of 3,001 members", zipped(*many, member))


def nests(payload):
    """One in another."""
    data = payload
    for depth in range(15):
        data = zipped(Member("eicar.com" if depth == 0 else f"p{depth}.zip", data))
        if depth + 1 in (2, 5):
            yield box(f"nested-{depth + 1}", f"{depth + 1} deep", data, steps=ZIP * (depth + 1))
    yield box("nested-15", "15 deep", data, steps=ZIP * 15)
    inner = zipped(Member("eicar.com", payload))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("inner.zip")
        info.size = len(inner)
        archive.addfile(info, io.BytesIO(inner))
    yield box("in-tar-in-gzip", "in a tar in a gzip", gzip.compress(out.getvalue(), mtime=0), "papers.tgz", ("gz", "tar", "zip"))
    yield box("in-gzip", "in a gzip", gzip.compress(inner, mtime=0), "papers.zip.gz", ("gz", "zip"))
    yield box("gzip-inside", "with a gzip in it", zipped(Member("eicar.gz", gzip.compress(payload, mtime=0), 0)), steps=("zip", "gz"))
    yield box(
        "stored-nest",
        "a stored archive in a stored archive, behind junk",
        zipped(Member("b.bin", noise(64) + inner, 0)),
        steps=("zip", "zip"),
    )
