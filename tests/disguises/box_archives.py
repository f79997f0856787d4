"""Archives other than zip and tar: 7z, cab, ar, deb, cpio, rpm, arj, lzh, rar, wim, xar, and self-extracting programs."""

import bz2
import gzip
import lzma
import struct
import zlib

from box_streams import tarred
from boxes import Box, broken_up, made, noise, prose, run
from zips import Member, deflated, zipped

PROGRAM = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0L\x01" + bytes(400)
"""The beginning of a Windows program, with nothing in it."""


def boxes(payload):
    """All of them."""
    yield from sevens(payload)
    yield from cabs(payload)
    yield from unix(payload)
    yield from others(payload)


def sevens(payload):
    """7z with each of its methods."""
    text = broken_up(payload)

    def box(name, idea, data, file="papers.7z", steps=("7z",), **more):
        return Box(f"7z-{name}", idea, data, file, steps, **more)

    def packed(*options, files=None):
        files = files or {"eicar.com": text}
        return made(["7z", "a", "-t7z", *options, "box.7z", *files], files, "box.7z")

    for method in ("LZMA", "LZMA2", "PPMd", "BZip2", "Deflate", "Deflate64"):
        yield box(method.lower(), method, packed(f"-m0={method}"))
    yield box("copy", "stored", packed("-m0=Copy"), clear=True)
    for filtered in ("BCJ", "Delta:4", "ARM", "ARM64", "ARMT", "PPC", "SPARC", "IA64", "Swap2", "Swap4"):
        short = filtered.lower().replace(":", "-")
        yield box(f"filter-{short}", f"LZMA2 behind the filter {filtered}", packed(f"-m0={filtered}", "-m1=LZMA2"))
    yield box("filter-copy", "the filter Delta and nothing else", packed("-m0=Delta:4", "-m1=Copy"))
    yield box("filter-swap-copy", "bytes swapped in pairs and nothing else", packed("-m0=Swap2", "-m1=Copy"))
    yield box(
        "bcj2",
        "BCJ2 with four streams",
        packed("-m0=BCJ2", "-m1=LZMA:d16m", "-m2=LZMA:d64k", "-m3=LZMA:d64k", "-mb0:1", "-mb0s1:2", "-mb0s2:3"),
    )
    yield box("solid", "the fifth file of a solid block", packed(files={f"n{at}.txt": prose(200, at) for at in range(4)} | {"z.com": text}))
    yield box("not-solid", "files in blocks of their own", packed("-ms=off", files={"a.txt": prose(200), "eicar.com": text}))
    yield box("plain-header", "its header not compressed", packed("-mhc=off"))
    yield box("program", "behind a program", PROGRAM + packed(), "setup.exe")
    yield box(
        "sfx",
        "behind a program with a configuration",
        PROGRAM + b';!@Install@!UTF-8!\nRunProgram="eicar.com"\n;!@InstallEnd@!' + packed(),
        "setup.exe",
    )
    yield box("junk-after", "junk behind it", packed() + noise(99))
    yield box("as-jpg", "named as a picture", packed(), "photo.jpg", declared="image/jpeg")
    plain = packed()
    yield box("start-sum", "the sum of its first header wrong", plain[:8] + b"\1\2\3\4" + plain[12:], want="held")
    yield box("in-zip", "in a zip", zipped(Member("a.7z", plain, 0)), "papers.zip", ("zip", "7z"))
    yield box("nested", "a 7z in a 7z in a 7z", packed(files={"b.7z": packed(files={"a.7z": plain})}), steps=("7z",) * 3)
    yield box("empty-files", "after a thousand empty files", packed(files={f"e{at}": b"" for at in range(1000)} | {"z.com": text}))


def cabs(payload):
    """Cabinets."""
    text = broken_up(payload)

    def box(name, idea, data, file="papers.cab", steps=("cab",), **more):
        return Box(f"cab-{name}", idea, data, file, steps, **more)

    yield box("gcab", "MSZIP by gcab", made(["gcab", "-c", "-z", "box.cab", "eicar.com"], {"eicar.com": text}, "box.cab"))
    yield box("stored", "stored", made(["gcab", "-c", "box.cab", "eicar.com"], {"eicar.com": payload}, "box.cab"), clear=True)
    mszip = cabinet([("eicar.com", payload)], 1, [b"CK" + deflated(payload)], [len(payload)])
    yield box("mszip", "MSZIP", mszip)
    half = len(payload) // 2
    first, second = mszip_pair(payload[:half], payload[half:])
    yield box(
        "mszip-split",
        "MSZIP, the payload across two blocks",
        cabinet([("eicar.com", payload)], 1, [first, second], [half, len(payload) - half]),
    )
    yield box(
        "stored-split",
        "stored, the payload across two blocks",
        cabinet([("eicar.com", payload)], 0, [payload[:half], payload[half:]], [half, len(payload) - half]),
    )
    yield box("lzx", "LZX", cabinet([("eicar.com", payload)], 0x0F03, [lzx(payload)], [len(payload)]))
    yield box(
        "second-file",
        "the second file of a folder",
        cabinet([("note.txt", prose(99)), ("eicar.com", payload)], 1, [b"CK" + deflated(prose(99) + payload)], [99 + len(payload)]),
    )
    yield box(
        "reserve",
        "with reserved areas",
        cabinet([("eicar.com", payload)], 1, [b"CK" + deflated(payload)], [len(payload)], reserve=(20, 4, 8)),
    )
    yield box(
        "no-sums",
        "without sums of its blocks",
        cabinet([("eicar.com", payload)], 1, [b"CK" + deflated(payload)], [len(payload)], sums=False),
    )
    yield box(
        "sums-wrong",
        "wrong sums of its blocks",
        cabinet([("eicar.com", payload)], 1, [b"CK" + deflated(payload)], [len(payload)], sums=None),
        want="held",
    )
    yield box("program", "behind a program", PROGRAM + mszip, "setup.exe", ("cab",))
    yield box("junk-after", "junk behind it", mszip + noise(70))
    yield box("size-wrong", "a wrong size in its header", mszip[:8] + struct.pack("<I", 60) + mszip[12:], want="held")


def cabinet(files, method, blocks, sizes, reserve=None, sums=True):
    """A cabinet of one folder ([MS-CAB])."""
    extra = b"" if reserve is None else struct.pack("<HBB", *reserve) + noise(reserve[0])
    folder_extra = noise(reserve[1]) if reserve else b""
    block_extra = noise(reserve[2]) if reserve else b""
    entries, at = b"", 0
    for name, raw in files:
        entries += struct.pack("<IIHHHH", len(raw), at, 0, 0x5C62, 0x4A00, 0x20) + name.encode() + b"\0"
        at += len(raw)
    start = 36 + len(extra) + 8 + len(folder_extra)
    data = b""
    for block, size in zip(blocks, sizes):
        pair = struct.pack("<HH", len(block), size)
        total = cab_sum(block_extra + block, 0)
        total = cab_sum(pair, total)
        data += struct.pack("<I", {True: total, False: 0, None: 0x12345678}[sums]) + pair + block_extra + block
    offset = start + len(entries)
    size = offset + len(data)
    head = struct.pack("<4sIIIIIBBHHHHH", b"MSCF", 0, size, 0, start, 0, 3, 1, 1, len(files), 4 if reserve else 0, 7731, 0)
    return head + extra + struct.pack("<IHH", offset, len(blocks), method) + folder_extra + entries + data


def cab_sum(data, total):
    """The sum of a cabinet's block."""
    whole = len(data) // 4 * 4
    for (word,) in struct.iter_unpack("<I", data[:whole]):
        total ^= word
    rest = 0
    for byte in data[whole:]:
        rest = rest << 8 | byte
    return total ^ rest


def mszip_pair(first, second):
    """Two MSZIP blocks, the second with the first as its past."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=first)
    return b"CK" + deflated(first), b"CK" + packer.compress(second) + packer.flush()


def lzx(raw):
    """One verbatim LZX block of literals of eight bits each; words of 16 bits, highest bit first."""
    out = []

    def put(value, width):
        out.extend((value >> at) & 1 for at in reversed(range(width)))

    def tree(count, length, symbols):
        for symbol in range(20):
            put(1 if symbol in symbols else 0, 4)
        code = {symbol: at for at, symbol in enumerate(sorted(symbols))}
        for _ in range(count):
            put(code[length], 1)

    put(0, 1)
    put(1, 3)
    put(len(raw), 24)
    tree(256, 9, (9, 17))  # (0 - 8) mod 17: lengths of 8
    tree(30 * 8, 0, (0, 17))
    tree(249, 0, (0, 17))
    for byte in raw:
        put(byte, 8)
    out += [0] * (-len(out) % 16)
    words = [int("".join(map(str, out[at : at + 16])), 2) for at in range(0, len(out), 16)]
    return struct.pack(f"<{len(words)}H", *words)


def ar(*members):
    """An ar archive."""
    out = b"!<arch>\n"
    for name, data in members:
        out += b"%-16s%-12d%-6d%-6d%-8o%-10d`\n" % (name.encode(), 0, 0, 0, 0o100644, len(data)) + data + b"\n" * (len(data) % 2)
    return out


def cpio_odc(name, data):
    """A cpio archive in the portable form of octal digits."""

    def entry(name, data):
        return (
            b"070707"
            + b"%06o%06o%06o%06o%06o%06o%06o%011o%06o%011o" % (0, 1, 0o100644, 0, 0, 1, 0, 0, len(name) + 1, len(data))
            + name
            + b"\0"
            + data
        )

    return entry(name.encode(), data) + entry(b"TRAILER!!!", b"")


def rpm(payload_data, compressor):
    """An RPM package: lead, an empty signature, a header with the tags that say how the payload is packed."""
    lead = struct.pack(">4sBBHH66sHH16s", b"\xed\xab\xee\xdb", 3, 0, 0, 1, b"paper-1-1", 1, 5, bytes(16))

    def header(tags):
        index, store = b"", b""
        for tag, value in tags:
            index += struct.pack(">IIII", tag, 6, len(store), 1)
            store += value + b"\0"
        return b"\x8e\xad\xe8\x01" + bytes(4) + struct.pack(">II", len(tags), len(store)) + index + store

    signature = header([])
    main = header([(1000, b"paper"), (1001, b"1"), (1002, b"1"), (1124, b"cpio"), (1125, compressor), (1126, b"9")])
    return lead + signature + bytes(-len(signature) % 8) + main + payload_data


def unix(payload):
    """ar, deb, cpio, rpm."""
    inner = gzip.compress(payload, mtime=0)
    yield Box("ar-gzip", "ar with a gzip in it", ar(("note.txt", prose(33)), ("eicar.gz", inner)), "papers.a", ("ar", "gz"))
    names = ar(("//", b"a-very-long-name-of-a-member.gz/\n"), ("/0", inner))
    yield Box("ar-long-name", "ar with a table of long names", names, "papers.a", ("ar", "gz"))
    bsd = ar(("#1/20", b"eicar.gz".ljust(20, b"\0") + inner))
    yield Box("ar-bsd", "ar with a name of BSD's form", bsd, "papers.a", ("ar", "gz"))
    control = gzip.compress(tarred(b"Package: paper\nVersion: 1\nArchitecture: all\n", "./control"), mtime=0)
    plain = tarred(payload, "./usr/eicar.com")
    zstd = run(["zstd", "-qc19"], tarred(broken_up(payload), "./usr/eicar.com"))
    for kind, data, step in (
        ("gz", gzip.compress(plain, mtime=0), "gz"),
        ("xz", lzma.compress(plain), "xz"),
        ("zst", zstd, "zstd"),
        ("bz2", bz2.compress(plain), "bz2"),
    ):
        package = ar(("debian-binary", b"2.0\n"), ("control.tar.gz", control), (f"data.tar.{kind}", data))
        yield Box(f"deb-{kind}", f"a Debian package with its data in {kind}", package, "paper.deb", ("ar", step, "tar"))
    script = gzip.compress(tarred(b"#!/bin/sh\necho '" + payload + b"'\n", "./postinst"), mtime=0)
    package = ar(("debian-binary", b"2.0\n"), ("control.tar.gz", script), ("data.tar.xz", lzma.compress(tarred(prose(50)))))
    yield Box("deb-script", "a Debian package, in the script that runs after installing", package, "paper.deb", ("ar", "gz", "tar"))
    for form in ("newc", "crc", "odc", "bin", "hpbin", "hpodc", "ustar", "tar"):
        data = run(
            [
                "sh",
                "-c",
                f"d=$(mktemp -d) && cat > $d/eicar.gz && touch -d 2026-03-02 $d/eicar.gz && cd $d && echo eicar.gz | cpio -o --quiet -H {form} && rm -r $d",
            ],
            inner,
        )
        if form not in ("ustar", "tar"):
            yield Box(f"cpio-{form}", f"cpio in the form {form}", data, "papers.cpio", ("cpio", "gz"))
    swapped = run(["sh", "-c", "d=$(mktemp -d) && cat > $d/e.gz && cd $d && echo e.gz | cpio -o --quiet -H bin && rm -r $d"], inner)
    head = 26 + 6
    big = b"".join(bytes((swapped[at + 1], swapped[at])) for at in range(0, 26, 2))
    rest = swapped[head + len(inner) + len(inner) % 2 :]
    big_end = b"".join(bytes((rest[at + 1], rest[at])) for at in range(0, 26, 2)) + rest[26:]
    yield Box(
        "cpio-bin-big",
        "cpio in the binary form of the other byte order",
        big + swapped[26 : head + len(inner) + len(inner) % 2] + big_end,
        "papers.cpio",
        ("cpio", "gz"),
    )
    yield Box("cpio-gz", "cpio in gzip", gzip.compress(cpio_odc("eicar.com", payload), mtime=0), "papers.cpio.gz", ("gz", "cpio"))
    odc = cpio_odc("./eicar.com", payload)
    for name, data, step in (
        ("gzip", gzip.compress(odc, mtime=0), "gz"),
        ("xz", lzma.compress(prose(0) + odc), "xz"),
        ("bzip2", bz2.compress(odc), "bz2"),
        ("lzma", lzma.compress(odc, format=lzma.FORMAT_ALONE), "lzma"),
    ):
        yield Box(f"rpm-{name}", f"an RPM package, its payload by {name}", rpm(data, name.encode()), "paper.rpm", ("rpm",))


def others(payload):
    """arj, lzh, rar, wim, xar, lzop, SZDD."""
    text = broken_up(payload)
    one = {"eicar.com": text}
    yield Box("arj", "arj", made(["arj", "a", "-y", "box.arj", "eicar.com"], one, "box.arj"), "papers.arj", ("arj",))
    yield Box(
        "arj-fastest",
        "arj by its fastest method",
        made(["arj", "a", "-y", "-m4", "box.arj", "eicar.com"], one, "box.arj"),
        "papers.arj",
        ("arj",),
    )
    yield Box(
        "arj-gzip",
        "arj, stored, a gzip in it",
        made(["arj", "a", "-y", "-m0", "box.arj", "e.gz"], {"e.gz": gzip.compress(payload, mtime=0)}, "box.arj"),
        "papers.arj",
        ("arj", "gz"),
    )
    locked = made(["arj", "a", "-y", "-gwinter26", "box.arj", "eicar.com"], one, "box.arj")
    yield Box("arj-locked", "arj, garbled with a password", locked, "papers.arj", ("arj:winter26",), "held")
    yield Box(
        "arj-password",
        "arj, garbled with a password that the text says",
        locked,
        "papers.arj",
        ("arj:winter26",),
        "held",
        text="Password: winter26\r\n",
    )
    yield Box(
        "arj-program",
        "arj behind a program",
        PROGRAM + made(["arj", "a", "-y", "box.arj", "eicar.com"], one, "box.arj"),
        "setup.exe",
        ("arj",),
    )
    for method in ("lh5", "lh6", "lh7"):
        yield Box(f"lzh-{method}", f"lzh by the method {method}", lzh(payload, method), "papers.lzh", ("lzh",))
    yield Box("lzh-level-1", "lzh with a header of level 1", lzh(payload, "lh5", 1), "papers.lzh", ("lzh",))
    yield Box("lzh-level-2", "lzh with a header of level 2", lzh(payload, "lh5", 2), "papers.lzh", ("lzh",))
    yield Box("lzh-stored", "lzh, stored, a gzip in it", lzh(gzip.compress(payload, mtime=0), "lh0"), "papers.lzh", ("lzh", "gz"))
    yield Box("rar5", "rar (version 5)", rar5(payload), "papers.rar", ("rar",))
    yield Box(
        "rar5-gzip", "rar (version 5), stored, a gzip in it", rar5(gzip.compress(payload, mtime=0), True), "papers.rar", ("rar", "gz")
    )
    yield Box(
        "rar5-program",
        "rar (version 5) behind a program",
        PROGRAM + rar5(gzip.compress(payload, mtime=0), True),
        "setup.exe",
        ("rar", "gz"),
    )
    yield Box("rar4-gzip", "rar (version 4), stored, a gzip in it", rar4(gzip.compress(payload, mtime=0)), "papers.rar", ("rar", "gz"))
    yield Box("rar4-as-zip", "rar (version 4) named zip", rar4(gzip.compress(payload, mtime=0)), "papers.zip", ("rar", "gz"))
    yield Box("rar4-stored", "rar (version 4), stored", rar4(payload), "papers.rar", ("rar",), clear=True)
    yield Box("xar", "xar (a package of macOS), zlib", xar(payload), "paper.pkg", ("7z",))
    yield Box("xar-bzip2", "xar (a package of macOS), bzip2", xar(payload, "application/x-bzip2", bz2.compress), "paper.pkg", ("7z",))
    yield Box("szdd", "SZDD (compress.exe)", szdd(payload), "paper.co_", ("7z",))
    yield Box(
        "wim",
        "wim, a gzip in it",
        made(["7z", "a", "-twim", "box.wim", "e.gz"], {"e.gz": gzip.compress(payload, mtime=0)}, "box.wim"),
        "papers.wim",
        ("7z", "gz"),
    )


def lzh(raw, method, level=0):
    """lzh with literals only: one block, its code of literals eight bits each."""
    if method == "lh0":
        data = raw
    else:
        width = 4 if method == "lh5" else 5
        put = [(len(raw), 16), (0, 5), (10, 5), (256, 9), (0, width), (0, width)] + [(byte, 8) for byte in raw]
        value = "".join(format(number, f"0{size}b") for number, size in put)
        value += "0" * (-len(value) % 8)
        data = bytes(int(value[at : at + 8], 2) for at in range(0, len(value), 8))
    crc, name, kind = crc16(raw), b"eicar.com", b"-" + method.encode() + b"-"
    if level == 2:
        extra = struct.pack("<HB", 3 + len(name), 1) + name + struct.pack("<H", 0)
        head = kind + struct.pack("<IIIBBHB", len(data), len(raw), 0x69A0_0000, 0x20, 2, crc, 0x55) + extra
        return struct.pack("<H", len(head) + 2) + head + data + b"\0"
    head = kind + struct.pack("<IIIBBB", len(data), len(raw), 0x5C62_4A00, 0x20, level, len(name)) + name + struct.pack("<H", crc)
    if level == 1:
        head += b"U" + struct.pack("<H", 0)
    return bytes([len(head), sum(head) & 0xFF]) + head + data + b"\0"


def crc16(data):
    """The CRC of lzh."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value


def vint(value):
    """A number as RAR 5 writes it."""
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def rar5(raw, stored=False):
    """RAR 5: one file; not stored, its code of literals is eight bits each."""

    def block(body, data=b""):
        head = vint(len(body)) + body
        return struct.pack("<I", zlib.crc32(head)) + head + data

    data = raw
    if not stored:
        # Lengths of the code that tells lengths: 1 for "8" and 1 for "0", then 256 eights and 174 noughts (306 + 64 + 16 + 44 in all).
        value = "".join("0001" if symbol in (0, 8) else "0000" for symbol in range(20)) + "1" * 256 + "0" * (306 + 64 + 16 + 44 - 256)
        value += "".join(format(byte, "08b") for byte in raw)
        last = len(value) % 8 or 8
        value += "0" * (-len(value) % 8)
        packed = bytes(int(value[at : at + 8], 2) for at in range(0, len(value), 8))
        flags = 0xC0 | (1 << 3) | (last - 1)
        size = struct.pack("<H", len(packed))
        data = bytes([flags, 0x5A ^ flags ^ size[0] ^ size[1]]) + size + packed
    name = b"eicar.com"
    method = 0 if stored else 3 << 7
    body = (
        vint(2)
        + vint(2)
        + vint(len(data))
        + vint(4)
        + vint(len(raw))
        + vint(0x20)
        + struct.pack("<I", zlib.crc32(raw))
        + vint(method)
        + vint(0)
        + vint(len(name))
        + name
    )
    return b"Rar!\x1a\x07\x01\x00" + block(vint(1) + vint(0) + vint(0)) + block(body, data) + block(vint(5) + vint(0) + vint(0))


def rar4(raw):
    """RAR 4: one stored file."""

    def block(kind, flags, body=b"", data=b""):
        head = struct.pack("<BHH", kind, flags, 7 + len(body)) + body
        return struct.pack("<H", zlib.crc32(head) & 0xFFFF) + head + data

    name = b"eicar.gz"
    body = struct.pack("<IIBIIBBHI", len(raw), len(raw), 2, zlib.crc32(raw), 0x5C62_4A00, 20, 0x30, len(name), 0x20) + name
    return b"Rar!\x1a\x07\x00" + block(0x73, 0, bytes(6)) + block(0x74, 0x8000, body, raw) + block(0x7B, 0x4000)


def xar(raw, style="application/x-gzip", pack=zlib.compress):
    """xar: a table of contents in XML, and a heap."""
    data = pack(raw)
    table = (
        f'<?xml version="1.0" encoding="UTF-8"?><xar><toc><checksum style="none"/><file id="1"><name>eicar.com</name><type>file</type><data><length>{len(data)}</length>'
        f'<offset>0</offset><size>{len(raw)}</size><encoding style="{style}"/></data></file></toc></xar>'
    ).encode()
    packed = zlib.compress(table)
    return struct.pack(">4sHHQQI", b"xar!", 28, 1, len(packed), len(table), 0) + packed + data


def szdd(raw):
    """SZDD: literals in groups of eight, each group behind a byte of flags."""
    out = b"SZDD\x88\xf0\x27\x33A\0" + struct.pack("<I", len(raw))
    for at in range(0, len(raw), 8):
        out += b"\xff" + raw[at : at + 8]
    return out
