"""Disguises of MIME: ways in which a client reads a message otherwise than a scanner may."""

from frame import Disguise, with_attachment

TWINS = ("plain-base64",)


def disguises(payload):
    """All of them, with this payload."""
    yield Disguise("plain-base64", "mime", "an ordinary base64 attachment", with_attachment(payload, "paper.com"))
