"""What the makers of disguises share: the payload, the record of one disguise, and plain messages to put things in."""

import base64
from dataclasses import dataclass

CRLF = b"\r\n"

HARMLESS = b"Only a quiet line of text that stands here in place of something else"[:68]
"""What the clean twins carry; as long as the payload."""


def payload() -> bytes:
    """The inert EICAR test string, put together here so that this file does not hold it."""
    return b"".join([b"X5O!P%@AP[4\\PZX54(P^)7CC)7}", b"$EICAR-STANDARD-", b"ANTIVIRUS-TEST-FILE!$H+H*"])


@dataclass(frozen=True)
class Disguise:
    """One message with the payload in it."""

    name: str
    """Unique, and fit for a file name."""
    group: str
    """`mime` or `container`."""
    idea: str
    """One line in words: what is odd about it."""
    message: bytes
    """The whole message as it goes over the wire (line ends CRLF, dots not doubled)."""
    want: str = "payload"
    """`payload`: an independent decoder must get the payload out, or it does not count. `held`: it can only be held (encrypted,
    a fragment). `delivered`: a clean twin."""
    steps: tuple = ()
    """Names of the further, independent steps that take the payload out of what a mail decoder hands out, in order.
    `mime`: functions in `prove.py`; `container`: names that `prove_containers.py` knows. Empty: the mail decoder alone."""


def head(subject: str = "Papers") -> bytes:
    """The fields of an ordinary message, without MIME fields and without the empty line."""
    return (
        b"From: Ann Archer <ann@partner.example>\r\n"
        b"To: Bob Baker <bob@groupwise.example>\r\n"
        b"Subject: " + subject.encode() + b"\r\n"
        b"Date: Mon, 02 Mar 2026 09:12:44 +0000\r\n"
        b"Message-ID: <20260302091244.7731@partner.example>\r\n"
    )


def b64(data: bytes, width: int = 76, end: bytes = CRLF) -> bytes:
    """base64 in lines of `width`, each with its line end."""
    text = base64.b64encode(data)
    return b"".join(text[at : at + width] + end for at in range(0, len(text), width))


def with_attachment(data: bytes, filename: str, declared: str = "application/octet-stream", text: str = "See the attachment.") -> bytes:
    """An ordinary message of a text and one base64 attachment: what a container is sent in."""
    name = filename.encode()
    return (
        head()
        + b"MIME-Version: 1.0\r\n"
        + b'Content-Type: multipart/mixed; boundary="=_part_7731"\r\n\r\n'
        + b"--=_part_7731\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
        + text.encode()
        + b"\r\n--=_part_7731\r\nContent-Type: "
        + declared.encode()
        + b'; name="' + name + b'"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename="' + name + b'"\r\n\r\n'
        + b64(data)
        + b"--=_part_7731--\r\n"
    )
