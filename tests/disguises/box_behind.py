"""Pages and messages behind the first bytes of something else, behind many harmless ones, and cut up by the marks of XML and of pages."""

import base64
import binascii
import struct
import zlib

from box_pdf import written
from boxes import Box, prose
from zips import Member, zipped

MAGIC = {
    "gif": b"GIF89a",
    "png": b"\x89PNG\r\n\x1a\n",
    "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
    "pdf": b"%PDF-1.7\r\n",
    "zip": b"PK\x03\x04" + bytes(26),
}
"""First bytes that readers of files go by, and browsers and mail programs do not where the name says otherwise."""


def boxes(payload):
    """All of them."""
    text = base64.b64encode(payload).decode()
    yield from behind(payload, text)
    yield from decoys(payload)
    yield from cut(text)


def saved(data):
    """A saved page (MHT) with a file beside it."""
    return (
        b'MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary="Z"\r\n\r\n--Z\r\nContent-Type: text/html\r\n\r\n'
        b'<a href="e.com">x</a>\r\n--Z\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n'
        b"Content-Location: e.com\r\n\r\n" + base64.encodebytes(data).replace(b"\n", b"\r\n") + b"--Z--\r\n"
    )


def mail(data, name=b"e.com"):
    """A message with an attachment."""
    return (
        b'From: ann@partner.example\r\nSubject: Papers\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="Y"\r\n\r\n'
        b'--Y\r\nContent-Type: text/plain\r\n\r\nSee there.\r\n--Y\r\nContent-Type: application/octet-stream; name="' + name + b'"\r\n'
        b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(data).replace(b"\n", b"\r\n") + b"--Y--\r\n"
    )


def behind(payload, text):
    """Something that is opened by its name, behind the magic of something else."""
    page = f'<html><body><a download=e.com href="data:application/octet-stream;base64,{text}">x</a></body></html>'.encode()
    for kind, magic in MAGIC.items():
        yield Box(f"behind-{kind}-html", f"a page behind the first bytes of {kind}", magic + page, "page.html", ("base64",))
        yield Box(f"behind-{kind}-mht", f"a saved page behind the first bytes of {kind}", magic + saved(payload), "page.mht", ("mail-at",))
        yield Box(f"behind-{kind}-eml", f"a message behind the first bytes of {kind}", magic + mail(payload), "note.eml", ("mail-at",))
    gif = MAGIC["gif"] + page
    yield Box("behind-gif-declared", "a page behind the first bytes of gif, declared as one", gif, "page.html", ("base64",), declared="image/gif")
    inner = zipped(Member("m.eml", mail(zipped(Member("a.html", gif)), b"b.zip")))
    yield Box("behind-gif-deep", "such a page in a zip in a message in a zip", inner, "papers.zip", ("zip", "mail", "zip", "base64"))
    pdf = written({1: b"<</Type/Catalog/Pages 2 0 R>>", 2: b"<</Type/Pages/Kids[]/Count 0>>"})
    for file in ("paper.doc", "paper.pdf"):
        name = "behind-whole-pdf-" + file.rsplit(".", 1)[1]
        yield Box(name, f"a saved page behind a whole PDF, named {file}", pdf + b"\r\n" + saved(payload), file, ("mail-at",))
    packed = zlib.compress(payload)
    mso = b"ActiveMime" + bytes.fromhex("0000f00104000000ffffffff000007f0") + struct.pack("<I", len(packed) + 4) + bytes.fromhex("0400000004000000")
    mso = mso.ljust(46, b"\0") + struct.pack("<I", len(payload)) + packed
    yield Box("saved-mso", "ActiveMime in a saved page, named doc", saved(mso), "paper.doc", ("mail", "active-mime"))


def decoys(payload):
    """The one that counts behind more harmless ones than anybody would look at."""

    def uu(name, data):
        return b"begin 644 " + name + b"\r\n" + b"".join(binascii.b2a_uu(data[at : at + 45]).rstrip(b"\n") + b"\r\n" for at in range(0, len(data), 45)) + b"`\r\nend\r\n"

    def yenc(name, data):
        body = b"".join(bytes([61, (byte + 106) & 255]) if (byte + 42) & 255 in (0, 10, 13, 61) else bytes([(byte + 42) & 255]) for byte in data)
        return b"=ybegin line=128 size=%d name=" % len(data) + name + b"\r\n" + body + b"\r\n=yend size=%d\r\n" % len(data)

    for kind, write in (("uu", uu), ("yenc", yenc)):
        many = b"".join(write(b"note%d" % n, b"note %d" % n) for n in range(201)) + write(b"e.com", payload)
        yield Box(f"decoys-{kind}", f"201 harmless files in {kind} before it, in a file", many, "note.txt", (f"{kind}-all",), declared="text/plain")
    text = b"".join(uu(b"note%d" % n, b"note %d" % n) for n in range(201)) + uu(b"e.com", payload)
    yield Box("decoys-uu-text", "201 harmless files in uu before it, in the text", prose(90), "a.txt", ("uu-all",), text=text.decode())


def cut(text):
    """base64 cut up by marks that the reader of the format takes out."""
    a, b, c = text[:30], text[30:60], text[60:]
    xhtml = '<html xmlns="http://www.w3.org/1999/xhtml">%s</html>'
    svg = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:x="http://www.w3.org/1999/xlink">%s</svg>'
    flat = '<office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"><office:binary-data>%s</office:binary-data></office:document>'
    package = '<pkg:package xmlns:pkg="http://schemas.microsoft.com/office/2006/xmlPackage"><pkg:part pkg:name="/x"><pkg:binaryData>%s</pkg:binaryData></pkg:part></pkg:package>'
    data = "".join(f"<![CDATA[{text[at : at + 10]}]]>" for at in range(0, len(text), 10))
    first = '<!DOCTYPE r [<!ENTITY a "%s"><!ENTITY b "%s">]>'
    go = '<script>location="data:;base64,%s"</script>'
    rows = [
        ("cdata-xhtml", "sections of CDATA in a page", xhtml % (go % data), "page.xhtml"),
        ("cdata-svg", "sections of CDATA in a drawing", svg % (go % data), "photo.svg"),
        ("cdata-fodt", "sections of CDATA in an OpenDocument text", flat % data, "paper.fodt"),
        ("cdata-flat", "sections of CDATA in a flat Word document", package % data, "paper.xml"),
        ("comment-svg", "comments in a drawing", svg % (go % f"{a}<!-- x -->{b}<!-- y -->{c}"), "photo.svg"),
        ("comment-flat", "comments in a flat Word document", package % f"{a}<!-- x --> {b} <!-- y -->{c}", "paper.xml"),
        ("instruction-xhtml", "processing instructions in a page", xhtml % (go % f"{a}<?z a?>{b}<?z?>{c}"), "page.xhtml"),
        ("entity-svg", "entities in a drawing's link", first % (a, b) + svg % f'<a x:href="data:;base64,&a;&b;{c}"/>', "photo.svg"),
        ("entity-nested", "entities in entities", first % (a, "&a;" + b) + svg % f'<a x:href="data:;base64,&b;{c}"/>', "photo.svg"),
        ("entity-fodt", "entities in an OpenDocument text", first % (a, b) + flat % f"&a;&b;{c}", "paper.fodt"),
    ]
    for name, idea, page, file in rows:
        yield Box(f"cut-{name}", f"base64 cut up by {idea}", page.encode(), file, ("xml", "base64"))
    pieces = [text[at : at + 8] for at in range(0, len(text), 8)]
    marks = "".join(f'<i class=z data-p="{piece}"></i>' for piece in pieces)
    link = "<html><a id=a download=e.com>x</a>%s<script>a.href=\"da\"+\"ta:;base64,\"+%s</script></html>"
    page = link % (marks, '[...document.querySelectorAll(".z")].map(x=>x.dataset.p).join("")')
    yield Box("cut-attributes", "base64 in pieces in data- attributes, joined by a script", page.encode(), "page.html", ("data-attributes", "base64"))
    page = link % (f'<input id=z value="{" ".join(text[at : at + 4] for at in range(0, len(text), 4))}">', 'z.value.replace(/ /g,"")')
    yield Box("cut-value", "base64 with blanks in a field's value, taken out by a script", page.encode(), "page.html", ("base64",))
