"""Office documents: OOXML, its flat form, OpenDocument, encrypted OOXML, and RTF."""

import base64
import hashlib
import hmac
import struct
import zlib

from box_rtf import rtf_object
from boxes import Box, noise, prose, run
from cfb import PACKAGE, compound, macros, package
from zips import Member, zipped

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\r\n'


def ooxml(kind="word/document.xml", extra=None, relations="", types="", main="", method=8):
    """A small OOXML package with further parts."""
    content = {
        "word/document.xml": '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>Nothing here.</w:t></w:r></w:p>%s</w:body></w:document>',
        "xl/workbook.xml": '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheets/>%s</workbook>',
        "ppt/presentation.xml": '<p:presentation xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main">%s</p:presentation>',
    }[kind] % main
    folder, _, leaf = kind.partition("/")
    mime = {"word": "wordprocessingml.document", "xl": "spreadsheetml.sheet", "ppt": "presentationml.presentation"}[folder]
    parts = {
        "[Content_Types].xml": f'{HEAD}<Types xmlns="{TYPES}"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
        f'<Default Extension="bin" ContentType="application/vnd.openxmlformats-officedocument.oleObject"/><Override PartName="/{kind}" ContentType="application/vnd.openxmlformats-officedocument.{mime}.main+xml"/>{types}</Types>',
        "_rels/.rels": f'{HEAD}<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="{RELATION}/officeDocument" Target="{kind}"/></Relationships>',
        kind: HEAD + content,
        f"{folder}/_rels/{leaf}.rels": f'{HEAD}<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{relations}</Relationships>',
    } | (extra or {})
    return zipped(*(Member(name, data.encode() if isinstance(data, str) else data, method) for name, data in parts.items()))


def boxes(payload):
    """All of them."""
    yield from packages(payload)
    yield from flat(payload)
    yield from open_documents(payload)
    yield from encrypted(payload)


def packages(payload):
    """OOXML."""
    inner = zipped(Member("eicar.com", payload))
    native = compound({"\1Ole10Native": package(b"paper.zip", inner), "\1CompObj": bytes(64)}, root_id=PACKAGE)
    ole_steps = ("zip", "ole", "package", "zip")
    for name, kind, place, file in (
        ("docx-object", "word/document.xml", "word/embeddings/oleObject1.bin", "paper.docx"),
        ("xlsx-object", "xl/workbook.xml", "xl/embeddings/oleObject1.bin", "paper.xlsx"),
        ("pptx-object", "ppt/presentation.xml", "ppt/embeddings/oleObject1.bin", "paper.pptx"),
    ):
        relation = f'<Relationship Id="rId7" Type="{RELATION}/oleObject" Target="embeddings/oleObject1.bin"/>'
        yield Box(name, "a package object", ooxml(kind, {place: native}, relation), file, ole_steps)
    source = (
        b'Attribute VB_Name = "NewMacros"\r\nSub AutoOpen()\r\na = "'
        + payload[:34]
        + b'"\r\na = "'
        + payload[34:]
        + b'"\r\na = "'
        + payload
        + b'"\r\nEnd Sub\r\n'
    )
    project = compound(macros(source))
    for name, kind, place, file in (
        ("docm-macro", "word/document.xml", "word/vbaProject.bin", "paper.docm"),
        ("xlsm-macro", "xl/workbook.xml", "xl/vbaProject.bin", "paper.xlsm"),
        ("docm-macro-elsewhere", "word/document.xml", "word/media/picture.png", "paper.docm"),
    ):
        relation = f'<Relationship Id="rId7" Type="http://schemas.microsoft.com/office/2006/relationships/vbaProject" Target="{place.partition("/")[2]}"/>'
        yield Box(name, "in the source of a macro", ooxml(kind, {place: project}, relation), file, ("zip", "ole", "vba"))
    yield Box(
        "docx-custom",
        "in a custom XML part, in base64",
        ooxml(extra={"customXml/item1.xml": b"<d>" + base64.b64encode(inner) + b"</d>"}),
        "paper.docx",
        ("zip", "base64", "zip"),
    )
    yield Box("docx-media", "as a picture", ooxml(extra={"word/media/image1.png": payload}), "paper.docx", ("zip",))
    yield Box("docx-unlisted", "a part that nothing refers to", ooxml(extra={"zz/thing.dat": payload}), "paper.docx", ("zip",))
    for kind, data, steps in (
        ("mht", mht(payload), ("zip", "mail", "zip")),
        ("html", html_data(inner), ("zip", "base64", "zip")),
        ("rtf", rtf_object(native), ("zip", "rtf", "ole", "package", "zip")),
        ("docx", ooxml(extra={"word/embeddings/oleObject1.bin": native}), ("zip",) + ole_steps),
    ):
        relation = f'<Relationship Id="rId7" Type="{RELATION}/aFChunk" Target="chunk.{kind}"/>'
        yield Box(
            f"docx-chunk-{kind}",
            f"an alternative chunk: {kind}",
            ooxml(extra={f"word/chunk.{kind}": data}, relations=relation, main='<w:altChunk w:id="rId7"/>'),
            "paper.docx",
            steps,
        )
    yield Box(
        "docx-workbook",
        "a workbook with a package object in a document",
        ooxml(extra={"word/embeddings/sheet1.xlsx": ooxml("xl/workbook.xml", {"xl/embeddings/oleObject1.bin": native})}),
        "paper.docx",
        ("zip",) + ole_steps,
    )
    away = f'<Relationship Id="rId7" Type="{RELATION}/attachedTemplate" Target="http://away.example/a.dotm" TargetMode="External"/>'
    yield Box(
        "docx-external",
        "a template from elsewhere, and a package object",
        ooxml(extra={"word/embeddings/oleObject1.bin": native}, relations=away),
        "paper.docx",
        ole_steps,
    )
    yield Box("docx-stored", "all parts stored", ooxml(extra={"word/embeddings/oleObject1.bin": native}, method=0), "paper.docx", ole_steps)
    yield Box("docx-bzip2", "all parts by bzip2", ooxml(extra={"word/media/a.bin": payload}, method=12), "paper.docx", ("zip",))
    yield Box(
        "docx-active-x",
        "an ActiveX part",
        ooxml(extra={"word/activeX/activeX1.bin": compound({"contents": prose(80) + payload}, scatter=True)}),
        "paper.docx",
        ("zip", "ole"),
    )
    yield Box(
        "docx-printer",
        "printer settings of a workbook",
        ooxml("xl/workbook.xml", {"xl/printerSettings/printerSettings1.bin": inner}),
        "paper.xlsx",
        ("zip", "zip"),
    )
    yield Box(
        "xlsb-object",
        "a binary workbook with a package object",
        ooxml("xl/workbook.xml", {"xl/workbook.bin": noise(300), "xl/embeddings/oleObject1.bin": native}),
        "paper.xlsb",
        ole_steps,
    )
    yield Box(
        "docx-as-doc",
        "named doc",
        ooxml(extra={"word/embeddings/oleObject1.bin": native}),
        "paper.doc",
        ole_steps,
        declared="application/msword",
    )
    yield Box(
        "docx-as-pdf",
        "named pdf",
        ooxml(extra={"word/embeddings/oleObject1.bin": native}),
        "paper.pdf",
        ole_steps,
        declared="application/pdf",
    )
    yield Box(
        "docx-plain",
        "in the comment of a document's core properties",
        ooxml(extra={"docProps/core.xml": b"<c><![CDATA[" + payload + b"]]></c>"}),
        "paper.docx",
        ("zip",),
        declared=DOCX,
    )
    yield Box(
        "appx",
        "a Windows application package",
        zipped(Member("AppxManifest.xml", b"<Package/>"), Member("AppxSignature.p7x", b"PKCX" + noise(50)), Member("a.exe", payload)),
        "tool.appx",
        ("zip",),
    )
    yield Box(
        "odd-xps",
        "an XPS document with an odd part",
        zipped(Member("FixedDocSeq.fdseq", b"<a/>"), Member("Resources/x.odttf", payload)),
        "paper.xps",
        ("zip",),
    )


def flat(payload):
    """Documents in one XML file."""
    inner = zipped(Member("eicar.com", payload))
    text = base64.encodebytes(inner).decode()
    word = f'{HEAD}<?mso-application progid="Word.Document"?><w:wordDocument xmlns:w="http://schemas.microsoft.com/office/word/2003/wordml"><w:body>%s</w:body></w:wordDocument>'
    yield Box(
        "xml-word-2003",
        "Word 2003 XML: binary data in base64",
        (word % f'<w:pict><w:binData w:name="wordml://1.zip" xml:space="preserve">{text}</w:binData></w:pict>').encode(),
        "paper.xml",
        ("base64", "zip"),
    )
    mso = zlib.compress(compound({"\1Ole10Native": package(b"paper.zip", inner)}))
    active = b"ActiveMime" + bytes.fromhex("0000f001040000000000000000000000") + struct.pack("<I", len(mso)) + bytes(20)
    active = active[:50].ljust(50, b"\0") + mso
    coded = base64.encodebytes(active).decode()
    yield Box(
        "xml-word-2003-mso",
        "Word 2003 XML: editdata.mso",
        (word % f'<w:docSuppData><w:binData w:name="editdata.mso">{coded}</w:binData></w:docSuppData>').encode(),
        "paper.doc",
        ("base64", "active-mime", "ole", "package", "zip"),
    )
    yield Box("active-mime", "ActiveMime by itself", active, "editdata.mso", ("active-mime", "ole", "package", "zip"))
    pkg = f'{HEAD}<?mso-application progid="Word.Document"?><pkg:package xmlns:pkg="http://schemas.microsoft.com/office/2006/xmlPackage"><pkg:part pkg:name="/word/embeddings/x.bin" pkg:contentType="application/octet-stream" pkg:compression="store"><pkg:binaryData>{text}</pkg:binaryData></pkg:part></pkg:package>'
    yield Box("xml-flat-opc", "flat OOXML", pkg.encode(), "paper.xml", ("base64", "zip"))
    yield Box("xml-flat-opc-doc", "flat OOXML named doc", pkg.encode(), "paper.doc", ("base64", "zip"), declared="application/msword")
    yield Box(
        "xml-flat-opc-utf16",
        "flat OOXML in UTF-16",
        pkg.replace('"UTF-8"', '"UTF-16"').encode("utf-16"),
        "paper.xml",
        ("utf-16", "base64", "zip"),
    )
    yield Box(
        "xml-cdata",
        "XML with base64 in CDATA",
        f"{HEAD}<file name='paper.zip'><![CDATA[{text}]]></file>".encode(),
        "paper.xml",
        ("base64", "zip"),
    )
    fodt = f'{HEAD}<office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" office:mimetype="application/vnd.oasis.opendocument.text"><office:body><office:text><office:binary-data>{text}</office:binary-data></office:text></office:body></office:document>'
    yield Box("xml-fodt", "a flat OpenDocument text", fodt.encode(), "paper.fodt", ("base64", "zip"))
    infopath = f"{HEAD}<?mso-infoPathSolution?><my:f xmlns:my='m'><my:file>{base64.b64encode(bytes.fromhex('c7494641') + struct.pack('<IIII', 20, 1, len(inner), 10) + 'paper.zip'.encode('utf-16-le') + bytes(2) + inner).decode()}</my:file></my:f>"
    yield Box("xml-infopath", "an InfoPath form with a file in base64", infopath.encode(), "form.xml", ("base64", "zip-at"))


def open_documents(payload):
    """OpenDocument."""
    inner = zipped(Member("eicar.com", payload))
    native = compound({"\1Ole10Native": package(b"paper.zip", inner)}, root_id=PACKAGE)

    def odt(extra, kind="text"):
        first = Member("mimetype", f"application/vnd.oasis.opendocument.{kind}".encode(), 0)
        manifest = Member(
            "META-INF/manifest.xml", b'<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
        )
        return zipped(
            first, Member("content.xml", b"<office:document-content/>"), *(Member(name, data) for name, data in extra.items()), manifest
        )

    yield Box("odt-object", "a compound file as an object", odt({"Object 1": native}), "paper.odt", ("zip", "ole", "package", "zip"))
    yield Box(
        "odt-folder-object",
        "an object that is a document in a folder",
        odt({"Object 1/content.xml": b"<x>" + payload + b"</x>"}),
        "paper.odt",
        ("zip",),
    )
    yield Box(
        "ods-basic",
        "in a script in Basic",
        odt(
            {"Basic/Standard/Module1.xml": b"<script:module><![CDATA[Sub Main\n' " + payload + b"\nEnd Sub]]></script:module>"},
            "spreadsheet",
        ),
        "paper.ods",
        ("zip",),
    )
    yield Box(
        "odp-python",
        "in a script in Python",
        odt({"Scripts/python/x.py": b"x = '" + payload + b"'\n"}, "presentation"),
        "paper.odp",
        ("zip",),
    )
    yield Box("odt-picture", "as a picture, a zip", odt({"Pictures/1.png": inner}), "paper.odt", ("zip", "zip"))
    yield Box(
        "odt-docx", "a Word document as an object", odt({"Object 1": ooxml(extra={"word/x.bin": payload})}), "paper.odt", ("zip", "zip")
    )


def derived(password, salt, spins):
    """The hash of a password ([MS-OFFCRYPTO] 2.3.4.11)."""
    value = hashlib.sha512(salt + password.encode("utf-16-le")).digest()
    for at in range(spins):
        value = hashlib.sha512(struct.pack("<I", at) + value).digest()
    return value


def aes(key, vector, data, bits=256):
    """AES-CBC by openssl; padded with noughts."""
    data += bytes(-len(data) % 16)
    return run(["openssl", "enc", f"-aes-{bits}-cbc", "-K", key.hex(), "-iv", vector.hex(), "-nopad"], data)


def agile(plain, password):
    """An OOXML package by agile encryption: AES-256, SHA-512, all salts fixed."""
    salt, key_salt, key, spins = noise(16, 1), noise(16, 2), noise(32, 3), 1000
    base = derived(password, salt, spins)

    def by(block, data):
        return aes(hashlib.sha512(base + block).digest()[:32], salt, data)

    check = noise(16, 4)
    check_in = by(bytes.fromhex("fea7d2763b4b9e79"), check)
    check_out = by(bytes.fromhex("d7aa0f6d3061344e"), hashlib.sha512(check).digest())
    key_out = by(bytes.fromhex("146e0be7abacd0d6"), key)
    body = struct.pack("<Q", len(plain))
    for at in range(0, len(plain), 4096):
        vector = hashlib.sha512(key_salt + struct.pack("<I", at // 4096)).digest()[:16]
        body += aes(key, vector, plain[at : at + 4096])

    def coded(data):
        return base64.b64encode(data).decode()

    # The sums that guard against change.
    hmac_key = noise(64, 5)
    hmac_value = hmac.new(hmac_key, body, "sha512").digest()
    hmac_key_out = aes(key, hashlib.sha512(key_salt + bytes.fromhex("5fb2ad010cb9e1f6")).digest()[:16], hmac_key)
    hmac_value_out = aes(key, hashlib.sha512(key_salt + bytes.fromhex("a0677f02b22c8433")).digest()[:16], hmac_value)
    common = 'saltSize="16" blockSize="16" keyBits="256" hashSize="64" cipherAlgorithm="AES" cipherChaining="ChainingModeCBC" hashAlgorithm="SHA512"'
    info = (
        f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\r\n<encryption xmlns="http://schemas.microsoft.com/office/2006/encryption" xmlns:p="http://schemas.microsoft.com/office/2006/keyEncryptor/password">'
        f'<keyData {common} saltValue="{coded(key_salt)}"/><dataIntegrity encryptedHmacKey="{coded(hmac_key_out)}" encryptedHmacValue="{coded(hmac_value_out)}"/>'
        f'<keyEncryptors><keyEncryptor uri="http://schemas.microsoft.com/office/2006/keyEncryptor/password"><p:encryptedKey spinCount="{spins}" {common} saltValue="{coded(salt)}" '
        f'encryptedVerifierHashInput="{coded(check_in)}" encryptedVerifierHashValue="{coded(check_out)}" encryptedKeyValue="{coded(key_out)}"/></keyEncryptor></keyEncryptors></encryption>'
    )
    return compound({"EncryptionInfo": struct.pack("<HHI", 4, 4, 0x40) + info.encode(), "EncryptedPackage": body})


def encrypted(payload):
    """Encrypted OOXML. What it decrypts to is proved by msoffcrypto where that is installed."""
    inner = zipped(Member("eicar.com", payload))
    native = compound({"\1Ole10Native": package(b"paper.zip", inner)}, root_id=PACKAGE)
    plain = ooxml(extra={"word/embeddings/oleObject1.bin": native})
    after = ("zip", "ole", "package", "zip")
    yield Box(
        "docx-locked", "an encrypted document, no password", agile(plain, "winter26"), "paper.docx", ("office:winter26",) + after, "held"
    )
    yield Box(
        "docx-password",
        "an encrypted document, the password in the text",
        agile(plain, "winter26"),
        "paper.docx",
        ("office:winter26",) + after,
        "held",
        text="Password: winter26\r\n",
    )
    yield Box(
        "xlsx-velvet",
        "an encrypted workbook by the password that Excel tries of itself",
        agile(plain, "VelvetSweatshop"),
        "paper.xlsx",
        ("office:VelvetSweatshop",) + after,
        "held",
    )


def mht(payload):
    """A web archive with the payload's zip in a part."""
    inner = base64.encodebytes(zipped(Member("eicar.com", payload))).replace(b"\n", b"\r\n")
    return (
        b'MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary="=_m"\r\n\r\n--=_m\r\nContent-Type: text/html\r\nContent-Location: file:///C:/a.htm\r\n\r\n<html></html>\r\n'
        b"--=_m\r\nContent-Location: file:///C:/a.zip\r\nContent-Transfer-Encoding: base64\r\nContent-Type: application/octet-stream\r\n\r\n"
        + inner
        + b"\r\n--=_m--\r\n"
    )


def html_data(inner):
    """A page with a data: URI."""
    return (
        b'<html><body><a download="paper.zip" href="data:application/zip;base64,' + base64.b64encode(inner) + b'">paper</a></body></html>'
    )
