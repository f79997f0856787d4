"""Containers in containers, crossed: each kind in several others."""

import base64
import binascii
import bz2
import gzip
import lzma
import struct
import zlib

from box_archives import ar, cabinet, cpio_odc, lzx, rpm
from box_mail import note
from box_office import html_data, ooxml
from box_ole import attribute, msg, tnef
from box_pdf import attached, stream, written
from box_rtf import object_data, rtf_object
from box_streams import tarred
from boxes import Box, made, run
from cfb import compound, package
from zips import Member, deflated, zipped


def tool(words, out):
    """A container by a tool that packs the file `inner`."""
    return lambda data: made(words, {"inner": data}, out)


def mszip(data):
    """A cabinet of blocks of 32 KiB."""
    pieces = [data[at : at + 32768] for at in range(0, len(data), 32768)]
    blocks = []
    for at, piece in enumerate(pieces):
        packer = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=pieces[at - 1]) if at else zlib.compressobj(9, zlib.DEFLATED, -15)
        blocks.append(b"CK" + packer.compress(piece) + packer.flush())
    return cabinet([("inner", data)], 1, blocks, [len(piece) for piece in pieces])


def tnef_of(data):
    """TNEF with one attachment."""
    rend = attribute(2, 0x69002, struct.pack("<HIHHI", 1, 0xFFFFFFFF, 0, 0, 0))
    return tnef(rend, attribute(2, 0x18010, b"inner.bin\0"), attribute(2, 0x6800F, data))


def uuencoded(data):
    """uuencode."""
    lines = (binascii.b2a_uu(data[at : at + 45]).rstrip(b"\n") + b"\r\n" for at in range(0, len(data), 45))
    return b"begin 644 inner.bin\r\n" + b"".join(lines) + b"`\r\nend\r\n"


KINDS = {
    "zip": (lambda data: zipped(Member("inner.bin", data)), "zip", ("zip",)),
    "gz": (lambda data: gzip.compress(data, mtime=0), "gz", ("gz",)),
    "tar": (lambda data: tarred(data, "inner.bin"), "tar", ("tar",)),
    "bz2": (bz2.compress, "bz2", ("bz2",)),
    "7z": (tool(["7z", "a", "box.7z", "inner"], "box.7z"), "7z", ("7z",)),
    "xz": (lzma.compress, "xz", ("xz",)),
    "cab": (mszip, "cab", ("cab",)),
    "ole": (lambda data: compound({"Contents": data}, scatter=True), "ole", ("ole",)),
    "docx": (lambda data: ooxml(extra={"word/embeddings/inner.bin": data}), "docx", ("zip",)),
    "zstd": (lambda data: run(["zstd", "-qc19"], data), "zst", ("zstd",)),
    "ar": (lambda data: ar(("inner", data)), "a", ("ar",)),
    "cpio": (lambda data: cpio_odc("inner.bin", data), "cpio", ("cpio",)),
    "rtf": (lambda data: rtf_object(b"", object_data(package(b"inner.bin", data)[4:]).hex().encode()), "rtf", ("rtf", "package-in")),
    "iso": (lambda data: made(["genisoimage", "-quiet", "-no-pad", "-o", "box.iso", "d"], {"d/inner": data}, "box.iso"), "iso", ("iso",)),
    "pdf": (lambda data: written(attached(stream(zlib.compress(data), b"/Type/EmbeddedFile/Filter/FlateDecode"))), "pdf", ("pdf",)),
    "lzma": (lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE), "lzma", ("lzma",)),
    "eml": (note, "eml", ("mail",)),
    "tnef": (tnef_of, "dat", ("tnef",)),
    "msg": (lambda data: compound(msg([("inner.bin", data)])), "msg", ("ole",)),
    "html": (html_data, "html", ("base64",)),
    "uu": (uuencoded, "uue", ("uu",)),
    "Z": (tool(["compress", "-f", "inner"], "inner.Z"), "Z", ("Z",)),
    "rpm": (lambda data: rpm(gzip.compress(cpio_odc("./inner", data), mtime=0), b"gzip"), "rpm", ("rpm",)),
    "lzip": (lambda data: run(["lzip", "-c"], data), "lz", ("lzip",)),
    "lzx": (lambda data: cabinet([("inner", data)], 0x0F03, [lzx(data)], [len(data)]), "cab", ("cab",)),
    "msi": (
        lambda data: compound(
            {
                "\u4840\u3b3f\u43f2\u4438\u45b1": b"",
                "\u3b6a\u45e4\u4824": cabinet([("inner", data)], 1, [b"CK" + deflated(data)], [len(data)]),
            }
        ),
        "msi",
        ("ole", "cab"),
    ),
    "b64": (base64.encodebytes, "b64", ("base64",)),
}
"""Name to what packs, the ending of its files, and the steps that open it."""


def boxes(payload):
    """Each kind around several others. Innermost is a small zip."""
    inner = zipped(Member("eicar.com", payload))
    names = list(KINDS)
    for at, outer in enumerate(names):
        for by in (1, 4, 9, 14):
            within = names[(at + by) % len(names)]
            if outer in ("lzx", "msi") and within == "iso":
                continue
            pack, ending, steps = KINDS[outer]
            pack_within, _, steps_within = KINDS[within]
            data = pack(pack_within(inner))
            yield Box(
                f"in-{outer.lower()}-{within.lower()}",
                f"a zip in {within} in {outer}",
                data,
                f"papers.{ending}",
                steps + steps_within + ("zip",),
            )
