"""PDF: embedded files behind each filter, object streams, encryption by an empty password, scripts."""

import base64
import gzip
import zlib

from boxes import Box, made, noise, prose
from zips import Member, zipped


def written(objects, root=1, head=b"%PDF-1.7\n", trailer=b"", table=True):
    """A PDF of these objects (number to bytes)."""
    out, places = head, {}
    for number, body in objects.items():
        places[number] = len(out)
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    start = len(out)
    size = max(objects) + 1
    if table:
        out += b"xref\n0 %d\n0000000000 65535 f \n" % size
        out += b"".join(b"%010d 00000 n \n" % places[number] if number in places else b"0000000000 65535 f \n" for number in range(1, size))
    return out + b"trailer\n<</Size %d/Root %d 0 R%s>>\nstartxref\n%d\n%%%%EOF\n" % (size, root, trailer, start)


def stream(data, fields=b"", length=None):
    """A stream object."""
    return b"<<%s/Length %d>>\nstream\n" % (fields, len(data) if length is None else length) + data + b"\nendstream"


def attached(embedded, name=b"paper.zip", tree=b"/Names<</EmbeddedFiles<</Names[(a) 4 0 R]>>>>"):
    """The objects of a PDF with one attached file."""
    return {
        1: b"<</Type/Catalog/Pages 2 0 R%s>>" % tree,
        2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>",
        4: b"<</Type/Filespec/F(%s)/UF(%s)/EF<</F 5 0 R>>>>" % (name, name),
        5: embedded,
    }


def lzw(data):
    """LZW as PDF has it, with clear codes so that codes stay at nine bits."""
    codes = []
    for at in range(0, len(data), 200):
        codes += [256, *data[at : at + 200]]
    value = "".join(format(code, "09b") for code in [*codes, 257])
    value += "0" * (-len(value) % 8)
    return bytes(int(value[at : at + 8], 2) for at in range(0, len(value), 8))


def run_length(data):
    """RunLength, in pieces of three."""
    return b"".join(bytes([len(data[at : at + 3]) - 1]) + data[at : at + 3] for at in range(0, len(data), 3)) + b"\x80"


def predicted(data, columns=17):
    """PNG's predictor Up, then deflate."""
    data += b" " * (-len(data) % columns)
    rows, before = b"", bytes(columns)
    for at in range(0, len(data), columns):
        row = data[at : at + columns]
        rows += b"\2" + bytes((now - then) & 255 for now, then in zip(row, before))
        before = row
    return zlib.compress(rows)


def mixed(data, columns=17):
    """PNG's predictors by turns, then deflate."""
    rows, before = b"", bytes(columns)
    for at in range(0, len(data), columns):
        row = data[at : at + columns]
        left = b"\0" + row[:-1]
        if at // columns % 2:
            rows += b"\1" + bytes((now - then) & 255 for now, then in zip(row, left))
        else:
            rows += b"\3" + bytes((now - (then + up) // 2) & 255 for now, then, up in zip(row, left, before))
        before = row
    return zlib.compress(rows)


def boxes(payload):
    """All of them."""
    yield from filters(payload)
    yield from structure(payload)
    yield from locked(payload)
    yield from scripts(payload)


def box(name, idea, data, steps=("pdf",), file="paper.pdf", **more):
    """A container of this file's kind."""
    return Box(f"pdf-{name}", idea, data, file, steps, **({"declared": "application/pdf"} | more))


def filters(payload):
    """One filter or chain each."""
    kind = b"/Type/EmbeddedFile"
    hexed, eighty_five = payload.hex().encode() + b">", base64.a85encode(payload) + b"~>"
    packed = zlib.compress(payload, 9)
    for name, names, data in (
        ("flate", b"/FlateDecode", packed),
        ("hex", b"/ASCIIHexDecode", hexed),
        ("hex-blanks", b"/ASCIIHexDecode", b" \n".join(hexed[at : at + 1] for at in range(len(hexed)))),
        ("85", b"/ASCII85Decode", eighty_five),
        ("lzw", b"/LZWDecode", lzw(payload)),
        ("run-length", b"/RunLengthDecode", run_length(payload)),
        ("hex-flate", b"[/ASCIIHexDecode/FlateDecode]", packed.hex().encode() + b">"),
        ("85-flate", b"[/ASCII85Decode /FlateDecode]", base64.a85encode(packed) + b"~>"),
        ("flate-flate", b"[/FlateDecode/FlateDecode]", zlib.compress(packed)),
        ("lzw-hex", b"[/ASCIIHexDecode/LZWDecode]", lzw(payload).hex().encode() + b">"),
        (
            "five",
            b"[/ASCIIHexDecode/ASCII85Decode/RunLengthDecode/FlateDecode/LZWDecode]",
            base64.a85encode(run_length(zlib.compress(lzw(payload)))).replace(b"\n", b"").join([b"", b"~>"]).hex().encode() + b">",
        ),
        ("names-escaped", b"/Fl#61teDecode", packed),
        ("names-short", b"/Fl", packed),
        ("names-short-chain", b"[/AHx/Fl]", packed.hex().encode() + b">"),
    ):
        yield box(f"filter-{name}", f"an attached file behind {name}", written(attached(stream(data, kind + b"/Filter" + names))))
    yield box(
        "filter-predictor",
        "an attached file behind flate with a predictor",
        written(attached(stream(predicted(payload), kind + b"/Filter/FlateDecode/DecodeParms<</Predictor 12/Columns 17>>"))),
    )
    paeth = b" " * 17 + payload
    paeth += b" " * (-len(paeth) % 17)
    yield box(
        "filter-predictor-sub",
        "an attached file behind flate with the predictor Sub, its rows of other kinds too",
        written(attached(stream(mixed(paeth), kind + b"/Filter/FlateDecode/DecodeParms<</Predictor 15/Columns 17>>"))),
    )
    tiff = bytes((paeth[at] - (paeth[at - 1] if at % 17 else 0)) & 255 for at in range(len(paeth)))
    yield box(
        "filter-predictor-tiff",
        "an attached file behind flate with TIFF's predictor",
        written(attached(stream(zlib.compress(tiff), kind + b"/Filter/FlateDecode/DecodeParms<</Predictor 2/Columns 17>>"))),
    )
    yield box(
        "filter-parms-array",
        "filters and parameters as lists, one of them null",
        written(
            attached(
                stream(
                    predicted(payload).hex().encode() + b">",
                    kind + b"/Filter[/ASCIIHexDecode/FlateDecode]/DecodeParms[null<</Predictor 12/Columns 17>>]",
                )
            )
        ),
    )
    yield box(
        "filter-lzw-late",
        "an attached file behind LZW without early change",
        written(attached(stream(lzw(payload), kind + b"/Filter/LZWDecode/DecodeParms<</EarlyChange 0>>"))),
    )
    yield box(
        "filter-comment",
        "comments between the tokens of the dictionary",
        written(attached(stream(packed, kind + b"%x\n/Filter%y >>\n[%z\n/FlateDecode]"))),
    )
    yield box(
        "filter-sum-wrong", "flate with a wrong sum", written(attached(stream(packed[:-4] + b"\1\2\3\4", kind + b"/Filter/FlateDecode")))
    )
    yield box(
        "filter-cut", "flate without its end", written(attached(stream(packed[:-5], kind + b"/Filter/FlateDecode"))), ("pdf|pdf-streams",)
    )
    yield box(
        "filter-85-z",
        "an attached file behind 85 with blanks and z",
        written(attached(stream(base64.a85encode(bytes(8) + payload, wrapcol=20) + b"\n~>", kind + b"/Filter/ASCII85Decode"))),
    )
    yield box(
        "filter-hex-odd",
        "an odd number of hex digits",
        written(attached(stream(payload.hex().encode() + b"4>", kind + b"/Filter/ASCIIHexDecode"))),
    )
    yield box(
        "filter-crypt",
        "the filter Crypt that does nothing, then flate",
        written(attached(stream(packed, kind + b"/Filter[/Crypt/FlateDecode]/DecodeParms[<</Name/Identity>>null]"))),
        ("pdf|pdf-streams",),
    )
    away = attached(stream(packed, kind + b"/Filter 6 0 R")) | {6: b"/FlateDecode"}
    yield box("filter-away", "the filter's name in an object of its own", written(away))
    yield box("filter-none", "an attached file, in the clear", written(attached(stream(payload, kind))), clear=True)


def structure(payload):
    """How the file is built around the stream."""
    kind = b"/Type/EmbeddedFile/Filter/FlateDecode"
    packed = zlib.compress(payload, 9)
    objects = attached(stream(packed, kind))
    plain = written(objects)
    yield box("junk-before", "behind 900 bytes of junk", noise(900).replace(b"%PDF", b"") + plain)
    yield box("head-odd", "an unusual version", plain.replace(b"%PDF-1.7", b"%PDF-9.x"))
    yield box("as-doc", "named doc", plain, file="paper.doc", declared="application/msword")
    yield box("as-nothing", "without a name's ending", plain, file="paper", declared="application/octet-stream")
    yield box("no-table", "no table of objects", written(objects, table=False))
    yield box("table-wrong", "a table that points elsewhere", plain.replace(b"startxref\n", b"startxref\n9"))
    yield box("no-trailer", "cut off before the table", plain[: plain.index(b"xref\n0")], ("pdf|pdf-streams",))
    yield box("length-short", "a stream's length too short", written(attached(stream(packed, kind, 5))))
    yield box("length-long", "a stream's length too long", written(attached(stream(packed, kind, 99_999))))
    yield box(
        "length-away",
        "a stream's length in an object of its own",
        written(objects | {5: stream(packed, kind).replace(b"/Length %d" % len(packed), b"/Length 6 0 R"), 6: b"%d" % len(packed)}),
    )
    yield box(
        "tight",
        "no blanks between the tokens",
        plain.replace(b" obj\n", b" obj").replace(b">>\nstream", b">>stream").replace(b"\nendobj", b" endobj"),
    )
    yield box(
        "kids",
        "the tree of names two deep, the file's name in hex",
        written(
            attached(stream(packed, kind), tree=b"/Names<</EmbeddedFiles<</Kids[6 0 R]>>>>")
            | {6: b"<</Limits[(a)(a)]/Kids[7 0 R]>>", 7: b"<</Limits[(a)(a)]/Names[<61> 4 0 R]>>"}
        ),
    )
    yield box("end-inside", "the word endstream within the data", written(attached(stream(stored_with_end(payload), kind))))
    yield box("mac-lines", "line ends CR only", plain.replace(b"endobj\n", b"endobj\r").replace(b">>\nstream\n", b">>\rstream\r\n"))
    yield box(
        "generation", "objects of other generations", written(objects).replace(b"5 0 obj", b"5 3 obj").replace(b"/F 5 0 R", b"/F 5 3 R")
    )
    yield box("crlf", "line ends CR LF", plain.replace(b"stream\n", b"stream\r\n", 1))
    update = b"4 0 obj\n<</Type/Filespec/F(b.com)/EF<</F 7 0 R>>>>\nendobj\n7 0 obj\n" + stream(packed, kind) + b"\nendobj\n"
    first = written(attached(stream(zlib.compress(prose(90)), kind)))
    start = len(first) + len(update)
    four, seven = len(first), len(first) + update.index(b"7 0 obj")
    more = b"xref\n4 1\n%010d 00000 n \n7 1\n%010d 00000 n \ntrailer\n<</Size 8/Root 1 0 R/Prev %d>>\nstartxref\n%d\n%%%%EOF\n" % (
        four,
        seven,
        first.rindex(b"xref\n0"),
        start,
    )
    yield box("update", "in an incremental update", first + update + more)
    clean_update = (
        b"4 0 obj\n<</Type/Filespec/F(b.com)/EF<</F 7 0 R>>>>\nendobj\n7 0 obj\n" + stream(zlib.compress(prose(60)), kind) + b"\nendobj\n"
    )
    start = len(plain) + len(clean_update)
    four, seven = len(plain), len(plain) + clean_update.index(b"7 0 obj")
    more = b"xref\n4 1\n%010d 00000 n \n7 1\n%010d 00000 n \ntrailer\n<</Size 8/Root 1 0 R/Prev %d>>\nstartxref\n%d\n%%%%EOF\n" % (
        four,
        seven,
        plain.rindex(b"xref\n0"),
        start,
    )
    yield box("before-update", "in what an incremental update replaced", plain + clean_update + more, ("pdf|pdf-streams",))
    yield box(
        "object-streams",
        "object streams and a compressed table, by qpdf",
        made(["qpdf", "--object-streams=generate", "--stream-data=compress", "a.pdf", "b.pdf"], {"a.pdf": plain}, "b.pdf"),
    )
    yield box(
        "linear", "linearised, by qpdf", made(["qpdf", "--linearize", "--deterministic-id", "a.pdf", "b.pdf"], {"a.pdf": plain}, "b.pdf")
    )
    annotated = attached(stream(packed, kind), tree=b"") | {
        3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Annots[6 0 R]>>",
        6: b"<</Type/Annot/Subtype/FileAttachment/Rect[0 0 9 9]/FS 4 0 R>>",
    }
    yield box("annotation", "a file attached to a page", written(annotated), ("pdf|pdf-streams",))
    associated = attached(stream(packed, kind), tree=b"/AF[4 0 R]")
    yield box("associated", "an associated file", written(associated), ("pdf|pdf-streams",))
    loose = attached(stream(packed, b"/Filter/FlateDecode"), tree=b"")
    yield box("loose", "a stream that nothing refers to", written(loose), ("pdf|pdf-streams",))
    inner = written(objects)
    yield box("in-pdf", "a PDF attached to a PDF", written(attached(stream(zlib.compress(inner), kind), b"inner.pdf")), ("pdf", "pdf"))
    yield box(
        "zip", "a zip attached", written(attached(stream(zipped(Member("eicar.com", payload)), b"/Type/EmbeddedFile"))), ("pdf", "zip")
    )
    yield box("in-zip", "in a zip", zipped(Member("paper.pdf", plain)), ("zip", "pdf"), "papers.zip", declared="application/zip")
    yield box("in-gzip", "in a gzip", gzip.compress(plain, mtime=0), ("gz", "pdf"), "paper.pdf.gz", declared="application/gzip")
    yield box(
        "image",
        "as the data of a picture",
        written(
            attached(
                stream(
                    packed, b"/Type/XObject/Subtype/Image/Width 68/Height 1/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/FlateDecode"
                ),
                tree=b"",
            )
        ),
        ("pdf|pdf-streams",),
    )
    many = {number + 10: b"<</A %d>>" % number for number in range(3000)}
    yield box("many", "among 3,000 objects", written(objects | many))
    media = attached(stream(packed, b"/Filter/FlateDecode"), tree=b"") | {6: b"<</S/Rendition/R<</C<</D 4 0 R>>>>>>"}
    yield box("media", "a rendition's media", written(media), ("pdf|pdf-streams",))
    form = zlib.compress(b"<xdp:xdp><chunk>" + base64.b64encode(zipped(Member("eicar.com", payload))) + b"</chunk></xdp:xdp>")
    yield box(
        "xfa",
        "in base64 in a form of XML",
        written(attached(stream(form, b"/Filter/FlateDecode"), tree=b"/AcroForm<</XFA 5 0 R>>")),
        ("pdf-streams", "base64", "zip"),
    )


def stored_with_end(payload):
    """A zlib stream with a stored block that says endstream, then the payload deflated."""
    word = b"\nendstream\nendobj\n"
    raw = zlib.compressobj(9, zlib.DEFLATED, -15)
    rest = raw.compress(payload) + raw.flush()
    block = b"\0" + len(word).to_bytes(2, "little") + (len(word) ^ 0xFFFF).to_bytes(2, "little") + word
    return b"x\xda" + block + rest + zlib.adler32(word + payload).to_bytes(4, "big")


def locked(payload):
    """Encrypted: by an empty user password anyone opens it."""
    kind = b"/Type/EmbeddedFile/Filter/FlateDecode"
    plain = written(attached(stream(zlib.compress(payload, 9), kind)))
    for name, options in (
        ("rc4-40", ["--allow-weak-crypto", "--encrypt", "", "owner", "40", "--"]),
        ("rc4-128", ["--allow-weak-crypto", "--encrypt", "", "owner", "128", "--use-aes=n", "--"]),
        ("aes-128", ["--allow-weak-crypto", "--encrypt", "", "owner", "128", "--use-aes=y", "--"]),
        ("aes-256", ["--encrypt", "", "owner", "256", "--"]),
    ):
        data = made(["qpdf", "--static-id", *options, "a.pdf", "b.pdf"], {"a.pdf": plain}, "b.pdf")
        yield box(f"empty-{name}", f"encrypted by {name}, no password needed", data)
    data = made(
        ["qpdf", "--static-id", "--object-streams=generate", "--encrypt", "", "owner", "256", "--", "a.pdf", "b.pdf"],
        {"a.pdf": plain},
        "b.pdf",
    )
    yield box("empty-object-streams", "encrypted by AES-256 with object streams, no password needed", data)
    data = made(["qpdf", "--static-id", "--encrypt", "winter26", "owner", "256", "--", "a.pdf", "b.pdf"], {"a.pdf": plain}, "b.pdf")
    yield box("locked", "encrypted, no password", data, ("pdf:winter26",), want="held")
    yield box("password", "encrypted, the password in the text", data, ("pdf:winter26",), text="The password is winter26\r\n")


def scripts(payload):
    """Scripts."""
    code = b"var a = '" + payload.replace(b"\\", b"\\\\") + b"';"
    source = b"// " + payload + b"\n" + code
    shown = ("pdf-script|pdf-streams",)
    base = {2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>", 3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>"}
    yield box(
        "script-stream",
        "a script in a stream, run on opening",
        written(
            {
                1: b"<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS 5 0 R>>>>",
                **base,
                5: stream(zlib.compress(source), b"/Filter/FlateDecode"),
            }
        ),
        shown,
    )
    hexed = source.hex().encode()
    yield box(
        "script-hex",
        "a script as a string in hex",
        written({1: b"<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS <" + hexed + b">>>>>", **base}),
        shown,
    )
    octal = b"".join(b"\\%03o" % byte for byte in source)
    yield box(
        "script-octal",
        "a script as a string in octal",
        written({1: b"<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS (" + octal + b")>>>>", **base}),
        shown,
    )
    wide = b"\xfe\xff" + source.decode().encode("utf-16-be")
    yield box(
        "script-utf16",
        "a script as a string in UTF-16",
        written({1: b"<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS <" + wide.hex().encode() + b">>>>>", **base}),
        shown,
    )
    yield box(
        "script-names",
        "a script in the tree of names",
        written(
            {
                1: b"<</Type/Catalog/Pages 2 0 R/Names<</JavaScript<</Names[(a) 4 0 R]>>>>>>",
                **base,
                4: b"<</S/JavaScript/JS 5 0 R>>",
                5: stream(zlib.compress(source), b"/Filter/FlateDecode"),
            }
        ),
        shown,
    )
    escaped = written(
        {
            1: b"<</Type/Catalog/Pages 2 0 R/OpenAction<</S/J#61vaScript/J#53 5 0 R>>>>",
            **base,
            5: stream(zlib.compress(source), b"/Filter/FlateDecode"),
        }
    )
    yield box("script-escaped", "a script whose keys are escaped", escaped, shown)
