"""Building blocks of the MIME disguises: fields, leaves, multiparts."""

import base64
from contextlib import contextmanager

from frame import CRLF, Disguise, head

B = b"=_part_7731"
VERSION = b"MIME-Version: 1.0\r\n"
OCTETS = b'Content-Type: application/octet-stream; name="paper.com"\r\n'
BASE64 = b"Content-Transfer-Encoding: base64\r\n"
QP = b"Content-Transfer-Encoding: quoted-printable\r\n"
ATTACHED = b'Content-Disposition: attachment; filename="paper.com"\r\n'
TEXT = b"Content-Type: text/plain; charset=us-ascii\r\n\r\nSee the attachment.\r\n"
MIXED = b"Content-Type: multipart/mixed; boundary=\"" + B + b"\"\r\n"


def ragged(data: bytes, end: bytes = CRLF) -> bytes:
    """base64 in lines of changing length: right for every decoder, and no block that a search for base64 would see."""
    text = base64.b64encode(data)
    widths, out = [4, 8, 4, 12, 16, 8, 20], []
    while text:
        width = widths[len(out) % len(widths)]
        out.append(text[:width])
        text = text[width:]
    return end.join(out) + end


def quoted(data: bytes, width: int = 20) -> bytes:
    """quoted-printable with every byte as an escape."""
    out = [b"=%02X" % byte for byte in data]
    return b"".join(b"".join(out[at : at + width]) + (b"=" if at + width < len(out) else b"") + CRLF for at in range(0, len(out), width))


_style = "ragged"


@contextmanager
def style(name: str):
    """Within it, leaves that say nothing of their coding are written so: `ragged`, `folded-base64` or `folded-qp`.

    In the folded ones the value of the transfer encoding stands on a line of its own, as RFC 5322 allows: who searches a text for parts
    that no boundary cuts out may look past them.
    """
    global _style
    before, _style = _style, name
    try:
        yield
    finally:
        _style = before


def leaf(data: bytes, kind: bytes = OCTETS, encoding: bytes = BASE64, placed: bytes = ATTACHED, body=None) -> bytes:
    """An entity of one leaf; ragged base64 unless the body is given."""
    if body is None and encoding == BASE64 and _style == "folded-base64":
        encoding = b"Content-Transfer-Encoding:\r\n base64\r\n"
    if body is None and encoding == BASE64 and _style == "folded-qp":
        encoding, body = b"Content-Transfer-Encoding:\r\n quoted-printable\r\n", quoted(data)
    return kind + encoding + placed + CRLF + (ragged(data) if body is None else body)


def body(*parts: bytes, b: bytes = B, last: bool = True, after: bytes = b"", before: bytes = b"") -> bytes:
    """What stands in a multipart: each part behind its delimiter (`before` and `after` stand around the boundary's name)."""
    out = b"".join(b"--" + before + b + after + CRLF + part + (b"" if part.endswith(CRLF) else CRLF) for part in parts)
    return out + (b"--" + b + b"--" + CRLF if last else b"")


def multi(*parts: bytes, field: bytes = MIXED, version: bytes = VERSION, b: bytes = B, **how) -> bytes:
    """A whole message of several parts."""
    return head() + version + field + CRLF + body(*parts, b=b, **how)


def single(entity: bytes, version: bytes = VERSION) -> bytes:
    """A whole message of one entity."""
    return head() + version + entity


class Shelf:
    """Collects disguises under a common prefix."""

    def __init__(self, prefix: str, about: str = ""):
        self.prefix, self.about, self.made = prefix, about, []

    def add(self, name: str, idea: str, message: bytes, steps: tuple = (), want: str = "payload"):
        """Puts one more there."""
        idea = f"{self.about}: {idea}" if self.about else idea
        self.made.append(Disguise(f"{self.prefix}-{name}", "mime", idea, message, want, tuple(steps)))
