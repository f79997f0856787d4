"""Files in the codings of old mail, and cards and calendars."""

import base64
import binascii
import struct

from boxes import Box, prose
from zips import Member, zipped


def boxes(payload):
    """All of them."""
    inner = zipped(Member("eicar.com", payload))
    yield from coded(payload, inner)


def coded(payload, inner):
    """Files in the codings of old mail, and cards."""
    text = base64.encodebytes(inner).decode().replace("\n", "\r\n")
    folded = "\r\n ".join(base64.b64encode(inner).decode()[at : at + 70] for at in range(0, len(base64.b64encode(inner)), 70))
    uu = (
        b"begin 644 paper.zip\r\n"
        + b"".join(binascii.b2a_uu(inner[at : at + 45]).rstrip(b"\n") + b"\r\n" for at in range(0, len(inner), 45))
        + b"`\r\nend\r\n"
    )
    yield Box("file-uu-file", "a uuencoded file", uu, "paper.uue", ("uu", "zip"))
    yield Box(
        "file-uu-text", "a uuencoded file named as text", prose(90) + b"\r\n\r\n" + uu, "note.txt", ("uu", "zip"), declared="text/plain"
    )
    yield Box("file-base64-file", "a file in base64", text.encode(), "paper.b64", ("base64", "zip"))
    yield Box(
        "file-base64-begin",
        "a file in base64 by uuencode -m",
        b"begin-base64 644 paper.zip\r\n" + text.encode() + b"====\r\n",
        "paper.txt",
        ("base64-begin", "zip"),
        declared="text/plain",
    )
    yield Box(
        "file-base64-twice", "a file in base64 in base64", base64.encodebytes(text.encode()), "paper.b64", ("base64", "base64", "zip")
    )
    yield Box(
        "file-base64-url", "a file in base64 of the URL alphabet", base64.urlsafe_b64encode(inner), "paper.b64", ("base64-url", "zip")
    )
    yield Box("file-binhex", "BinHex", binhex(b"paper.zip", inner), "paper.hqx", ("unar", "zip"), declared="application/mac-binhex40")
    yield Box(
        "file-binhex-text",
        "BinHex named as text",
        prose(60) + b"\r\n" + binhex(b"paper.zip", inner),
        "note.txt",
        ("hqx-at", "zip"),
        declared="text/plain",
    )
    entries = struct.pack(">II16sH", 0x00051600, 0x20000, bytes(16), 1) + struct.pack(">III", 1, 38, len(inner))
    yield Box("file-apple-single", "AppleSingle", entries + inner, "paper.as", ("unar|single", "zip"), declared="application/applefile")
    yield Box(
        "file-apple-double",
        "the resource fork of AppleDouble",
        struct.pack(">II16sH", 0x00051607, 0x20000, bytes(16), 1) + struct.pack(">III", 2, 38, len(inner)) + inner,
        "._paper",
        ("package-loose", "zip"),
    )
    head = bytes([0, 9]) + b"paper.zip".ljust(63, b"\0") + b"ZIP ????" + bytes(10) + struct.pack(">II", len(inner), 0)
    head = head.ljust(122, b"\0") + bytes([129, 129])
    head += struct.pack(">H", binascii.crc_hqx(head, 0)) + bytes(2)
    yield Box(
        "file-mac-binary",
        "MacBinary",
        head[:128] + inner + bytes(-len(inner) % 128),
        "paper.bin",
        ("unar|package-loose", "zip"),
        declared="application/x-macbinary",
    )
    yield Box(
        "file-vcard",
        "a card with a photo that is a zip",
        f"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ann\r\nPHOTO;ENCODING=b;TYPE=JPEG:{folded}\r\nEND:VCARD\r\n".encode(),
        "ann.vcf",
        ("base64", "zip"),
        declared="text/vcard",
    )
    yield Box(
        "file-vcard-4",
        "a card with a data: URI",
        f"BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Ann\r\nPHOTO:data:image/jpeg;base64,{folded}\r\nEND:VCARD\r\n".encode(),
        "ann.vcf",
        ("unfolded", "base64", "zip"),
        declared="text/vcard",
    )
    quoted = "".join(f"={byte:02X}" for byte in payload)
    yield Box(
        "file-vcard-2",
        "a card of version 2.1 in quoted-printable",
        f"BEGIN:VCARD\r\nVERSION:2.1\r\nN:A\r\nNOTE;ENCODING=QUOTED-PRINTABLE:{quoted}\r\nEND:VCARD\r\n".encode(),
        "ann.vcf",
        ("quoted",),
        declared="text/x-vcard",
    )
    yield Box(
        "file-calendar",
        "a meeting with a file in base64",
        f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nATTACH;ENCODING=BASE64;VALUE=BINARY;X-FILENAME=paper.zip:{folded}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n".encode(),
        "meet.ics",
        ("base64", "zip"),
        declared="text/calendar",
    )
    ldif = f"dn: cn=a\r\ncn: a\r\njpegPhoto:: {folded}\r\n"
    yield Box("file-ldif", "an LDIF with a photo", ldif.encode(), "ann.ldif", ("base64", "zip"), declared="text/plain")
    yield Box("file-hex-file", "a file in hex", inner.hex().encode(), "paper.hex", ("hex", "zip"), declared="text/plain")
    intel = b"".join(hex_record(at, inner[at : at + 16]) for at in range(0, len(inner), 16)) + b":00000001FF\r\n"
    yield Box("file-intel-hex", "Intel HEX", intel, "paper.hex", ("7z-ihex", "zip"), declared="text/plain")
    yenc = b"".join(
        b"=" + bytes([(value + 64) & 255]) if value in (0, 10, 13, 61) else bytes([value])
        for value in ((byte + 42) & 255 for byte in inner)
    )
    yield Box(
        "file-yenc-file",
        "a file by yEnc",
        b"=ybegin line=9999 size=%d name=paper.zip\r\n" % len(inner) + yenc + b"\r\n=yend size=%d\r\n" % len(inner),
        "paper.ync",
        ("yenc", "zip"),
    )


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
    return (
        b"(This file must be converted with BinHex 4.0)\r\n\r\n"
        + b"\r\n".join(text[at : at + 64] for at in range(0, len(text), 64))
        + b"\r\n"
    )
