"""Compound files: streams across sectors, packages, macros, Word and Excel, Outlook messages, installers; and TNEF."""

import gzip
import struct
import zlib

from box_archives import cabinet
from boxes import Box, broken_up, noise, prose
from cfb import PACKAGE, compound, macros, package, vba
from zips import Member, deflated, zipped

WORD = bytes.fromhex("0609020000000000c000000000000046")
EXCEL = bytes.fromhex("2008020000000000c000000000000046")
INSTALLER = bytes.fromhex("84100c0000000000c000000000000046")


def word(extra, text=b"Nothing here."):
    """The streams of a Word document that says little."""
    fib = struct.pack("<HHHHHH", 0xA5EC, 0xC1, 0, 1033, 0, 0) + bytes(500)
    return {"WordDocument": fib + prose(4096) + text, "1Table": bytes(4096)} | extra


def boxes(payload):
    """All of them."""
    inner = zipped(Member("eicar.com", payload))
    yield from layouts(payload)
    yield from office(payload, inner)
    yield from messages(payload, inner)
    yield from tnefs(payload, inner)


def layouts(payload):
    """How the bytes of a stream lie in the file."""

    def box(name, idea, data, **more):
        return Box(f"ole-{name}", idea, data, "paper.doc", ("ole",), **({"declared": "application/msword"} | more))

    across = prose(64 * 3 - 30) + payload + prose(60)
    yield box("mini", "across two mini-sectors that do not follow", compound(word({"Data": across}), scatter=True, root_id=WORD))
    long = prose(512 * 9 - 30) + payload + prose(700)
    yield box("sectors", "across two sectors that do not follow", compound(word({"Data": long}), scatter=True, root_id=WORD))
    far = prose(4096 * 3 - 30) + payload + prose(700)
    yield box("version-4", "sectors of 4096 bytes that do not follow", compound(word({"Data": far}), version=4, scatter=True, root_id=WORD))
    yield box("deep", "in the tenth storage", compound(deep(across, 10), scatter=True, root_id=WORD))
    yield box("plain", "in a stream, in the clear", compound(word({"Data": payload}), root_id=WORD), clear=True)
    whole = compound(word({"Data": across}), scatter=True, root_id=WORD)
    yield box("junk-after", "junk behind it", whole + noise(700))
    yield box("cut", "its last sector cut short", whole[:-100], want="held")
    odd = bytearray(whole)
    odd[8:24] = noise(16)
    yield box("class-id", "a class id in its header", bytes(odd))
    odd = bytearray(whole)
    odd[24:28] = struct.pack("<HH", 0x21, 3)
    yield box("minor-version", "an unusual minor version", bytes(odd))


def deep(data, depth):
    """Storages in storages."""
    tree = {"Data": data}
    for at in range(depth):
        tree = {f"S{at}": tree, "Contents": prose(40)}
    return word(tree)


def office(payload, inner):
    """Packages and macros in Word and Excel, and an installer."""
    steps = ("ole", "package", "zip")
    native = package(b"paper.zip", inner)
    pool = {"ObjectPool": {"_1234567890": {"\1Ole10Native": native, "\1CompObj": bytes(64), "\3ObjInfo": bytes(6)}}}
    yield Box(
        "doc-package",
        "a Word document with a zip as a package",
        compound(word(pool), root_id=WORD, ids={"_1234567890": PACKAGE}),
        "paper.doc",
        steps,
    )
    workbook = {
        "Workbook": struct.pack("<HHHHHHI", 0x809, 8, 0x600, 5, 0, 0, 0) + prose(4200) + struct.pack("<HH", 10, 0),
        "MBD0000ABCD": {"\1Ole10Native": native},
    }
    yield Box(
        "xls-package",
        "an Excel workbook with a zip as a package",
        compound(workbook, root_id=EXCEL, ids={"MBD0000ABCD": PACKAGE}),
        "paper.xls",
        steps,
    )
    slides = {"PowerPoint Document": powerpoint(compound({"\1Ole10Native": native}, root_id=PACKAGE)), "Current User": bytes(40)}
    yield Box(
        "ppt-object", "slides with a compressed object in a record", compound(slides), "paper.ppt", ("ole", "ppt", "ole", "package", "zip")
    )
    yield Box(
        "doc-object-native",
        "a package in scattered mini-sectors",
        compound(word({"ObjectPool": {"_1": {"\1Ole10Native": package(b"e.com", prose(50) + payload)}}}), scatter=True),
        "paper.doc",
        ("ole",),
    )
    source = (
        b'Attribute VB_Name = "NewMacros"\r\nSub AutoOpen()\r\nDim a\r\na = "'
        + payload[:34]
        + b'"\r\na = "'
        + payload[34:]
        + b'"\r\na = "'
        + payload
        + b'"\r\nEnd Sub\r\n'
    )
    yield Box(
        "doc-macro", "in the source of a macro", compound(word({"Macros": macros(source)}), root_id=WORD), "paper.doc", ("ole", "vba")
    )
    yield Box(
        "xls-macro",
        "in the source of a macro of a workbook",
        compound({"Workbook": workbook["Workbook"], "_VBA_PROJECT_CUR": macros(source)}, root_id=EXCEL),
        "paper.xls",
        ("ole", "vba"),
    )
    hidden = word({"Macros": {"VBA": {"Thing": noise(100) + vba(source)}}})
    yield Box(
        "doc-macro-loose",
        "a macro's source that no directory names, behind its compiled form",
        compound(hidden, root_id=WORD),
        "paper.doc",
        ("ole", "vba"),
    )
    cab = cabinet([("eicar.com", payload)], 1, [b"CK" + deflated(payload)], [len(payload)])
    yield Box(
        "msi",
        "an installer with a cabinet in it",
        compound({"\u4840\u3b3f\u43f2\u4438\u45b1": prose(400), "\u3b6a\u45e4\u4824": cab}, root_id=INSTALLER),
        "setup.msi",
        ("ole", "cab"),
    )
    yield Box("doc-as-docx", "a Word document named docx", compound(word(pool), root_id=WORD), "paper.docx", steps)
    yield Box(
        "doc-in-doc",
        "a compound file in a stream of a compound file",
        compound(word({"Data": compound(word(pool), root_id=WORD)}), root_id=WORD),
        "paper.doc",
        ("ole",) + steps,
    )
    yield Box(
        "thumbs", "Thumbs.db with a zip in a stream", compound({"Catalog": bytes(40), "1": bytes(12) + inner}), "Thumbs.db", ("ole", "zip")
    )
    yield Box(
        "doc-gzip-stream",
        "a stream that is a gzip",
        compound(word({"Contents": gzip.compress(payload, mtime=0)}), root_id=WORD),
        "paper.doc",
        ("ole", "gz"),
    )


def powerpoint(raw):
    """A record of an external object, compressed ([MS-PPT] 2.10.35)."""
    packed = struct.pack("<I", len(raw)) + zlib.compress(raw)
    return struct.pack("<HHI", 0x0F, 1000, 0) + struct.pack("<HHI", 0x10, 0x1011, len(packed)) + packed


def msg(attachments, properties=None):
    """An Outlook message ([MS-OXMSG]) with these attachments: a name and bytes, or a dict of a message in it."""
    tree = {
        "__properties_version1.0": bytes(32),
        "__substg1.0_001A001F": "IPM.Note".encode("utf-16-le"),
        "__substg1.0_0037001F": "Papers".encode("utf-16-le"),
        "__nameid_version1.0": {},
    }
    tree |= properties or {}
    for at, (name, data) in enumerate(attachments):
        storage = {"__properties_version1.0": bytes(8), "__substg1.0_3707001F": name.encode("utf-16-le")}
        storage["__substg1.0_3701000D" if isinstance(data, dict) else "__substg1.0_37010102"] = data
        tree[f"__attach_version1.0_#{at:08X}"] = storage
    return tree


def messages(payload, inner):
    """Outlook messages."""
    kind = {"declared": "application/vnd.ms-outlook"}
    yield Box("msg", "an Outlook message with a zip", compound(msg([("paper.zip", inner)])), "note.msg", ("ole", "zip"), **kind)
    yield Box(
        "msg-scattered",
        "an Outlook message, the payload across mini-sectors",
        compound(msg([("e.com", prose(40) + payload)]), scatter=True),
        "note.msg",
        ("ole",),
        **kind,
    )
    nested = msg([("inner.msg", msg([("paper.zip", inner)]))])
    yield Box("msg-in-msg", "an Outlook message in another", compound(nested), "note.msg", ("ole", "zip"), **kind)
    yield Box(
        "msg-as-file",
        "an Outlook message as a file in another",
        compound(msg([("inner.msg", compound(msg([("paper.zip", inner)])))])),
        "note.msg",
        ("ole", "ole", "zip"),
        **kind,
    )
    rtf = rtf_compressed(payload)
    yield Box(
        "msg-body",
        "in the compressed body of an Outlook message",
        compound(msg([], {"__substg1.0_10090102": rtf})),
        "note.msg",
        ("ole", "rtf-body"),
        **kind,
    )
    yield Box("msg-template", "an Outlook template", compound(msg([("paper.zip", inner)])), "note.oft", ("ole", "zip"))


INITIAL = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans SerifSymbolArialTimes New RomanCourier"
    + rb"{\colortbl\red0\green0\blue0"
    + b"\r\n"
    + rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)


def rtf_compressed(payload):
    """A compressed RTF body ([MS-OXRTFCP]): copies from the dictionary, so that the payload never stands there whole."""
    raw = (
        rb"{\rtf1\ansi "
        + broken_up(payload).replace(b"\\", b"\\\\").replace(b"}", b"\\}").replace(b"{", b"\\{")
        + rb"{\*\x "
        + broken_up(payload)
        + rb"}}"
    )
    window = bytearray(INITIAL.ljust(4096, b" ")[:4096])
    write, at, out, tokens = len(INITIAL), 0, b"", []
    while at < len(raw):
        best, where = 0, 0
        if at >= 1:
            for length in range(17, 1, -1):
                piece = raw[at : at + length]
                place = bytes(window[:write]).rfind(piece) if write < 4096 else -1
                if len(piece) == length and 0 <= place and place + length <= write:
                    best, where = length, place
                    break
        if best >= 2:
            tokens.append((1, struct.pack(">H", where << 4 | best - 2)))
            piece = raw[at : at + best]
        else:
            piece = raw[at : at + 1]
            tokens.append((0, piece))
        for byte in piece:
            window[write % 4096] = byte
            write += 1
        at += len(piece)
    tokens.append((1, struct.pack(">H", (write % 4096) << 4)))
    for start in range(0, len(tokens), 8):
        group = tokens[start : start + 8]
        out += bytes([sum(flag << bit for bit, (flag, _) in enumerate(group))]) + b"".join(body for _, body in group)
    table = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (0xEDB88320 if number & 1 else 0)
        table.append(number)
    crc = 0
    for byte in out:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return struct.pack("<II4sI", len(out) + 12, len(raw), b"LZFu", crc) + out


def attribute(level, kind, data):
    """One attribute of TNEF."""
    return struct.pack("<BII", level, kind, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


def property_of(tag, data):
    """One MAPI property with a value of variable size."""
    return struct.pack("<III", tag, 1, len(data)) + data + bytes(-len(data) % 4)


def tnef(*attributes):
    """A TNEF file ([MS-OXTNEF])."""
    head = (
        struct.pack("<IH", 0x223E9F78, 1)
        + attribute(1, 0x89006, struct.pack("<I", 0x10000))
        + attribute(1, 0x69007, struct.pack("<II", 1252, 0))
    )
    return head + attribute(1, 0x78008, b"IPM.Microsoft Mail.Note\0") + b"".join(attributes)


def tnefs(payload, inner):
    """TNEF."""

    def box(name, idea, data, steps=("tnef", "zip"), file="winmail.dat", **more):
        return Box(f"tnef-{name}", idea, data, file, steps, **({"declared": "application/ms-tnef"} | more))

    rend = attribute(2, 0x69002, struct.pack("<HIHHI", 1, 0xFFFFFFFF, 0, 0, 0))
    title = attribute(2, 0x18010, b"paper.zip\0")
    data = attribute(2, 0x6800F, inner)
    yield box("zip", "an attachment", tnef(rend, title, data))
    yield box(
        "clear",
        "an attachment, in the clear",
        tnef(rend, attribute(2, 0x18010, b"eicar.com\0"), attribute(2, 0x6800F, payload)),
        ("tnef",),
        clear=True,
    )
    yield box("sum-wrong", "a wrong sum", tnef(rend, title, data[:-2] + b"\x12\x34"), ("tnef|tnef-raw", "zip"))
    yield box(
        "second",
        "the second attachment",
        tnef(rend, attribute(2, 0x18010, b"note.txt\0"), attribute(2, 0x6800F, prose(60)), rend, title, data),
    )
    mapi = struct.pack("<I", 1) + property_of(0x37010102, inner)
    yield box("mapi", "in a MAPI property of an attachment", tnef(rend, title, attribute(2, 0x69005, mapi)), ("tnef|tnef-raw", "zip"))
    embedded = bytes.fromhex("0703020000000000c000000000000046") + tnef(rend, title, data)
    mapi = struct.pack("<I", 1) + property_of(0x3701000D, embedded)
    yield box(
        "embedded",
        "in a message in it",
        tnef(rend, attribute(2, 0x18010, b"Note\0"), attribute(2, 0x69005, mapi)),
        ("tnef|tnef-raw", "tnef|tnef-raw", "zip"),
    )
    body = struct.pack("<I", 1) + property_of(0x10090102, rtf_compressed(payload))
    yield box("body", "in its compressed body", tnef(attribute(1, 0x69003, body)), ("tnef|tnef-raw|rtf-body", "tnef-body"))
    yield box(
        "as-octets",
        "declared as nothing in particular, named as a picture",
        tnef(rend, title, data),
        file="photo.jpg",
        declared="application/octet-stream",
    )
    yield box("junk-before", "an unknown attribute first", tnef(attribute(1, 0x1ABCD, noise(40)), rend, title, data))
