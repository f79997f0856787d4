"""CMS and PGP that hide nothing, but have to be opened."""

import base64
import bz2
import struct
import tempfile
import zlib

from boxes import Box, prose, run
from zips import Member, zipped


def boxes(payload):
    """All of them."""
    inner = zipped(Member("eicar.com", payload))
    yield from sealed(payload, inner)


def packet(tag, data):
    """An OpenPGP packet of the new form."""
    size = bytes([len(data)]) if len(data) < 192 else bytes([255]) + struct.pack(">I", len(data))
    return bytes([0xC0 | tag]) + size + data


def sealed(payload, inner):
    """CMS and PGP that hide nothing, but have to be opened."""
    with tempfile.TemporaryDirectory() as folder:
        run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-keyout",
                "k.pem",
                "-out",
                "c.pem",
                "-days",
                "9",
                "-subj",
                "/CN=Ann",
                "-batch",
            ],
            folder=folder,
        )
        for form in ("DER", "PEM"):
            data = run(
                ["openssl", "cms", "-sign", "-nodetach", "-binary", "-signer", "c.pem", "-inkey", "k.pem", "-outform", form], inner, folder
            )
            yield Box(
                f"file-cms-signed-{form.lower()}",
                f"a zip in an opaque signed file, {form}",
                data,
                "paper.zip.p7m",
                ("cms" if form == "DER" else "cms-pem", "zip"),
                declared="application/pkcs7-mime",
            )
        entity = b"Content-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(
            inner
        ).replace(b"\n", b"\r\n")
        data = run(
            ["openssl", "cms", "-sign", "-nodetach", "-binary", "-signer", "c.pem", "-inkey", "k.pem", "-outform", "DER"], entity, folder
        )
        yield Box(
            "file-cms-entity",
            "a message's part in an opaque signed file",
            data,
            "smime.p7m",
            ("cms", "mail", "zip"),
            declared="application/pkcs7-mime; smime-type=signed-data",
        )
        data = run(
            ["openssl", "cms", "-sign", "-stream", "-nodetach", "-binary", "-signer", "c.pem", "-inkey", "k.pem", "-outform", "DER"],
            prose(5000) + payload,
            folder,
        )
        yield Box("file-cms-pieces", "signed, its content in pieces of indefinite length", data, "paper.p7m", ("cms",), clear=True)
        twice = run(
            ["openssl", "cms", "-sign", "-nodetach", "-binary", "-signer", "c.pem", "-inkey", "k.pem", "-outform", "DER"],
            run(
                ["openssl", "cms", "-sign", "-nodetach", "-binary", "-signer", "c.pem", "-inkey", "k.pem", "-outform", "DER"], inner, folder
            ),
            folder,
        )
        yield Box("file-cms-twice", "signed twice", twice, "paper.p7m", ("cms", "cms", "zip"), declared="application/pkcs7-mime")
        data = run(["openssl", "cms", "-data_create", "-binary", "-outform", "DER"], inner, folder)
        yield Box("file-cms-data", "plain CMS data", data, "paper.p7m", ("cms-data", "zip"), declared="application/pkcs7-mime")
        locked = run(["openssl", "enc", "-aes-256-cbc", "-pbkdf2", "-k", "winter26"], inner, folder)
        yield Box("file-openssl-enc", "a file encrypted by openssl enc", locked, "paper.enc", ("none",), want="held")
    yield Box(
        "file-cms-compressed",
        "compressed CMS",
        cms_compressed(payload),
        "smime.p7z",
        ("cms-compressed",),
        declared="application/pkcs7-mime; smime-type=compressed-data",
    )
    literal = packet(11, b"b\x09paper.zip" + bytes(4) + inner)
    yield Box("file-pgp-literal", "PGP literal data", literal, "paper.pgp", ("gpg", "zip"))
    for number, pack in ((1, lambda data: zlib.compress(data)[2:-4]), (2, zlib.compress), (3, bz2.compress)):
        plain = packet(11, b"b\x09eicar.com" + bytes(4) + payload)
        yield Box(
            f"file-pgp-compressed-{number}",
            f"PGP compressed data, method {number}",
            packet(8, bytes([number]) + pack(plain)),
            "paper.gpg",
            ("gpg",),
            declared="application/octet-stream",
        )
    old = bytes([0x80 | 11 << 2 | 3]) + b"b\x09paper.zip" + bytes(4) + inner
    yield Box("file-pgp-old", "PGP literal data of the old form and no length", old, "paper.pgp", ("gpg", "zip"))
    body = b"b\x09paper.zip" + bytes(4) + inner + prose(700)
    partial = bytes([0xC0 | 11, 224 + 9]) + body[:512] + bytes([len(body) - 512 - 192 >> 8 | 192, len(body) - 512 - 192 & 255]) + body[512:]
    yield Box("file-pgp-partial", "PGP literal data in pieces", partial, "paper.pgp", ("gpg", "zip"))
    with tempfile.TemporaryDirectory() as folder:
        armour = run(["gpg", "--homedir", folder, "--enarmor"], literal)
        armour = armour.replace(b"ARMORED FILE", b"MESSAGE")
    yield Box("file-pgp-armour", "PGP literal data in armour", armour, "paper.asc", ("gpg", "zip"), declared="text/plain")
    dashed = base64.b64encode(packet(8, b"\2" + zlib.compress(packet(11, b"b\x09eicar.com" + bytes(4) + payload))))
    yield Box(
        "file-pgp-armour-loose",
        "compressed PGP in armour without sum, after text",
        prose(80) + b"\n\n-----BEGIN PGP MESSAGE-----\n\n" + dashed + b"\n-----END PGP MESSAGE-----\n",
        "note.txt",
        ("gpg",),
        declared="text/plain",
    )
    with tempfile.TemporaryDirectory() as folder:
        locked = run(
            ["gpg", "--homedir", folder, "--batch", "--passphrase", "winter26", "--pinentry-mode", "loopback", "-c", "-o", "-"], inner
        )
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
