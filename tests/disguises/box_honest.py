"""Honest files of the same kinds, with nothing in them: they must be delivered."""

import base64
import bz2
import gzip
import lzma
import struct
import zlib

import frame

from box_archives import ar, cabinet
from box_mail import note
from box_office import DOCX, ooxml
from box_ole import EXCEL, WORD, attribute, msg, rtf_compressed, tnef, word
from box_pdf import attached as with_file
from box_pdf import stream, written
from box_streams import tarred
from boxes import Box, made, prose, run
from cfb import compound
from zips import Member, deflated, zipped


def picture():
    """A small picture that is as it should be."""
    out = b"\x89PNG\r\n\x1a\n"
    rows = b"".join(b"\0" + bytes((x * y) & 255 for x in range(48)) for y in range(16))
    for kind, body in ((b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        out += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return out


def boxes(_payload):
    """All of them: whatever the payload is, these carry a quiet text."""
    quiet = frame.HARMLESS
    text = prose(3000) + quiet
    png = picture()
    note_member = Member("note.txt", text)

    def box(name, idea, data, file, declared="application/octet-stream", **more):
        return Box(f"honest-{name}", idea, data, file, (), "delivered", declared, **more)

    zips = "application/zip"
    yield box("zip", "a zip", zipped(note_member), "papers.zip", zips)
    yield box("zip-stored", "a zip, stored, of two", zipped(Member("photo.png", png, 0), Member("note.txt", text, 0)), "papers.zip", zips)
    folders = zipped(
        Member("papers/", b"", 0, attributes=0x10),
        Member("papers/\u00fcbersicht.txt", text, flags=0x800),
        Member("papers/photo.png", png),
        comment=b"made in spring",
    )
    yield box("zip-folders", "a zip with a folder, names beyond ASCII and a comment", folders, "papers.zip", zips)
    blank = {"crc": 0, "packed": 0, "size": 0}
    tail = b"PK\x07\x08" + struct.pack("<III", zlib.crc32(text), len(deflated(text)), len(text))
    yield box(
        "zip-streamed",
        "a zip with sizes after the data",
        zipped(Member("note.txt", text, local=blank, flags=8, tail=tail)),
        "papers.zip",
        zips,
    )
    yield box(
        "zip-seven", "a zip by 7-Zip", made(["7z", "a", "-tzip", "a.zip", "note.txt"], {"note.txt": text}, "a.zip"), "papers.zip", zips
    )
    yield box(
        "zip-unix",
        "a zip by Info-ZIP",
        made(["python3", "-m", "zipfile", "-c", "a.zip", "d"], {"d/note.txt": text, "d/e/more.txt": prose(90)}, "a.zip"),
        "papers.zip",
        zips,
    )
    yield box("zip-nested", "a zip in a zip", zipped(Member("inner.zip", zipped(note_member))), "papers.zip", zips)
    yield box("zip-many", "a zip of 300 texts", zipped(*(Member(f"{at}.txt", prose(300, at)) for at in range(300))), "papers.zip", zips)
    yield box("zip-empty", "an empty zip", zipped(), "papers.zip", zips)
    yield box("gz", "a gzip", gzip.compress(text, mtime=0), "table.csv.gz", "application/gzip")
    yield box(
        "gz-log",
        "a gzip of a report",
        gzip.compress(b"<?xml version='1.0'?><feedback><report_metadata/></feedback>", mtime=0),
        "a.example!b.example!1!2.xml.gz",
        "application/gzip",
    )
    yield box("tar", "a tar", tarred(text, "note.txt"), "papers.tar", "application/x-tar")
    yield box("tgz", "a tar in gzip", gzip.compress(tarred(text, "note.txt"), mtime=0), "papers.tar.gz", "application/gzip")
    yield box("tar-xz", "a tar in xz", lzma.compress(tarred(text, "note.txt")), "papers.tar.xz", "application/x-xz")
    yield box("tar-bz2", "a tar in bzip2", bz2.compress(tarred(text, "note.txt")), "papers.tar.bz2", "application/x-bzip2")
    yield box("zst", "zstd", run(["zstd", "-qc"], text), "note.txt.zst", "application/zstd")
    yield box("xz", "xz", lzma.compress(text), "changes.patch.xz", "application/x-xz")
    yield box("7z", "a 7z", made(["7z", "a", "a.7z", "note.txt"], {"note.txt": text}, "a.7z"), "papers.7z", "application/x-7z-compressed")
    yield box(
        "cab",
        "a cabinet",
        cabinet([("note.txt", text)], 1, [b"CK" + deflated(text)], [len(text)]),
        "papers.cab",
        "application/vnd.ms-cab-compressed",
    )
    yield box("ar", "an ar", ar(("note.txt", text)), "papers.a")
    yield box("docx", "a document", ooxml(), "paper.docx", DOCX)
    link = '<Relationship Id="rId8" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/hyperlink" Target="https://partner.example/" TargetMode="External"/>'
    yield box(
        "docx-picture",
        "a document with a picture and a link",
        ooxml(extra={"word/media/image1.png": png}, relations=link),
        "paper.docx",
        DOCX,
    )
    yield box(
        "xlsx",
        "a workbook",
        ooxml("xl/workbook.xml", {"xl/sharedStrings.xml": b"<sst/>"}),
        "paper.xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    )
    yield box(
        "pptx",
        "slides",
        ooxml("ppt/presentation.xml", {"ppt/media/image1.png": png}),
        "paper.pptx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    )
    chart = ooxml("xl/workbook.xml", {"xl/sharedStrings.xml": b"<sst/>"})
    yield box(
        "docx-chart",
        "a document with a workbook behind a chart",
        ooxml(extra={"word/embeddings/Microsoft_Excel_Sheet1.xlsx": chart}),
        "paper.docx",
        DOCX,
    )
    odt = zipped(
        Member("mimetype", b"application/vnd.oasis.opendocument.text", 0),
        Member("content.xml", b"<office:document-content/>"),
        Member("Pictures/1.png", png),
        Member("META-INF/manifest.xml", b"<manifest/>"),
    )
    yield box("odt", "an OpenDocument text", odt, "paper.odt", "application/vnd.oasis.opendocument.text")
    yield box(
        "doc",
        "a Word document",
        compound(word({"\5SummaryInformation": bytes(200), "\1CompObj": bytes(110)}), root_id=WORD),
        "paper.doc",
        "application/msword",
    )
    book = struct.pack("<HHHHHHI", 0x809, 8, 0x600, 5, 0, 0, 0) + bytes(4200) + struct.pack("<HH", 10, 0)
    yield box(
        "xls",
        "an Excel workbook",
        compound({"Workbook": book, "\5SummaryInformation": bytes(200)}, root_id=EXCEL),
        "paper.xls",
        "application/vnd.ms-excel",
    )
    yield box("msg", "an Outlook message with a picture", compound(msg([("photo.png", png)])), "note.msg", "application/vnd.ms-outlook")
    page = {
        1: b"<</Type/Catalog/Pages 2 0 R>>",
        2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R>>",
        4: stream(zlib.compress(b"BT ET"), b"/Filter/FlateDecode"),
    }
    pdf = written(page)
    yield box("pdf", "a PDF", pdf, "paper.pdf", "application/pdf")
    yield box(
        "pdf-objects",
        "a PDF with object streams",
        made(["qpdf", "--object-streams=generate", "--static-id", "a.pdf", "b.pdf"], {"a.pdf": pdf}, "b.pdf"),
        "paper.pdf",
        "application/pdf",
    )
    yield box(
        "pdf-linear",
        "a linearised PDF",
        made(["qpdf", "--linearize", "--static-id", "a.pdf", "b.pdf"], {"a.pdf": pdf}, "b.pdf"),
        "paper.pdf",
        "application/pdf",
    )
    invoice = with_file(
        stream(zlib.compress(b"<?xml version='1.0'?><invoice/>"), b"/Type/EmbeddedFile/Subtype/text#2Fxml/Filter/FlateDecode"),
        b"factur-x.xml",
    )
    yield box("pdf-invoice", "an invoice with its XML attached", written(invoice), "invoice.pdf", "application/pdf")
    yield box(
        "pdf-protected",
        "a PDF that anyone can open and nobody may print",
        made(["qpdf", "--static-id", "--encrypt", "", "owner", "256", "--print=none", "--", "a.pdf", "b.pdf"], {"a.pdf": pdf}, "b.pdf"),
        "paper.pdf",
        "application/pdf",
    )
    yield box(
        "rtf",
        "RTF with a picture",
        rb"{\rtf1\ansi Nothing here.{\pict\pngblip " + png.hex().encode() + rb"}\par}",
        "paper.rtf",
        "application/rtf",
    )
    yield box("eml", "a message with a picture", note(png, b"photo.png", kind=b"image/png"), "note.eml", "message/rfc822")
    rend, title = attribute(2, 0x69002, struct.pack("<HIHHI", 1, 0xFFFFFFFF, 0, 0, 0)), attribute(2, 0x18010, b"note.txt\0")
    yield box("tnef", "TNEF with a text", tnef(rend, title, attribute(2, 0x6800F, text)), "winmail.dat", "application/ms-tnef")
    body = rtf_compressed(quiet)
    yield box(
        "tnef-body",
        "TNEF with a compressed body",
        tnef(attribute(1, 0x69003, struct.pack("<I", 1) + struct.pack("<III", 0x10090102, 1, len(body)) + body + bytes(-len(body) % 4))),
        "winmail.dat",
        "application/ms-tnef",
    )
    photo = base64.b64encode(png).decode()
    folded = "\r\n ".join(photo[at : at + 70] for at in range(0, len(photo), 70))
    yield box(
        "vcard",
        "a card with a photo",
        f"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ann\r\nPHOTO;ENCODING=b;TYPE=PNG:{folded}\r\nEND:VCARD\r\n".encode(),
        "ann.vcf",
        "text/vcard",
    )
    yield box(
        "calendar",
        "a meeting",
        b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART:20260302T091244Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
        "meet.ics",
        "text/calendar",
    )
    yield box(
        "html-picture",
        "a page with a picture in a data: URI",
        f'<html><body><img src="data:image/png;base64,{photo}"></body></html>'.encode(),
        "page.html",
        "text/html",
    )
    yield box(
        "svg", "a picture", b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>', "logo.svg", "image/svg+xml"
    )
    yield box("png", "a picture of dots", png, "photo.png", "image/png")
    yield box("text", "a text", text, "note.txt", "text/plain")
    yield box("patch", "a patch in base64", b"diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-one\n+two\n", "a.patch", "text/x-patch")
    yield box("csv", "a table", b"a,b\r\n" + b"".join(b"%d,%d\r\n" % (at, at * at) for at in range(400)), "table.csv", "text/csv")
    yield box("json", "JSON with a picture in base64", ('{"photo":"' + photo + '"}').encode(), "a.json", "application/json")
    yield box(
        "pem",
        "a certificate request",
        b"-----BEGIN CERTIFICATE REQUEST-----\n" + base64.encodebytes(bytes(range(200))) + b"-----END CERTIFICATE REQUEST-----\n",
        "a.pem",
        "application/x-pem-file",
    )
