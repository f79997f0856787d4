"""Files of text that hold a file: pages, pictures, XML, mail formats of old, signed and compressed CMS, PGP."""

import base64
import binascii
import bz2
import gzip
import struct
import tempfile
import zlib

from box_office import html_data
from boxes import Box, noise, prose, run
from zips import Member, zipped


def boxes(payload):
    """All of them."""
    inner = zipped(Member("eicar.com", payload))
    yield from pages(payload, inner)
    yield from coded(payload, inner)
    yield from tailed(payload, inner)
    yield from sealed(payload, inner)


def pages(payload, inner):
    """Pages and pictures whose script or link hands the reader a file."""
    text = base64.b64encode(inner).decode()

    def box(name, idea, data, file="page.html", steps=("base64", "zip"), **more):
        data = data if isinstance(data, bytes) else data.encode()
        return Box(f"page-{name}", idea, data, file, steps, **({"declared": "text/html"} | more))

    script = '<html><body><script>var d="%s";var b=atob(d),n=b.length,u=new Uint8Array(n);while(n--)u[n]=b.charCodeAt(n);var a=document.createElement("a");a.href=URL.createObjectURL(new Blob([u]));a.download="paper.zip";a.click();</script></body></html>'
    yield box("smuggled", "a script makes a file of base64 and hands it out", script % text)
    yield box("smuggled-pieces", "the base64 in pieces that the script joins", script.replace('"%s"', " + ".join(f'"{text[at : at + 60]}"' for at in range(0, len(text), 60))), steps=("joined", "base64", "zip"))
    yield box("smuggled-array", "the base64 in a list that the script joins", script.replace('"%s"', "[" + ",".join(f"'{text[at : at + 40]}'" for at in range(0, len(text), 40)) + "].join('')"), steps=("joined", "base64", "zip"))
    yield box("smuggled-reversed", "the base64 from back to front", script.replace('"%s"', f'"{text[::-1]}".split("").reverse().join("")'), steps=("reversed", "base64", "zip"))
    yield box("smuggled-numbers", "the bytes as a list of numbers", "<html><script>var u=new Uint8Array([" + ",".join(map(str, inner)) + "]);location=URL.createObjectURL(new Blob([u]));</script></html>", steps=("numbers", "zip"))
    yield box("smuggled-hex-numbers", "the bytes as a list of numbers in hex", "<html><script>var u=new Uint8Array([" + ",".join(map(hex, inner)) + "]);location=URL.createObjectURL(new Blob([u]));</script></html>", steps=("numbers", "zip"))
    escaped = "".join(f"\\x{byte:02x}" for byte in inner)
    yield box("smuggled-escapes", "the bytes as escapes in a string", f'<html><script>var s="{escaped}";</script></html>', steps=("escapes", "zip"))
    percent = "".join(f"%{byte:02x}" for byte in (b"<script>d='" + base64.b64encode(inner) + b"'</script>"))
    yield box("smuggled-unescape", "a page written by unescape()", f'<html><script>document.write(unescape("{percent}"));</script></html>', steps=("percent", "base64", "zip"))
    yield box("smuggled-hex", "the bytes in hex", f'<html><script>var h="{inner.hex()}";</script></html>', steps=("hex", "zip"))
    yield box("data-link", "a link with a data: URI", html_data(inner))
    hexed = "".join(f"%{byte:02X}" for byte in inner)
    yield box("data-percent", "a data: URI without base64", f'<html><a href="data:application/zip,{hexed}">paper</a></html>', steps=("percent", "zip"))
    yield box("data-frame", "a page in a data: URI in a frame, a data: URI in it", '<html><iframe src="data:text/html;base64,' + base64.b64encode(html_data(inner)).decode() + '"></iframe></html>', steps=("base64", "base64", "zip"))
    yield box("data-entities", "a data: URI with entities", '<html><a href="' + "".join(f"&#{ord(letter)};" for letter in "data:application/zip;base64," + text) + '">paper</a></html>', steps=("entities", "base64", "zip"))
    yield box("srcdoc", "a page in an attribute", '<html><iframe srcdoc="' + (script % text).replace('"', "&quot;").replace("<", "&lt;") + '"></iframe></html>')
    yield box("utf16", "a page in UTF-16", (script % text).encode("utf-16"), steps=("utf-16", "base64", "zip"))
    yield box("htm", "named htm, declared as nothing in particular", script % text, "page.htm", declared="application/octet-stream")
    yield box("xhtml", "named xhtml", script % text, "page.xhtml", declared="application/xhtml+xml")
    yield box("hta", "an HTML application", script % text, "page.hta", declared="application/octet-stream")
    svg = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">%s</svg>'
    yield box("svg-link", "a picture with a data: URI", svg % f'<a xlink:href="data:application/zip;base64,{text}"><rect/></a>', "photo.svg", declared="image/svg+xml")
    yield box("svg-script", "a picture with a script that hands out a file", svg % f'<script><![CDATA[var d=atob("{text}");]]></script>', "photo.svg", declared="image/svg+xml")
    yield box("svg-object", "a picture with a foreign object", svg % f'<foreignObject><body xmlns="http://www.w3.org/1999/xhtml"><a download="a.zip" href="data:application/zip;base64,{text}">a</a></body></foreignObject>', "photo.svg", declared="image/svg+xml")
    yield box("svgz", "a compressed picture with a data: URI", gzip.compress((svg % f'<a xlink:href="data:application/zip;base64,{text}"><rect/></a>').encode(), mtime=0), "photo.svgz", ("gz", "base64", "zip"), declared="image/svg+xml")
    yield box("js", "a script by itself", f'var d = "{text}";', "run.js", declared="text/javascript")
    yield box("vbs", "a script in Basic", "d = \"" + '" & _\r\n"'.join(text[at : at + 60] for at in range(0, len(text), 60)) + '"\r\n', "run.vbs", ("joined", "base64", "zip"), declared="text/plain")
    yield box("powershell", "a script for PowerShell", f"[IO.File]::WriteAllBytes('a.zip',[Convert]::FromBase64String('{text}'))", "run.ps1", declared="text/plain")
    yield box("batch", "a batch file with a certificate's armour", "@certutil -decode %0 a.zip & goto :eof\r\n-----BEGIN CERTIFICATE-----\r\n" + base64.encodebytes(inner).decode().replace("\n", "\r\n") + "-----END CERTIFICATE-----\r\n", "run.cmd", declared="text/plain")
    yield box("css", "a style sheet with a data: URI", f"body{{background:url(data:application/zip;base64,{text})}}", "a.css", declared="text/css")
    yield box("json", "JSON with base64", '{"name":"paper.zip","data":"' + text.replace("/", "\\/") + '"}', "a.json", ("slashes", "base64", "zip"), declared="application/json")
    yield box("markdown", "Markdown with a data: URI", f"[paper](data:application/zip;base64,{text})\n", "note.md", declared="text/markdown")


def coded(payload, inner):
    """Files in the codings of old mail, and cards."""
    text = base64.encodebytes(inner).decode().replace("\n", "\r\n")
    folded = "\r\n ".join(base64.b64encode(inner).decode()[at : at + 70] for at in range(0, len(base64.b64encode(inner)), 70))
    uu = b"begin 644 paper.zip\r\n" + b"".join(binascii.b2a_uu(inner[at : at + 45]).rstrip(b"\n") + b"\r\n" for at in range(0, len(inner), 45)) + b"`\r\nend\r\n"
    yield Box("file-uu-file", "a uuencoded file", uu, "paper.uue", ("uu", "zip"))
    yield Box("file-uu-text", "a uuencoded file named as text", prose(90) + b"\r\n\r\n" + uu, "note.txt", ("uu", "zip"), declared="text/plain")
    yield Box("file-base64-file", "a file in base64", text.encode(), "paper.b64", ("base64", "zip"))
    yield Box("file-base64-begin", "a file in base64 by uuencode -m", b"begin-base64 644 paper.zip\r\n" + text.encode() + b"====\r\n", "paper.txt", ("base64-begin", "zip"), declared="text/plain")
    yield Box("file-base64-twice", "a file in base64 in base64", base64.encodebytes(text.encode()), "paper.b64", ("base64", "base64", "zip"))
    yield Box("file-base64-url", "a file in base64 of the URL alphabet", base64.urlsafe_b64encode(inner), "paper.b64", ("base64-url", "zip"))
    yield Box("file-binhex", "BinHex", binhex(b"paper.zip", inner), "paper.hqx", ("unar", "zip"), declared="application/mac-binhex40")
    yield Box("file-binhex-text", "BinHex named as text", prose(60) + b"\r\n" + binhex(b"paper.zip", inner), "note.txt", ("hqx-at", "zip"), declared="text/plain")
    entries = struct.pack(">II16sH", 0x00051600, 0x20000, bytes(16), 1) + struct.pack(">III", 1, 38, len(inner))
    yield Box("file-apple-single", "AppleSingle", entries + inner, "paper.as", ("unar|single", "zip"), declared="application/applefile")
    yield Box("file-apple-double", "the resource fork of AppleDouble", struct.pack(">II16sH", 0x00051607, 0x20000, bytes(16), 1) + struct.pack(">III", 2, 38, len(inner)) + inner, "._paper", ("package-loose", "zip"))
    head = bytes([0, 9]) + b"paper.zip".ljust(63, b"\0") + b"ZIP ????" + bytes(10) + struct.pack(">II", len(inner), 0)
    head = head.ljust(122, b"\0") + bytes([129, 129])
    head += struct.pack(">H", binascii.crc_hqx(head, 0)) + bytes(2)
    yield Box("file-mac-binary", "MacBinary", head[:128] + inner + bytes(-len(inner) % 128), "paper.bin", ("unar|package-loose", "zip"), declared="application/x-macbinary")
    yield Box("file-vcard", "a card with a photo that is a zip", f"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ann\r\nPHOTO;ENCODING=b;TYPE=JPEG:{folded}\r\nEND:VCARD\r\n".encode(), "ann.vcf", ("base64", "zip"), declared="text/vcard")
    yield Box("file-vcard-4", "a card with a data: URI", f"BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Ann\r\nPHOTO:data:image/jpeg;base64,{folded}\r\nEND:VCARD\r\n".encode(), "ann.vcf", ("unfolded", "base64", "zip"), declared="text/vcard")
    quoted = "".join(f"={byte:02X}" for byte in payload)
    yield Box("file-vcard-2", "a card of version 2.1 in quoted-printable", f"BEGIN:VCARD\r\nVERSION:2.1\r\nN:A\r\nNOTE;ENCODING=QUOTED-PRINTABLE:{quoted}\r\nEND:VCARD\r\n".encode(), "ann.vcf", ("quoted",), declared="text/x-vcard")
    yield Box("file-calendar", "a meeting with a file in base64", f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nATTACH;ENCODING=BASE64;VALUE=BINARY;X-FILENAME=paper.zip:{folded}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n".encode(), "meet.ics", ("base64", "zip"), declared="text/calendar")
    ldif = f"dn: cn=a\r\ncn: a\r\njpegPhoto:: {folded}\r\n"
    yield Box("file-ldif", "an LDIF with a photo", ldif.encode(), "ann.ldif", ("base64", "zip"), declared="text/plain")
    yield Box("file-hex-file", "a file in hex", inner.hex().encode(), "paper.hex", ("hex", "zip"), declared="text/plain")
    intel = b"".join(hex_record(at, inner[at : at + 16]) for at in range(0, len(inner), 16)) + b":00000001FF\r\n"
    yield Box("file-intel-hex", "Intel HEX", intel, "paper.hex", ("7z-ihex", "zip"), declared="text/plain")
    yenc = b"".join(b"=" + bytes([(value + 64) & 255]) if value in (0, 10, 13, 61) else bytes([value]) for value in ((byte + 42) & 255 for byte in inner))
    yield Box("file-yenc-file", "a file by yEnc", b"=ybegin line=9999 size=%d name=paper.zip\r\n" % len(inner) + yenc + b"\r\n=yend size=%d\r\n" % len(inner), "paper.ync", ("yenc", "zip"))


def hex_record(at, data):
    """A line of Intel HEX."""
    body = struct.pack(">BHB", len(data), at, 0) + data
    return b":" + (body + bytes([-sum(body) & 255])).hex().upper().encode() + b"\r\n"


def binhex(name, data):
    """BinHex 4.0 (RFC 1741)."""
    def summed(part):
        value = 0
        for byte in part + b"\0\0":
            for bit in range(8):
                top = value >> 15
                value = (value << 1 | byte >> (7 - bit) & 1) & 0xFFFF
                value ^= 0x1021 if top else 0
        return part + struct.pack(">H", value)

    raw = summed(bytes([len(name)]) + name + b"\0ZIP ????" + struct.pack(">HII", 0, len(data), 0)) + summed(data) + summed(b"")
    raw = raw.replace(b"\x90", b"\x90\0")
    alphabet = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr"
    value = "".join(format(byte, "08b") for byte in raw)
    value += "0" * (-len(value) % 6)
    text = b":" + bytes(alphabet[int(value[at : at + 6], 2)] for at in range(0, len(value), 6)) + b":"
    return b"(This file must be converted with BinHex 4.0)\r\n\r\n" + b"\r\n".join(text[at : at + 64] for at in range(0, len(text), 64)) + b"\r\n"


def tailed(payload, inner):
    """Shortcuts and pictures with an archive behind them, and other files that hold one."""
    link = bytes.fromhex("4c0000000114020000000000c000000000000046") + struct.pack("<I", 0x80) + bytes(52)
    yield Box("file-lnk-tail", "a shortcut with a zip behind it", link + bytes(8) + inner, "paper.lnk", ("zip",))
    yield Box("file-url-tail", "an Internet shortcut with a zip behind it", b"[InternetShortcut]\r\nURL=http://away.example/\r\n" + inner, "paper.url", ("zip",))
    yield Box("file-exe-gzip", "a program with a gzip among its bytes", b"MZ" + bytes(600) + gzip.compress(payload, mtime=0) + bytes(90), "setup.exe", ("deflate-at",))
    png = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)), (b"zTXt", b"a\0\0" + zlib.compress(payload)), (b"IDAT", zlib.compress(b"\0\0")), (b"IEND", b"")):
        png += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    yield Box("file-png-gzip", "a picture with a gzip behind it", png.replace(b"zTXt", b"zTXu") + gzip.compress(payload, mtime=0), "photo.png", ("deflate-at",), declared="image/png")
    crx = b"Cr24" + struct.pack("<III", 3, 10, 0)[:8] + noise(10) + inner
    yield Box("file-crx", "a browser's extension", crx, "tool.crx", ("zip",))
    yield Box("file-swf", "Flash, compressed", b"CWS\x0a" + struct.pack("<I", 8 + 200 + len(payload)) + zlib.compress(prose(200) + payload), "a.swf", ("7z|zlib-8",))
    yield Box("file-sqlite", "a database's name on a gzip", gzip.compress(payload, mtime=0), "a.sqlite", ("gz",))
    yield Box("file-eml-as-txt", "a message named as text", b"From: a@b.example\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(inner), "note.txt", ("mail", "zip"), declared="text/plain")


def packet(tag, data):
    """An OpenPGP packet of the new form."""
    size = bytes([len(data)]) if len(data) < 192 else bytes([255]) + struct.pack(">I", len(data))
    return bytes([0xC0 | tag]) + size + data


def sealed(payload, inner):
    """CMS and PGP that hide nothing, but have to be opened."""
    with tempfile.TemporaryDirectory() as folder:
        run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "k.pem", "-out", "c.pem", "-days", "9", "-subj", "/CN=Ann", "-batch"], folder=folder)
        for form in ("DER", "PEM"):
            data = run(["openssl", "cms", "-sign", "-nodetach", "-binary", "-signer", "c.pem", "-inkey", "k.pem", "-outform", form], inner, folder)
            yield Box(f"file-cms-signed-{form.lower()}", f"a zip in an opaque signed file, {form}", data, "paper.zip.p7m", ("cms" if form == "DER" else "cms-pem", "zip"), declared="application/pkcs7-mime")
        entity = b"Content-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(inner).replace(b"\n", b"\r\n")
        data = run(["openssl", "cms", "-sign", "-nodetach", "-binary", "-signer", "c.pem", "-inkey", "k.pem", "-outform", "DER"], entity, folder)
        yield Box("file-cms-entity", "a message's part in an opaque signed file", data, "smime.p7m", ("cms", "mail", "zip"), declared="application/pkcs7-mime; smime-type=signed-data")
        data = run(["openssl", "cms", "-sign", "-stream", "-nodetach", "-binary", "-signer", "c.pem", "-inkey", "k.pem", "-outform", "DER"], prose(5000) + payload, folder)
        yield Box("file-cms-pieces", "signed, its content in pieces of indefinite length", data, "paper.p7m", ("cms",), clear=True)
        twice = run(["openssl", "cms", "-sign", "-nodetach", "-binary", "-signer", "c.pem", "-inkey", "k.pem", "-outform", "DER"], run(["openssl", "cms", "-sign", "-nodetach", "-binary", "-signer", "c.pem", "-inkey", "k.pem", "-outform", "DER"], inner, folder), folder)
        yield Box("file-cms-twice", "signed twice", twice, "paper.p7m", ("cms", "cms", "zip"), declared="application/pkcs7-mime")
        data = run(["openssl", "cms", "-data_create", "-binary", "-outform", "DER"], inner, folder)
        yield Box("file-cms-data", "plain CMS data", data, "paper.p7m", ("cms-data", "zip"), declared="application/pkcs7-mime")
        data = run(["openssl", "cms", "-encrypt", "-binary", "-aes256", "-outform", "DER", "c.pem"], inner, folder)
        yield Box("file-cms-encrypted", "encrypted CMS", data, "smime.p7m", ("none",), want="held", declared="application/pkcs7-mime; smime-type=enveloped-data")
        locked = run(["openssl", "enc", "-aes-256-cbc", "-pbkdf2", "-k", "winter26"], inner, folder)
        yield Box("file-openssl-enc", "a file encrypted by openssl enc", locked, "paper.enc", ("none",), want="held")
    yield Box("file-cms-compressed", "compressed CMS", cms_compressed(payload), "smime.p7z", ("cms-compressed",), declared="application/pkcs7-mime; smime-type=compressed-data")
    literal = packet(11, b"b\x09paper.zip" + bytes(4) + inner)
    yield Box("file-pgp-literal", "PGP literal data", literal, "paper.pgp", ("gpg", "zip"))
    for number, pack in ((1, lambda data: zlib.compress(data)[2:-4]), (2, zlib.compress), (3, bz2.compress)):
        plain = packet(11, b"b\x09eicar.com" + bytes(4) + payload)
        yield Box(f"file-pgp-compressed-{number}", f"PGP compressed data, method {number}", packet(8, bytes([number]) + pack(plain)), "paper.gpg", ("gpg",), declared="application/octet-stream")
    old = bytes([0x80 | 11 << 2 | 3]) + b"b\x09paper.zip" + bytes(4) + inner
    yield Box("file-pgp-old", "PGP literal data of the old form and no length", old, "paper.pgp", ("gpg", "zip"))
    body = b"b\x09paper.zip" + bytes(4) + inner + prose(700)
    partial = bytes([0xC0 | 11, 224 + 9]) + body[:512] + bytes([len(body) - 512 - 192 >> 8 | 192, len(body) - 512 - 192 & 255]) + body[512:]
    yield Box("file-pgp-partial", "PGP literal data in pieces", partial, "paper.pgp", ("gpg", "zip"))
    armour = run(["gpg", "--enarmor"], literal).replace(b"ARMORED FILE", b"MESSAGE")
    yield Box("file-pgp-armour", "PGP literal data in armour", armour, "paper.asc", ("gpg", "zip"), declared="text/plain")
    dashed = base64.b64encode(packet(8, b"\2" + zlib.compress(packet(11, b"b\x09eicar.com" + bytes(4) + payload))))
    yield Box("file-pgp-armour-loose", "compressed PGP in armour without sum, after text", prose(80) + b"\n\n-----BEGIN PGP MESSAGE-----\n\n" + dashed + b"\n-----END PGP MESSAGE-----\n", "note.txt", ("gpg",), declared="text/plain")
    with tempfile.TemporaryDirectory() as folder:
        locked = run(["gpg", "--homedir", folder, "--batch", "--passphrase", "winter26", "--pinentry-mode", "loopback", "-c", "-o", "-"], inner)
        run(["gpgconf", "--homedir", folder, "--kill", "all"])
    yield Box("file-pgp-locked", "PGP encrypted by a password", locked, "paper.gpg", ("none",), want="held")


def cms_compressed(payload):
    """CompressedData (RFC 3274), by hand."""
    def der(tag, body):
        size = bytes([len(body)]) if len(body) < 128 else bytes([0x82]) + struct.pack(">H", len(body))
        return bytes([tag]) + size + body

    content = der(0x30, bytes.fromhex("06092a864886f70d010701") + der(0xA0, der(0x04, zlib.compress(payload))))
    body = der(0x30, b"\x02\x01\x00" + der(0x30, bytes.fromhex("060b2a864886f70d0109100308")) + content)
    return der(0x30, bytes.fromhex("060b2a864886f70d0109100109") + der(0xA0, body))
