"""Disguises of MIME: ways in which a client reads a message otherwise than a scanner may."""

from dataclasses import replace

import boundaries
import codings
import contents
import fields
import labels
import nesting
import pages
import pieces
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


QUOTED = {
    *("b-comment-name", "b-only-comment", "b-unquoted-escape", "b-two-equals", "b-no-start-quote", "b-no-end-quote-more", "b-two-quotes"),
    *("b-missing", "b-very-long", "b-name-quoted", "b-twice-last", "b-empty", "b-split-params-last", "b-split-fields-first"),
    *("line-one-dash", "line-epilogue", "line-epilogue-parts", "line-preamble", "line-nested-reused-later", "line-nested-inner-is-end"),
    *("line-early-end", "line-no-first", "nest-headers-only", "nest-mbox", "nest-mbox-base64", "nest-mbox-octets"),
    *("nest-mbox-quoted", "nest-mbox-lf", "nest-mbox-text", "nest-external-local"),
}
"""Structures that are built a second time with quoted-printable parts: those in which a reader must look for the part."""


UNCROSSED = {"line-only-end", "line-no-lines", "line-qp-hidden"}
"""Structures that no decoder at hand reads with a folded transfer encoding."""


def disguises(payload):
    """All of them, with this payload."""
    yield Disguise("plain-base64", "mime", "an ordinary base64 attachment", with_attachment(payload, "paper.com"))
    makers = [
        fields.encodings, fields.types, boundaries.names, boundaries.lines, codings.base64s, codings.quoteds, codings.others, nesting.nests,
        contents.charsets, contents.cards, contents.apple, pages.pages, sealed.openpgp, sealed.smime, labels.labels,
    ]  # fmt: skip
    for make in makers:
        yield from make(payload)
    # The same structures, their parts written so that a search of the raw text for encoded parts does not help.
    crossed = [
        ("folded-base64", "f-", "the part's transfer encoding folded", [fields.types, boundaries.names, boundaries.lines]),
        ("folded-qp", "q-", "the part quoted-printable, its transfer encoding folded", [boundaries.names, boundaries.lines, nesting.nests]),
    ]  # fmt: skip
    for style, prefix, idea, makers in crossed:
        with pieces.style(style):
            for make in makers:
                for disguise in make(payload):
                    if disguise.want == "payload" and disguise.name not in UNCROSSED and "bare" not in disguise.name and (prefix == "f-" or disguise.name in QUOTED):
                        yield replace(disguise, name=prefix + disguise.name, idea=f"{disguise.idea}; {idea}")
