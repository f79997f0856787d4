"""Disguises in sealed forms that no key is needed for: OpenPGP literal data, S/MIME signed data."""

import base64
import binascii
import bz2
import hashlib
import random
import shutil
import subprocess
import tempfile
import zlib
from pathlib import Path

from boundaries import uu
from frame import CRLF, b64
from pieces import BASE64, TEXT, Shelf, leaf, multi, single


def packet(tag, content, form="old"):
    """An OpenPGP packet: old or new format, or new with partial lengths."""
    if form == "old":
        return bytes([0x80 | tag << 2 | 1]) + len(content).to_bytes(2, "big") + content
    if form == "indeterminate":
        return bytes([0x80 | tag << 2 | 3]) + content
    if form == "partial":
        out, left = b"", content
        size = 512
        while len(left) > size:
            out, left = out + bytes([0xE0 | 9]) + left[:size], left[size:]
        return bytes([0xC0 | tag]) + out + length(len(left)) + left
    return bytes([0xC0 | tag]) + length(len(content)) + content


def length(size):
    """A new-format length."""
    if size < 192:
        return bytes([size])
    if size < 8384:
        return bytes([(size - 192 >> 8) + 192, size - 192 & 255])
    return b"\xff" + size.to_bytes(4, "big")


def crc24(data):
    """The checksum of OpenPGP armour."""
    crc = 0xB704CE
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return (crc & 0xFFFFFF).to_bytes(3, "big")


def armour(data, title=b"MESSAGE", fields=b"Version: 1\r\n", check=True):
    """OpenPGP's base64 form."""
    return (b"-----BEGIN PGP " + title + b"-----\r\n" + fields + CRLF + b64(data, 64) +
            (b"=" + base64.b64encode(crc24(data)) + CRLF if check else b"") + b"-----END PGP " + title + b"-----\r\n")


def openpgp(payload):
    """OpenPGP messages that are not encrypted."""
    shelf = Shelf("pgp", "OpenPGP, not encrypted")
    text = b"Content-Type: text/plain\r\n\r\nHello.\r\n\r\n"

    def literal(data, form="old"):
        return packet(11, b"b\x09paper.com" + bytes(4) + data, form)

    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    raw = squeezed.compress(literal(payload)) + squeezed.flush()
    long = b"\r\n".join([b"filler %d" % at for at in range(200)]) + payload
    noise = random.Random(7).randbytes(1500)
    binary = [
        ("literal", "a literal packet", literal(payload)),
        ("literal-new", "a literal packet in the new format", literal(payload, "new")),
        ("literal-partial", "a literal packet with partial lengths, the payload cut by one", literal(noise[: 512 * 2 - 30] + payload + noise[:300], "partial")),
        ("literal-indeterminate", "a literal packet of indeterminate length", literal(payload, "indeterminate")),
        ("marker-first", "a marker packet, then a literal packet", packet(10, b"PGP") + literal(payload)),
        ("zip", "compressed (ZIP)", packet(8, b"\x01" + raw)),
        ("zlib", "compressed (ZLIB)", packet(8, b"\x02" + zlib.compress(literal(payload), 9))),
        ("bzip2", "compressed (BZip2)", packet(8, b"\x03" + bz2.compress(literal(payload)))),
        ("zip-indeterminate", "compressed (ZIP), of indeterminate length", packet(8, b"\x01" + raw, "indeterminate")),
        ("zip-new", "compressed (ZIP), new format", packet(8, b"\x01" + raw, "new")),
        ("compressed-none", "compressed by nothing", packet(8, b"\x00" + literal(payload))),
        ("zlib-twice", "compressed twice", packet(8, b"\x02" + zlib.compress(packet(8, b"\x02" + zlib.compress(literal(payload)))))),
    ]
    for name, idea, data in binary:
        shelf.add(name, f"{idea}, in a plain text", single(text + armour(data)), ("gpg",))
    for name, idea, data in (binary[0], binary[5]):
        shelf.add(f"{name}-attached", f"{idea}, as a binary attachment", multi(TEXT, leaf(b"", kind=b'Content-Type: application/octet-stream; name="p.gpg"\r\n', body=b64(data))), ("gpg",))
    data = binary[6][2]
    shelf.add("armour-no-checksum", "no checksum", single(text + armour(data, check=False)), ("gpg",))
    shelf.add("armour-no-fields", "no fields", single(text + armour(data, fields=b"")), ("gpg",))
    shelf.add("armour-fields", "many fields", single(text + armour(data, fields=b"Comment: a\r\nComment: b\r\nCharset: utf-8\r\n")), ("gpg",))
    shelf.add("armour-file", "armoured as a FILE", single(text + armour(data, title=b"ARMORED FILE")), ("gpg",))
    shelf.add("armour-attached", "armoured, attached in base64", multi(TEXT, leaf(b"", kind=b'Content-Type: application/pgp; name="p.asc"\r\n', body=b64(armour(data)))), ("gpg",))
    shelf.add("armour-quoted", "armoured, dash-escaped in a quoted reply", single(text + b"".join(b"> " + row + CRLF for row in armour(data).split(CRLF)[:-1])), ("unquote", "gpg"))
    shelf.add("encrypted-mime", "as the second part of multipart/encrypted",
              multi(b"Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n", b'Content-Type: application/octet-stream; name="encrypted.asc"\r\n\r\n' + armour(data),
                    field=b'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary="=_part_7731"\r\n'), ("gpg",))
    clear = b"-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\n" + uu(payload) + b"-----BEGIN PGP SIGNATURE-----\r\n\r\n" + b64(bytes(70), 64) + b"-----END PGP SIGNATURE-----\r\n"
    shelf.add("cleartext-uu", "uuencode in a clear-signed text", single(text + clear), ("uudecode",))
    rows = [binascii.b2a_uu(payload[at : at + 13]).rstrip(b"\n") for at in range(0, len(payload), 13)]
    dashed = CRLF.join((b"- " + row if row[:1] == b"-" else row) for row in [b"begin 644 paper.com", *rows, b"`", b"end", b""])
    clear = b"-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\n" + dashed + b"-----BEGIN PGP SIGNATURE-----\r\n\r\n" + b64(bytes(70), 64) + b"-----END PGP SIGNATURE-----\r\n"
    shelf.add("cleartext-dashed", "uuencode in a clear-signed text, its lines dash-escaped", single(text + clear), ("undash", "uudecode"))
    signed = packet(4, bytes([3, 0, 8, 22]) + bytes(8) + b"\x01") + literal(payload) + packet(2, bytes([4, 0, 22, 8, 0, 0, 0, 0, 0, 0]) + b"\x00\x01\x01\x00\x01\x01")
    shelf.add("one-pass", "a literal packet between those of a signature", single(text + armour(signed)), ("gpg",))
    shelf.add("armour-twice", "armoured, and the armour in another literal packet", single(text + armour(literal(armour(literal(payload))))), ("gpg", "gpg"))
    shelf.add("uu-inside", "uuencode in a literal packet", single(text + armour(literal(uu(payload)))), ("gpg", "uudecode"))
    shelf.add("armour-indented", "armoured, each line indented", single(text + b"".join(b"  " + row + CRLF for row in armour(data).split(CRLF)[:-1])), ("lstrip", "gpg"))
    shelf.add("armour-page", "armoured in the pre of a page", single(b"Content-Type: text/html\r\n\r\n<pre>\r\n" + armour(data) + b"</pre>\r\n"), ("gpg",))
    inner = multi(TEXT, leaf(payload))
    shelf.add("mime-inside", "a MIME message in the literal packet", single(text + armour(literal(inner))), ("gpg", "message"))
    return shelf.made


def tlv(tag, content, indefinite=False):
    """One DER element, or BER of indefinite length."""
    if indefinite:
        return bytes([tag, 0x80]) + content + b"\0\0"
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + content


def oid(*arcs):
    """An object identifier."""
    out = bytes([arcs[0] * 40 + arcs[1]])
    for arc in arcs[2:]:
        digits = [arc & 127]
        while arc > 127:
            arc >>= 7
            digits.append(arc & 127 | 128)
        out += bytes(reversed(digits))
    return tlv(6, out)


PKCS7 = (1, 2, 840, 113549, 1, 7)


def smime(payload):
    """S/MIME messages whose content can be read without a key."""
    shelf = Shelf("cms", "S/MIME, readable")
    inner = leaf(payload)
    kind = b'Content-Type: application/pkcs7-mime; smime-type=signed-data; name="smime.p7m"\r\n'

    def signed(data, pieces=0, indefinite=False):
        octets = tlv(4, data)
        if pieces:
            octets = tlv(0x24, b"".join(tlv(4, data[at : at + pieces]) for at in range(0, len(data), pieces)), indefinite)
        content = tlv(0x30, oid(*PKCS7, 1) + tlv(0xA0, octets, indefinite), indefinite)
        algorithms = tlv(0x31, tlv(0x30, oid(2, 16, 840, 1, 101, 3, 4, 2, 1)))
        return tlv(0x30, oid(*PKCS7, 2) + tlv(0xA0, tlv(0x30, tlv(2, b"\x01") + algorithms + content + tlv(0x31, b""), indefinite), indefinite), indefinite)

    def data(content):
        return tlv(0x30, oid(*PKCS7, 1) + tlv(0xA0, tlv(4, content)))

    digest = hashlib.sha256(inner).digest()
    digested = tlv(0x30, oid(*PKCS7, 5) + tlv(0xA0, tlv(0x30, tlv(2, b"\0") + tlv(0x30, oid(2, 16, 840, 1, 101, 3, 4, 2, 1)) +
                   tlv(0x30, oid(*PKCS7, 1) + tlv(0xA0, tlv(4, inner))) + tlv(4, digest))))
    compressed = tlv(0x30, oid(1, 2, 840, 113549, 1, 9, 16, 1, 9) + tlv(0xA0, tlv(0x30, tlv(2, b"\0") + tlv(0x30, oid(1, 2, 840, 113549, 1, 9, 16, 3, 8)) +
                     tlv(0x30, oid(*PKCS7, 1) + tlv(0xA0, tlv(4, zlib.compress(inner)))))))
    rows = [
        ("signed-der", "signed, DER, no signer", signed(inner), ("asn1", "entity")),
        ("signed-pieces", "signed, the content in pieces of 16 bytes", signed(inner, 16), ("asn1", "entity")),
        ("signed-ber", "signed, BER of indefinite length, in pieces of 10 bytes", signed(inner, 10, True), ("asn1", "entity")),
        ("signed-bare", "signed, the payload itself as the content", signed(payload), ("asn1",)),
        ("signed-bare-pieces", "signed, the payload itself in pieces of 5 bytes", signed(payload, 5, True), ("asn1",)),
        ("signed-twice", "signed in signed", signed(kind + BASE64 + CRLF + b64(signed(inner))), ("asn1", "entity", "asn1", "entity")),
        ("signed-base64", "signed, the inner entity a message in base64", signed(b"Content-Type: message/rfc822\r\n" + BASE64 + CRLF + b64(single(inner))), ("asn1", "after-words", "base64", "message")),
        ("data", "plain data", data(inner), ("asn1", "entity")),
        ("digested", "digested data", digested, ("asn1", "entity")),
        ("compressed", "compressed data", compressed, ("cms-uncompress", "entity")),
    ]
    for name, idea, der, steps in rows:
        shelf.add(name, idea, single(leaf(b"", kind=kind, body=b64(der))), steps)
    der = signed(inner)
    pem = b"-----BEGIN PKCS7-----\r\n" + b64(der, 64) + b"-----END PKCS7-----\r\n"
    shelf.add("signed-pem", "signed, PEM in a text", single(b"Content-Type: text/plain\r\n\r\n" + pem), ("pem", "asn1", "entity"))
    shelf.add("signed-pem-attached", "signed, PEM as smime.p7m", single(leaf(b"", kind=kind, body=b64(pem))), ("pem", "asn1", "entity"))
    shelf.add("pem-certificate", "the payload between the lines of a certificate", single(b"Content-Type: text/plain\r\n\r\n-----BEGIN CERTIFICATE-----\r\n" + b64(payload, 64) + b"-----END CERTIFICATE-----\r\n"), ("pem",))
    shelf.add("signed-octets", "signed, as application/octet-stream named .p7m", multi(TEXT, leaf(b"", kind=b'Content-Type: application/octet-stream; name="smime.p7m"\r\n', body=b64(der))), ("asn1", "entity"))
    shelf.add("signed-x-type", "signed, as application/x-pkcs7-mime without parameters", single(leaf(b"", kind=b"Content-Type: application/x-pkcs7-mime\r\n", body=b64(der))), ("asn1", "entity"))
    shelf.add("signed-called-enveloped", "signed, said to be enveloped", single(leaf(b"", kind=kind.replace(b"signed-data", b"enveloped-data"), body=b64(der))), ("asn1", "entity"))
    shelf.add("signed-in-signature", "signed, as the signature of multipart/signed",
              multi(TEXT, leaf(b"", kind=b'Content-Type: application/pkcs7-signature; name="smime.p7s"\r\n', body=b64(signed(payload, 7))),
                    field=b'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary="=_part_7731"\r\n'), ("asn1",))
    shelf.add("signed-timestamped", "signed data in the time-stamp type (.tsd)", multi(TEXT, leaf(b"", kind=b'Content-Type: application/timestamped-data; name="a.tsd"\r\n',
              body=b64(tlv(0x30, oid(1, 2, 840, 113549, 1, 9, 16, 1, 31) + tlv(0xA0, tlv(0x30, tlv(2, b"\x01") + tlv(4, payload))))))), ("asn1",))
    real = openssl_signed(inner)
    if real:
        shelf.add("signed-openssl", "signed by openssl with a key", single(leaf(b"", kind=kind, body=b64(real))), ("cms-verify", "entity"))
    return shelf.made


def openssl_signed(entity):
    """CMS made and signed by openssl with a fresh key, or nothing where it is not installed."""
    if shutil.which("openssl") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout k.pem -out c.pem -subj /CN=Ann -days 30".split(), **quiet)
        (at / "in").write_bytes(entity)
        subprocess.run("openssl cms -sign -binary -nodetach -in in -signer c.pem -inkey k.pem -outform DER -out out -stream".split(), **quiet)
        return (at / "out").read_bytes() if (at / "out").exists() else None
