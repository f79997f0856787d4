"""Disguises of MIME: ways in which a client reads a message otherwise than a scanner may."""

import boundaries
import codings
import contents
import fields
import labels
import nesting
import pages
import sealed
from frame import Disguise, with_attachment

TWINS = (
    "plain-base64",
    "cte-folded",
    "cte-comment-after",
    "cte-case",
    "ct-folded",
    "ct-case",
    "b-unquoted",
    "b-blank-quoted",
    "b-continued",
    "b-percent",
    "line-blanks-after",
    "b64-one-line",
    "b64-empty-lines",
    "qp-every-byte",
    "qp-soft-each",
    "uu-in-text",
    "nest-message",
    "nest-multiparts-8",
    "nest-digest",
    "html-data-image",
    "card-attach",
    "name-2231",
)
"""Forms that honest programs write too: with harmless content they must be delivered."""


def disguises(payload):
    """All of them, with this payload."""
    yield Disguise("plain-base64", "mime", "an ordinary base64 attachment", with_attachment(payload, "paper.com"))
    makers = [
        fields.encodings, fields.types, boundaries.names, boundaries.lines, codings.base64s, codings.quoteds, codings.others, nesting.nests,
        contents.charsets, contents.cards, contents.apple, pages.pages, sealed.openpgp, sealed.smime, labels.labels,
    ]  # fmt: skip
    for make in makers:
        yield from make(payload)
