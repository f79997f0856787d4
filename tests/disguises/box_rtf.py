"""RTF: objects in hex, with everything that may stand between the digits."""

import gzip
import struct

from boxes import Box, prose
from cfb import PACKAGE, compound, package
from zips import Member, zipped


def object_data(data, name=b"Package"):
    """The bytes of \\objdata: an OLE 1.0 object ([MS-OLEDS] 2.2.5)."""
    return struct.pack("<III", 0x501, 2, len(name) + 1) + name + b"\0" + struct.pack("<III", 0, 0, len(data)) + data


def rtf_object(data, hexed=None, before=rb"{\*\objdata ", after=b"}", start=rb"{\rtf1\ansi Nothing here.\par "):
    """RTF with an object."""
    hexed = hexed or object_data(data).hex().encode()
    return start + rb"{\object\objemb\objw100\objh100{\*\objclass Package}" + before + hexed + after + rb"{\result nothing}}\par}"


def boxes(payload):
    """All of them."""
    inner = zipped(Member("eicar.com", payload))
    native = compound({"\1Ole10Native": package(b"paper.zip", inner)}, root_id=PACKAGE)
    raw = object_data(package(b"paper.zip", inner)[4:])
    hexed = raw.hex().encode()
    steps = ("rtf", "package-loose", "zip")

    def box(name, idea, data, steps=steps, file="paper.rtf", **more):
        return Box(f"rtf-{name}", idea, data, file, steps, **({"declared": "application/rtf"} | more))

    def every(text, count, what):
        return what.join(text[at : at + count] for at in range(0, len(text), count))

    yield box("object", "a package object", rtf_object(b"", hexed))
    yield box("ole2", "a compound file as an object", rtf_object(native), ("rtf", "ole", "package", "zip"))
    yield box("lines", "its hex in lines", rtf_object(b"", every(hexed, 64, b"\r\n")))
    yield box("blanks", "its hex with blanks and tabs between all digits", rtf_object(b"", every(hexed, 1, b" \t")))
    yield box("capitals", "its hex in capitals", rtf_object(b"", hexed.upper()))
    yield box("words", "control words in its hex", rtf_object(b"", every(hexed, 20, rb"\par ")))
    yield box("numbers", "control words with numbers in its hex", rtf_object(b"", every(hexed, 40, rb"\fs24 ")))
    yield box("groups", "groups in its hex", rtf_object(b"", every(hexed, 32, b"{}")))
    yield box("groups-star", "ignorable groups with digits in its hex", rtf_object(b"", every(hexed, 32, rb"{\*\zz 3131}")))
    yield box(
        "groups-around",
        "each piece of its hex in a group",
        rtf_object(b"", b"".join(b"{" + hexed[at : at + 16] + b"}" for at in range(0, len(hexed), 16))),
    )
    yield box("bin", "its data in \\bin", rtf_object(b"", rb"\bin%d " % len(raw) + raw))
    cut = len(hexed) // 4 * 2
    yield box(
        "bin-mixed",
        "its data half in hex, half in \\bin",
        rtf_object(b"", hexed[:cut] + rb"\bin%d " % (len(raw) - cut // 2) + raw[cut // 2 :]),
    )
    yield box("bin-empty", "\\bin of no bytes in its hex", rtf_object(b"", every(hexed, 50, rb"\bin0 ")))
    yield box("escapes", "escapes \\'xx in its hex, which are passed over", rtf_object(b"", every(hexed, 30, rb"\'7a")))
    yield box("star-less", "\\objdata without its star", rtf_object(b"", hexed, before=rb"{\objdata "))
    yield box("word-before", "a control word between \\objdata and its hex", rtf_object(b"", hexed, before=rb"{\*\objdata\objalias0 "))
    yield box("line-after", "a line end after \\objdata", rtf_object(b"", hexed, before=b"{\\*\\objdata\r\n"))
    yield box("number", "a number after \\objdata", rtf_object(b"", hexed, before=rb"{\*\objdata1 "))
    yield box("unclosed", "groups that never close", rtf_object(b"", hexed)[:-2])
    yield box("cut", "cut off after the hex", rtf_object(b"", hexed)[: -len(rb"}{\result nothing}}\par}")])
    yield box("header-short", "begins {\\rt", rtf_object(b"", hexed, start=rb"{\rt Nothing here.\par "))
    yield box("header-number", "begins {\\rtf9999x", rtf_object(b"", hexed, start=rb"{\rtf9999x "))
    yield box("header-blank", "blank lines before it", b"\r\n\r\n  " + rtf_object(b"", hexed))
    yield box("as-doc", "named doc", rtf_object(b"", hexed), file="paper.doc", declared="application/msword")
    yield box("as-docx", "named docx", rtf_object(b"", hexed), file="paper.docx")
    yield box(
        "second",
        "the second of two objects",
        rtf_object(package(b"a.txt", prose(30)))[:-1] + rtf_object(b"", hexed)[len(rb"{\rtf1\ansi ") :],
    )
    yield box("update", "an object that updates itself", rtf_object(b"", hexed).replace(rb"\objemb", rb"\objautlink\objupdate"))
    yield box("unicode", "\\u escapes and \\uc in its hex", rtf_object(b"", every(hexed, 40, rb"\uc0\u123 ")))
    yield box("symbols", "control symbols in its hex", rtf_object(b"", every(hexed, 26, rb"\-\~")))
    yield box("odd-digit", "junk of other letters in its hex", rtf_object(b"", every(hexed, 22, b"zq~")))
    yield box(
        "shape",
        "an object in a shape's text",
        rb"{\rtf1{\shp{\*\shpinst{\shptxt " + rtf_object(b"", hexed)[len(rb"{\rtf1\ansi ") : -1] + b"}}}}",
    )
    yield box("picture", "a zip as the data of a picture", rb"{\rtf1{\pict\pngblip " + inner.hex().encode() + b"}}", ("rtf", "zip"))
    yield box("store", "a zip in the data store", rb"{\rtf1{\*\datastore " + inner.hex().encode() + b"}}", ("rtf", "zip"))
    yield box("deep", "in 60 groups", rb"{\rtf1" + b"{" * 60 + rtf_object(b"", hexed)[len(rb"{\rtf1\ansi ") : -1] + b"}" * 61)
    yield box("gzip", "in a gzip", gzip.compress(rtf_object(b"", hexed), mtime=0), ("gz",) + steps, "paper.rtf.gz")
    yield box(
        "body",
        "its text is the payload, letter by letter as escapes",
        rb"{\rtf1 " + b"".join(rb"\'%02x" % byte for byte in payload) + b"}",
        ("rtf-text",),
        clear=True,
    )
    yield box("deflated", "a zip of it", zipped(Member("paper.rtf", rtf_object(b"", hexed))), ("zip",) + steps, "papers.zip")
