"""Messages and archives of messages as attached files, with a container in them; and containers with messages in them."""

import base64
import gzip
import plistlib

from box_office import mht
from boxes import Box, made
from zips import Member, zipped

CRLF = b"\r\n"


def note(data, name=b"paper.zip", encoding="base64", kind=b"application/octet-stream"):
    """An ordinary message with one attachment."""
    body = base64.encodebytes(data).replace(b"\n", CRLF)
    return (
        b"From: Ann <ann@partner.example>\r\nTo: bob@groupwise.example\r\nSubject: Papers\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed; boundary="=_inner"\r\n\r\n--=_inner\r\nContent-Type: text/plain\r\n\r\nSee the attachment.\r\n--=_inner\r\nContent-Type: '
        + kind
        + b'; name="'
        + name
        + b'"\r\nContent-Transfer-Encoding: '
        + encoding.encode()
        + b'\r\nContent-Disposition: attachment; filename="'
        + name
        + b'"\r\n\r\n'
        + body
        + b"--=_inner--\r\n"
    )


def boxes(payload):
    """All of them."""
    inner = zipped(Member("eicar.com", payload))
    plain = note(inner)

    def box(name, idea, data, file="note.eml", steps=("mail", "zip"), **more):
        return Box(f"mail-{name}", idea, data, file, steps, **more)

    yield box("eml", "a message as a file", plain)
    yield box("eml-declared", "a message as a file, declared so", plain, declared="message/rfc822")
    yield box("eml-lf", "a message as a file, line ends LF", plain.replace(CRLF, b"\n"))
    yield box("eml-no-name", "a message as a file of no name's ending", plain, "note")
    yield box(
        "eml-received",
        "a message that begins with a field of a transport",
        b"Received: from a by b; Mon, 02 Mar 2026 09:12:44 +0000\r\n" + plain,
        "note.dat",
    )
    yield box("eml-mark", "a message behind a byte order mark", b"\xef\xbb\xbf" + plain, steps=("mail-at", "zip"))
    yield box(
        "eml-emlx",
        "a message of Apple Mail: its length in a line first, a property list behind",
        b"%-10d\n" % len(plain) + plain + b'<?xml version="1.0"?><plist version="1.0"><dict/></plist>\n',
        "1.emlx",
        ("mail-at", "zip"),
    )
    deep = plain
    for _ in range(6):
        deep = note(deep, b"note.eml", kind=b"application/octet-stream")
    yield box("eml-deep", "a message in a message, seven deep", deep, steps=("mail",) * 7 + ("zip",))
    yield box("eml-in-zip", "a message in a zip", zipped(Member("note.eml", plain)), "papers.zip", ("zip", "mail", "zip"))
    yield box("eml-in-gzip", "a message in a gzip", gzip.compress(plain, mtime=0), "note.eml.gz", ("gz", "mail", "zip"))
    yield box(
        "eml-in-7z",
        "a message in a 7z",
        made(["7z", "a", "a.7z", "note.eml"], {"note.eml": plain}, "a.7z"),
        "papers.7z",
        ("7z", "mail", "zip"),
    )
    yield box(
        "zip-zip-eml",
        "a message in a zip in a message in a zip",
        zipped(Member("a.eml", note(zipped(Member("b.eml", plain))))),
        "papers.zip",
        ("zip", "mail", "zip", "mail", "zip"),
    )
    first = b"From ann@partner.example Mon Mar  2 09:12:44 2026\r\nFrom: a@b.example\r\nSubject: first\r\n\r\nNothing here.\r\n\r\n"
    second = b"From ann@partner.example Mon Mar  2 09:13:44 2026\r\n" + plain + CRLF
    yield box("mbox", "a mailbox, in its second message", first + second, "mail.mbox", ("mbox", "zip"), declared="application/mbox")
    yield box(
        "mbox-lf",
        "a mailbox with line ends LF and another name",
        (first + second).replace(CRLF, b"\n"),
        "mail.txt",
        ("mbox", "zip"),
        declared="text/plain",
    )
    yield box("mbox-in-gzip", "a mailbox in a gzip", gzip.compress(first + second, mtime=0), "mail.mbox.gz", ("gz", "mbox", "zip"))
    yield box("mht", "a web archive", mht(payload), "page.mht")
    yield box("mht-as-doc", "a web archive named doc", mht(payload), "paper.doc", declared="application/msword")
    yield box("mht-blank", "a web archive behind blank lines", b"\r\n\r\n" + mht(payload), "page.mht", ("mail-at", "zip"))
    yield box("mht-in-zip", "a web archive in a zip", zipped(Member("page.mht", mht(payload))), "papers.zip", ("zip", "mail", "zip"))
    listed = {"WebMainResource": {"WebResourceData": inner, "WebResourceMIMEType": "text/html", "WebResourceURL": "http://a.example/"}}
    yield box(
        "webarchive",
        "a web archive of Safari, binary",
        plistlib.dumps(listed, fmt=plistlib.FMT_BINARY),
        "page.webarchive",
        ("plist", "zip"),
    )
    yield box("webarchive-xml", "a web archive of Safari, XML", plistlib.dumps(listed), "page.webarchive", ("plist", "zip"))
    yield box("zip-after-text", "a zip as an attachment declared as a message", inner, "note.eml", ("zip",), declared="message/rfc822")
    yield box("news", "a batch of news", b"#! rnews %d\r\n" % len(plain) + plain, "news.txt", ("mail-at", "zip"))
    yield box(
        "bsmtp",
        "a batch of SMTP",
        b"HELO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n" + plain + b".\r\nQUIT\r\n",
        "mail.bsmtp",
        ("mail-at", "zip"),
        declared="application/batch-SMTP",
    )
    binary = plain.replace(b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: binary")
    at = binary.index(base64.encodebytes(inner)[:20])
    end = binary.index(b"--=_inner--")
    yield box("eml-binary", "a message whose attachment is binary", binary[:at] + inner + CRLF + binary[end:], steps=("mail-binary", "zip"))
    yield box("eml-after-junk", "a message behind a line of junk", b"x" * 40 + CRLF + plain, "note.eml", ("mail-at", "zip"))
