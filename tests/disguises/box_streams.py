"""Compressed streams of one file: gzip, bzip2, xz, LZMA, lzip, zstd, compress, zlib, deflate, lz4, and tar with and around them."""

import bz2
import io
import lzma
import struct
import tarfile
import zlib

from boxes import Box, broken_up, made, noise, prose, run
from zips import bits, deflated


def gz(raw, flags=0, fields=b"", crc=None, size=None, method=8):
    """A gzip member with these flags and fields (RFC 1952)."""
    head = struct.pack("<2sBBIBB", b"\x1f\x8b", method, flags, 0, 0, 3) + fields
    return head + deflated(raw) + struct.pack("<II", zlib.crc32(raw) if crc is None else crc, len(raw) if size is None else size)


def lzw(raw):
    """compress (.Z) with codes of nine bits only: literals, cleared before the codes would grow."""
    out = b"\x1f\x9d\x90"
    for at in range(0, len(raw), 200):
        codes = [(byte, 9) for byte in raw[at : at + 200]]
        out += bits(codes)
    return out


def boxes(payload):
    """All of them."""
    yield from gzips(payload)
    yield from others(payload)
    yield from tars(payload)


def gzips(payload):
    """gzip."""

    def box(name, idea, data, file="paper.com.gz", steps=("gz",), **more):
        return Box(f"gz-{name}", idea, data, file, steps, **({"declared": "application/gzip"} | more))

    half = len(payload) // 2
    yield box("plain", "gzip", gz(payload))
    yield box("two-streams", "two streams, the payload in the second", gz(prose(200)) + gz(payload))
    yield box("split-streams", "two streams, the payload across both", gz(payload[:half]) + gz(payload[half:]))
    yield box("many-streams", "a stream per byte", b"".join(gz(bytes([byte])) for byte in payload))
    yield box("extra", "an extra field", gz(payload, 4, struct.pack("<H", 300) + noise(300)))
    yield box("name", "a name", gz(payload, 8, b"note.txt\0"))
    yield box("comment", "a comment", gz(payload, 16, prose(200) + b"\0"))
    head = struct.pack("<2sBBIBB", b"\x1f\x8b", 8, 2, 0, 0, 3)
    yield box("header-sum", "a sum of the header", gz(payload, 2, struct.pack("<H", zlib.crc32(head) & 0xFFFF)))
    yield box("header-sum-wrong", "a wrong sum of the header", gz(payload, 2, b"\x12\x34"), steps=("gz|deflate-at",))
    yield box("all-fields", "every field", gz(payload, 28, struct.pack("<H", 5) + b"abcde" + b"name\0" + b"comment\0"))
    yield box("text-flag", "marked as text", gz(payload, 1))
    yield box("reserved-flags", "flags that are reserved", gz(payload, 0xE0), steps=("gz|deflate-at",))
    yield box("wrong-sum", "a wrong sum", gz(payload, crc=1))
    yield box("wrong-size", "a wrong size", gz(payload, size=9))
    yield box("no-trailer", "cut off before the sum", gz(payload)[:-8])
    yield box("cut", "cut off after the payload", gz(payload + noise(5000).hex().encode())[:3000])
    yield box("damaged", "damaged after the payload", gz(payload + noise(5000).hex().encode())[:3000] + bytes(100))
    yield box("junk-after", "junk behind it", gz(payload) + noise(100))
    yield box("zeros-after", "noughts behind it, then a second stream", gz(prose(99)) + bytes(512) + gz(payload), steps=("gz|deflate-at",))
    yield box("junk-between", "junk between two streams", gz(prose(99)) + noise(50) + gz(payload), steps=("deflate-at",))
    yield box(
        "junk-before",
        "junk before it",
        noise(50) + gz(payload),
        steps=("deflate-at",),
        file="paper.bin",
        declared="application/octet-stream",
    )
    deep = payload
    for _ in range(10):
        deep = gz(deep)
    yield box("nested-10", "ten deep", deep, steps=("gz",) * 10)
    yield box(
        "as-docx",
        "named as a document",
        gz(payload),
        "paper.docx",
        declared="application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    )
    yield box("as-text", "named and declared as text", gz(payload), "note.txt", declared="text/plain")
    yield box("svgz", "a picture's name", gz(payload), "logo.svgz", declared="image/svg+xml")


def others(payload):
    """The other kinds of stream."""
    half = len(payload) // 2

    def box(name, idea, data, kind, file="paper.com", **more):
        return Box(name, idea, data, f"{file}.{kind.lower()}", (kind,), **more)

    long = prose(300) + payload
    yield box("bz2-plain", "bzip2", bz2.compress(payload), "bz2")
    yield box(
        "bz2-split", "bzip2, two streams, the payload across both", bz2.compress(payload[:half]) + bz2.compress(payload[half:]), "bz2"
    )
    yield box("bz2-second", "bzip2, two streams, the payload in the second", bz2.compress(prose(500)) + bz2.compress(payload), "bz2")
    yield box("bz2-empty-first", "bzip2, an empty stream first", bz2.compress(b"") + bz2.compress(payload), "bz2")
    yield box("bz2-junk", "bzip2, junk behind it", bz2.compress(payload) + noise(99), "bz2")
    yield box("bz2-small", "bzip2 in blocks of 100 kB, the payload in the third", bz2.compress(prose(250_000) + payload, 1), "bz2")
    sums = bytearray(bz2.compress(payload))
    sums[-3] ^= 0xFF
    yield box("bz2-sum", "bzip2, a wrong sum of the stream", bytes(sums), "bz2")
    cut = bz2.compress(payload + noise(1_000_000), 1)
    yield Box("bz2-cut", "bzip2, cut off in a later block", cut[: len(cut) // 2], "paper.com.bz2", ("bz2-cut",))
    yield box("xz-plain", "xz", lzma.compress(long), "xz")
    yield box("xz-split", "xz, two streams, the payload across both", lzma.compress(payload[:half]) + lzma.compress(payload[half:]), "xz")
    yield box(
        "xz-padding", "xz, two streams with padding between", lzma.compress(prose(99)) + bytes(64) + lzma.compress(long) + bytes(8), "xz"
    )
    lz2 = {"id": lzma.FILTER_LZMA2, "preset": 6}
    for name, first in (
        ("delta", {"id": lzma.FILTER_DELTA, "dist": 3}),
        ("x86", {"id": lzma.FILTER_X86}),
        ("arm", {"id": lzma.FILTER_ARM}),
        ("armthumb", {"id": lzma.FILTER_ARMTHUMB}),
        ("powerpc", {"id": lzma.FILTER_POWERPC}),
        ("ia64", {"id": lzma.FILTER_IA64}),
        ("sparc", {"id": lzma.FILTER_SPARC}),
    ):
        yield box(f"xz-{name}", f"xz through the filter {name}", lzma.compress(b"\xe8\x10\0\0\0" * 9 + payload, filters=[first, lz2]), "xz")
    yield box(
        "xz-delta-x86",
        "xz through two filters",
        lzma.compress(prose(64) + payload, filters=[{"id": lzma.FILTER_DELTA, "dist": 1}, {"id": lzma.FILTER_X86}, lz2]),
        "xz",
    )
    yield box("xz-sha256", "xz with SHA-256", lzma.compress(long, check=lzma.CHECK_SHA256), "xz")
    yield box("xz-no-sum", "xz without a sum", lzma.compress(long, check=lzma.CHECK_NONE), "xz")
    yield box("xz-blocks", "xz in blocks", run(["xz", "-zc", "--block-size=4096", "-T1"], prose(20_000) + payload), "xz")
    whole = lzma.compress(long)
    yield box("xz-no-index", "xz, cut off before its index", whole[: len(whole) - 24], "xz")
    yield box("xz-junk", "xz, junk behind it", whole + noise(101), "xz")
    alone = lzma.compress(payload, format=lzma.FORMAT_ALONE)
    yield box("lzma-plain", "LZMA alone, size unknown", alone, "lzma")
    raw = alone[:5] + struct.pack("<Q", len(payload)) + alone[13:]
    yield box("lzma-sized", "LZMA alone, size known", raw, "lzma")
    yield box("lzma-named-dat", "LZMA alone under another name", alone, "lzma", file="paper.dat")
    odd = lzma.compress(
        payload, format=lzma.FORMAT_ALONE, filters=[{"id": lzma.FILTER_LZMA1, "lc": 0, "lp": 2, "pb": 0, "dict_size": 1 << 20}]
    )
    yield box("lzma-properties", "LZMA alone with unusual properties", odd, "lzma")
    one = run(["lzip", "-c"], payload)
    yield box("lzip-plain", "lzip", one, "lzip", file="paper.lz")
    yield box(
        "lzip-split",
        "lzip, the payload across two members",
        run(["lzip", "-c"], payload[:half]) + run(["lzip", "-c"], payload[half:]),
        "lzip",
    )
    yield box("lzip-junk", "lzip, junk behind it", one + noise(33), "lzip")
    text = broken_up(payload)
    z = run(["zstd", "-qc19"], text)
    yield box("zstd-plain", "zstd", z, "zstd")
    yield box("zstd-second", "zstd, two frames", run(["zstd", "-qc"], prose(400)) + z, "zstd")
    at = text.rindex(payload) + half
    yield box(
        "zstd-split",
        "zstd, the payload across two frames",
        run(["zstd", "-qc19"], text[:at]) + run(["zstd", "-qc19"], payload[half:] * 3),
        "zstd",
        clear=True,
    )
    yield box("zstd-skip", "zstd behind a skippable frame", struct.pack("<II", 0x184D2A55, 40) + noise(40) + z, "zstd")
    yield box("zstd-no-sum", "zstd without sum and size", run(["zstd", "-qc", "--no-check", "--no-content-size"], text), "zstd")
    yield box("zstd-long", "zstd with a long window", run(["zstd", "-qc19", "--long=27"], prose(2_000_000) + text), "zstd")
    yield box("zstd-junk", "zstd, junk behind it", z + noise(50), "zstd")
    dictionary = made(
        ["sh", "-c", "zstd -q --train s/* -o d --maxdict=2048 && zstd -q -D d f -o f.zst && cat f.zst > out"],
        {f"s/{at}": prose(900, at) for at in range(60)} | {"f": text},
        "out",
    )
    yield Box("zstd-dictionary", "zstd with a dictionary that is not there", dictionary, "paper.com.zst", ("zstd",), "held")
    yield box(
        "compress-plain", "compress (.Z)", made(["compress", "-f", "paper.com"], {"paper.com": prose(900) + payload}, "paper.com.Z"), "Z"
    )
    yield box(
        "compress-12-bits",
        "compress (.Z) of 12 bits, its table filled",
        made(["compress", "-f", "-b12", "paper.com"], {"paper.com": noise(3000) + prose(60_000) + payload}, "paper.com.Z"),
        "Z",
    )
    yield box("zlib", "zlib", zlib.compress(payload, 9), "zlib")
    yield box("deflate", "raw deflate", deflated(payload), "deflate")
    yield box("lz4-plain", "lz4", run(["lz4", "-qc9"], text), "lz4")
    yield box("lz4-legacy", "lz4 in its old form", run(["lz4", "-qcl9"], text), "lz4")


def tarred(raw, name="eicar.com", kind=tarfile.USTAR_FORMAT, **fields):
    """A tar of one member."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        info = tarfile.TarInfo(name)
        info.size = len(raw)
        for field, value in fields.items():
            setattr(info, field, value)
        archive.addfile(info, io.BytesIO(raw))
    return out.getvalue()


def resummed(block):
    """A tar header with its sum put right."""
    block = block[:148] + b" " * 8 + block[156:]
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def tars(payload):
    """tar, plain (with a gzip in it) and compressed."""
    inner = gz(payload)

    def box(name, idea, data, file="papers.tar", steps=("tar", "gz"), **more):
        return Box(f"tar-{name}", idea, data, file, steps, **more)

    plain = tarred(payload)
    yield box("clear", "tar", plain, steps=("tar",), clear=True)
    yield box("ustar", "ustar with a gzip in it", tarred(inner))
    v7 = tarred(inner)
    v7 = resummed(v7[:257] + bytes(255)) + v7[512:]
    yield box("v7", "the oldest form", v7)
    yield box("pax", "pax, a long name beyond ASCII", tarred(inner, "\u00fc" * 150 + ".gz", tarfile.PAX_FORMAT))
    yield box("pax-size", "pax, the size only in the extended header", pax_size(inner))
    yield box("gnu-long", "a GNU long name", tarred(inner, "n" * 180 + ".gz", tarfile.GNU_FORMAT))
    yield box("gnu-sparse", "a GNU sparse file, its second half stored first", sparse(payload), steps=("tar",))
    yield box("bad-block-first", "a block that is no header first", noise(512) + tarred(inner), steps=("tar|tar-at", "gz"))
    broken = tarred(inner)
    yield box("sum-wrong", "a wrong sum", broken[:148] + b"000001\0 " + broken[156:], steps=("tar|tar-at", "gz"))
    yield box("sum-signed", "a sum of signed bytes", signed_sum(inner))
    yield box("no-end", "without the two empty blocks", tarred(inner)[:1024])
    yield box("cut", "cut off after the data", tarred(inner)[: 512 + len(inner)])
    yield box("twice", "two archives, the payload in the second", tarred(prose(99)) + tarred(inner))
    yield box("size-binary", "a size in base 256", binary_size(inner))
    yield box("type-nul", "type nought", retyped(inner, b"\0"))
    yield box("type-contiguous", "a contiguous file", retyped(inner, b"7"))
    yield box("type-unknown", "an unknown type", retyped(inner, b"Q"))
    yield box("type-folder", "a folder with data", retyped(inner, b"5"), steps=("tar|tar-at", "gz"))
    yield box("type-link", "a hard link with data", retyped(inner, b"1"), steps=("tar|tar-at", "gz"))
    yield box("absolute", "an absolute name", tarred(inner, "/etc/eicar.gz"))
    yield box("parent", "a name with ..", tarred(inner, "../../eicar.gz"))
    yield box("junk-after", "junk behind it", tarred(inner) + noise(700))
    for name, packed, step in (
        ("gz", gz(plain), "gz"),
        ("bz2", bz2.compress(plain), "bz2"),
        ("xz", lzma.compress(plain), "xz"),
        ("zst", run(["zstd", "-qc19"], tarred(broken_up(payload))), "zstd"),
        ("lz", run(["lzip", "-c"], plain), "lzip"),
        ("lzma", lzma.compress(plain, format=lzma.FORMAT_ALONE), "lzma"),
        ("z", made(["compress", "-f", "a"], {"a": plain}, "a.Z"), "Z"),
    ):
        yield box(f"in-{name}", f"a tar in {name}", packed, f"papers.tar.{name}", (step, "tar"))
    yield box("in-tar", "a tar in a tar, five deep", nested(inner, 5), steps=("tar",) * 5 + ("gz",))


def nested(data, depth):
    """Tars in tars."""
    for at in range(depth):
        data = tarred(data, f"inner{at}")
    return data


def retyped(raw, kind):
    """A tar of one member of another type."""
    data = tarred(raw)
    return resummed(data[:156] + kind + data[157:512]) + data[512:]


def signed_sum(raw):
    """A name beyond ASCII, and the sum as an old tar makes it."""
    data = tarred(raw)
    block = b"\xfc\xe4\xf6.gz" + data[6:148] + b" " * 8 + data[156:512]
    total = sum(byte - 256 if byte > 127 else byte for byte in block)
    return block[:148] + b"%06o\0 " % total + block[156:] + data[512:]


def binary_size(raw):
    """The size in base 256."""
    data = tarred(raw)
    return resummed(data[:124] + b"\x80" + len(raw).to_bytes(11, "big") + data[136:512]) + data[512:]


def pax_size(raw):
    """A header that says size nought, after an extended one with the size."""
    data = tarred(raw)
    record = b"%d size=%d\n" % (len(b"10 size=%d\n" % len(raw)) + 0, len(raw))
    extended = tarred(record, "pax")
    extended = resummed(extended[:156] + b"x" + extended[157:512]) + extended[512:1024]
    return extended + resummed(data[:124] + b"00000000000\0" + data[136:512]) + data[512:]


def sparse(payload):
    """A GNU sparse file whose second half is stored first."""
    text = prose(512 - 34) + payload + prose(512 - 34)
    data = tarred(text[512:] + text[:512], "eicar.com", tarfile.GNU_FORMAT)
    table = b"".join(b"%011o\0%011o\0" % entry for entry in ((512, 512), (0, 512)))
    block = data[:156] + b"S" + data[157:386] + table + bytes(96 - len(table)) + b"\0" + b"%011o\0" % len(text) + data[495:512]
    return resummed(block) + data[512:]
