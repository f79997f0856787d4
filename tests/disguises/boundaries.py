"""Disguises of the boundary: how it is named, how its lines are written, and what stands around the parts."""

from frame import CRLF, head
from pieces import B, BASE64, MIXED, TEXT, VERSION, Shelf, body, leaf, multi, quoted, ragged

DECOY = b"Content-Type: text/plain\r\n\r\nNothing else is here.\r\n"


def names(payload):
    """The boundary parameter. The body is delimited by the name given."""
    shelf = Shelf("b", "boundary")
    mixed = b"Content-Type: multipart/mixed; "
    rows = [
        ("twice-first", "two parameters, the first is used", b'boundary="good"; boundary="other"', b"good"),
        ("twice-last", "two parameters, the last is used", b'boundary="other"; boundary="good"', b"good"),
        ("thrice", "three parameters, the middle one is used", b"boundary=one; boundary=good; boundary=two", b"good"),
        ("case-twice", "two parameters in different case", b"BOUNDARY=other; boundary=good", b"good"),
        ("unquoted", "without quotes", b"boundary=good", b"good"),
        ("single-quotes-in", "in single quotes, which belong to it", b"boundary='good'", b"'good'"),
        ("single-quotes-out", "in single quotes, which do not belong to it", b"boundary='good'", b"good"),
        ("comment-before", "a comment before it", b"boundary=(old)good", b"good"),
        ("comment-after", "a comment behind it", b"boundary=good(old)", b"good"),
        ("comment-after-in", "a comment behind it, which belongs to it", b"boundary=good(old)", b"good(old)"),
        ("comment-name", "a comment behind the parameter's name", b"boundary(x)=good", b"good"),
        ("comment-with-boundary", "another boundary in a comment before", b'(boundary="other") boundary="good"', b"good"),
        ("only-comment", "only in a comment", b"(boundary=good)", b"good"),
        ("quoted-escape", "an escape in the quotes", b'boundary="go\\od"', b"good"),
        ("quoted-escape-in", "an escape in the quotes, which belongs to it", b'boundary="go\\od"', b"go\\od"),
        ("unquoted-escape", "an escape without quotes", b"boundary=go\\od", b"good"),
        ("escaped-quote", "an escaped quote within", b'boundary="go\\"od"', b'go"od'),
        ("blank-equals", "a blank before the equals sign", b'boundary ="good"', b"good"),
        ("equals-blank", "a blank behind the equals sign", b'boundary= "good"', b"good"),
        ("equals-fold", "folded behind the equals sign", b'boundary=\r\n "good"', b"good"),
        ("two-equals", "two equals signs", b'boundary=="good"', b"good"),
        ("no-start-quote", "the quote before it missing", b'boundary=good"', b"good"),
        ("no-end-quote", "the quote behind it missing", b'boundary="good', b"good"),
        ("no-end-quote-more", "the quote behind it missing, another parameter behind", b'boundary="good; charset=x', b"good"),
        ("two-quotes", "two quotes on each side", b'boundary=""good""', b"good"),
        ("text-after-quotes", "letters behind the closing quote", b'boundary="good"ness', b"good"),
        ("text-after-quotes-in", "letters behind the closing quote belong to it", b'boundary="good"ness', b"goodness"),
        ("semicolon-in", "a semicolon within the quotes", b'boundary="good;ness"', b"good;ness"),
        ("semicolon-unquoted", "a semicolon right behind", b"boundary=good;ness", b"good"),
        ("comma-behind", "a comma behind it", b"boundary=good, charset=x", b"good"),
        ("blank-unquoted", "a blank within, without quotes, cuts it", b"boundary=good ness", b"good"),
        ("blank-unquoted-in", "a blank within, without quotes, belongs to it", b"boundary=good ness", b"good ness"),
        ("blank-quoted", "a blank within the quotes", b'boundary="good ness"', b"good ness"),
        ("blank-start", "a blank at its start", b'boundary=" good"', b" good"),
        ("blank-end", "a blank at its end, not in the delimiters", b'boundary="good "', b"good"),
        ("blank-end-both", "a blank at its end and in the delimiters", b'boundary="good "', b"good "),
        ("tab-end", "a tab at its end, not in the delimiters", b'boundary="good\t"', b"good"),
        ("folded-quotes", "folded within the quotes", b'boundary="good\r\n ness"', b"good ness"),
        ("empty", "an empty one", b'boundary=""', b""),
        ("missing", "none, and the delimiters have one", b"charset=x", b"good"),
        ("dashes", "two dashes at its end", b'boundary="good--"', b"good--"),
        ("only-dashes", "nothing but dashes", b'boundary="----"', b"----"),
        ("long", "300 characters", b'boundary="' + b"g" * 300 + b'"', b"g" * 300),
        ("long-70-cut", "90 characters, of which the delimiters have 70", b'boundary="' + b"g" * 90 + b'"', b"g" * 70),
        ("very-long", "2000 characters", b'boundary="' + b"g" * 2000 + b'"', b"g" * 2000),
        ("one-letter", "one letter", b"boundary=g", b"g"),
        ("specials", "all characters it may have", b"boundary=\"'()+_,-./:=? g\"", b"'()+_,-./:=? g"),
        ("specials-unquoted", "characters that want quotes, without them", b"boundary=go/od=1:2?", b"go/od=1:2?"),
        ("eightbit", "8-bit letters", b'boundary="g\xf6\xf6d"', b"g\xf6\xf6d"),
        ("utf8", "UTF-8 letters", 'boundary="göod"'.encode(), "göod".encode()),
        ("word-q", "an encoded word (Q), decoded in the delimiters", b'boundary="=?us-ascii?Q?good?="', b"good"),
        ("word-b", "an encoded word (B), decoded in the delimiters", b'boundary="=?us-ascii?B?Z29vZA==?="', b"good"),
        ("word-in", "an encoded word that stands so in the delimiters", b'boundary="=?us-ascii?Q?good?="', b"=?us-ascii?Q?good?="),
        ("continued", "in two pieces", b'boundary*0="go"; boundary*1="od"', b"good"),
        ("continued-swapped", "in two pieces, the second first", b'boundary*1="od"; boundary*0="go"', b"good"),
        ("continued-three", "in three pieces, unquoted", b"boundary*0=g; boundary*1=oo; boundary*2=d", b"good"),
        ("continued-gap", "in two pieces, numbered 0 and 2", b"boundary*0=good; boundary*2=ness", b"good"),
        ("continued-from-one", "in two pieces, numbered from 1", b"boundary*1=go; boundary*2=od", b"good"),
        ("continued-zero", "in two pieces, numbered 00 and 01", b"boundary*00=go; boundary*01=od", b"good"),
        ("continued-lone", "in one piece, numbered 0", b"boundary*0=good", b"good"),
        ("continued-and-plain", "in two pieces and plain, the pieces are used", b"boundary=other; boundary*0=go; boundary*1=od", b"good"),
        ("plain-and-continued", "plain and in two pieces, the plain one is used", b"boundary=good; boundary*0=ot; boundary*1=her", b"good"),
        ("continued-twice", "the first piece twice", b"boundary*0=go; boundary*0=ot; boundary*1=od", b"good"),
        ("percent", "with charset and escapes", b"boundary*=us-ascii'en'g%6f%6Fd", b"good"),
        ("percent-bare", "with escapes, charset and language empty", b"boundary*=''g%6fod", b"good"),
        ("percent-no-marks", "with escapes and no charset at all", b"boundary*=g%6fod", b"good"),
        ("percent-quoted", "with charset and escapes, in quotes", b"boundary*=\"us-ascii'en'g%6fod\"", b"good"),
        ("percent-kept", "escapes where none are announced, kept in the delimiters", b'boundary="g%6fod"', b"g%6fod"),
        ("percent-pieces", "in two pieces with escapes", b"boundary*0*=us-ascii''g%6f; boundary*1*=%6fd", b"good"),
        ("percent-mixed-pieces", "in two pieces, only the second with escapes", b"boundary*0=go; boundary*1*=%6fd", b"good"),
        ("percent-first-piece", "in two pieces, only the first with escapes", b"boundary*0*=us-ascii''g%6f; boundary*1=od", b"good"),
        ("percent-and-plain", "with escapes and plain, the escapes are used", b"boundary*=us-ascii''g%6fod; boundary=other", b"good"),
        ("plain-and-percent", "plain and with escapes, the plain one is used", b"boundary=good; boundary*=us-ascii''%6fther", b"good"),
        ("percent-utf16", "with escapes in UTF-16", b"boundary*=utf-16be''%00g%00o%00o%00d", b"good"),
        ("in-name", "within the value of another parameter", b'name="x; boundary=good"', b"good"),
        ("after-open-quote", "behind a parameter whose quote is not closed", b'name="x; boundary=good', b"good"),
        ("after-escaped-quote", "behind a parameter that ends with an escaped quote", b'name="x\\"; boundary=good', b"good"),
        ("no-separator", "behind another parameter, no semicolon between", b'name="x" boundary="good"', b"good"),
        ("word-boundary", "the word boundary twice", b"boundary=boundary=good", b"boundary=good"),
        ("name-quoted", "the parameter's name in quotes", b'"boundary"="good"', b"good"),
        ("name-upper", "the parameter's name in capitals", b'BOUNDARY="good"', b"good"),
        ("behind-many", "behind 200 other parameters", b"".join(b"p%d=v; " % at for at in range(200)) + b"boundary=good", b"good"),
        ("x-boundary", "x-boundary first, then boundary", b"x-boundary=other; boundary=good", b"good"),
        ("empty-first", "an empty one, then a good one", b"boundary=; boundary=good", b"good"),
    ]
    for name, idea, parameter, used in rows:
        message = head() + VERSION + mixed + parameter + CRLF + CRLF + body(TEXT, leaf(payload), b=used)
        shelf.add(name, idea, message)
    # Both boundaries stand in the body: each reader sees its own message.
    for name, idea, field in [
        ("split-params", "two parameters, both in the body", b'boundary="one"; boundary="two"'),
        ("split-params-2231", "a plain and an RFC 2231 one, both in the body", b'boundary="one"; boundary*=us-ascii\'\'two'),
        ("split-params-pieces", "a plain one and one in pieces, both in the body", b'boundary="one"; boundary*0=tw; boundary*1=o'),
        ("split-fields", "two fields, both in the body", b'boundary="one"\r\nContent-Type: multipart/mixed; boundary="two"'),
    ]:
        for side, inside in (("first", b"one"), ("last", b"two")):
            other = b"two" if inside == b"one" else b"one"
            mix = body(DECOY, b=other, last=False) + body(leaf(payload), b=inside) + b"--" + other + b"--\r\n"
            shelf.add(f"{name}-{side}", f"{idea}, the payload behind the {side}", head() + VERSION + mixed + field + CRLF + CRLF + mix)
    return shelf.made


def lines(payload):
    """The delimiter lines, and what stands before, between and behind the parts."""
    shelf = Shelf("line", "delimiters")
    thing = leaf(payload)
    add = shelf.add

    def mail(text, field=MIXED):
        return head() + VERSION + field + CRLF + text

    add("blanks-after", "blanks and tabs behind", multi(TEXT, thing, after=b" \t "))
    add("text-after", "words behind", multi(TEXT, thing, after=b" and more"))
    add("letters-after", "letters right behind", multi(TEXT, thing, after=b"X"))
    add("dash-after", "one dash right behind", multi(TEXT, thing, after=b"-"))
    add("vertical-tab-after", "a vertical tab behind", multi(TEXT, thing, after=b"\x0b"))
    add("three-dashes", "three dashes before it", mail((body(TEXT, thing)).replace(b"--" + B, b"---" + B)))
    add("one-dash", "one dash before it", mail((body(TEXT, thing)).replace(b"--" + B, b"-" + B)))
    add("early-end", "the end before the attachment", mail(body(TEXT) + body(thing)))
    add("early-end-only", "the end before everything", mail(b"--" + B + b"--\r\n" + body(TEXT, thing)))
    add("early-end-blanks", "the end with blanks behind, before the attachment", mail(body(TEXT, last=False) + b"--" + B + b"--  \r\n" + body(thing)))
    add("early-end-text", "the end with words behind, before the attachment", mail(body(TEXT, last=False) + b"--" + B + b"-- or not\r\n" + body(thing)))
    add("end-as-start", "the end used as a delimiter", mail(b"--" + B + CRLF + TEXT + b"--" + B + b"--\r\n" + thing + b"--" + B + b"--\r\n"))
    add("end-as-first", "the end used as the first delimiter", mail(b"--" + B + b"--\r\n" + thing + b"--" + B + b"--\r\n"))
    add("no-end", "no end", multi(TEXT, thing, last=False))
    add("no-end-no-line", "no end, and the last line is cut", multi(TEXT, thing, last=False)[:-2])
    add("end-one-dash", "an end with one dash", mail(body(TEXT, thing, last=False) + b"--" + B + b"-\r\nbehind\r\n"))
    add("no-first", "no first delimiter", mail(thing + b"--" + B + CRLF + TEXT + b"--" + B + b"--\r\n"), ("entity",))
    add("only-end", "an end and nothing else", mail(thing + b"--" + B + b"--\r\n"), ("entity",))
    add("no-lines", "no delimiters at all", mail(thing), ("entity",))
    add("in-part-header", "the end in the header of the attachment", mail(body(TEXT, thing.replace(b"Content-Transfer-Encoding", b"--" + B + b"--\r\nContent-Transfer-Encoding"))))
    add("ends-part-header", "the end where the header of the attachment ought to end", mail(body(TEXT, thing.replace(CRLF * 2, CRLF + b"--" + B + b"--" + CRLF * 2, 1), last=False)))
    add("preamble", "the attachment before the first delimiter", mail(thing + CRLF + body(TEXT)), ("entity",))
    add("preamble-uu", "uuencode before the first delimiter", mail(uu(payload) + CRLF + body(TEXT)), ("uudecode",))
    add("epilogue", "the attachment behind the end", mail(body(TEXT) + CRLF + thing), ("entity",))
    add("epilogue-uu", "uuencode behind the end", mail(body(TEXT) + CRLF + uu(payload)), ("uudecode",))
    add("epilogue-parts", "delimiters of another name behind the end",
        mail(body(TEXT) + CRLF + body(thing, b=b"another")), ("body-parts",))
    add("mid-line", "at the end of a line of text",
        mail(b"--" + B + CRLF + TEXT[:-2] + b"--" + B + CRLF + thing + b"--" + B + b"--\r\n"))
    add("joined", "no line end before it in base64", mail(body(TEXT, last=False) + b"--" + B + CRLF + thing[:-2] + b"--" + B + b"--\r\n"))
    add("doubled", "each delimiter twice", mail(body(TEXT, thing).replace(b"--" + B + CRLF, (b"--" + B + CRLF) * 2)))
    add("empty-parts", "30 empty parts before the attachment", multi(TEXT, *[CRLF] * 30, thing))
    add("many-parts", "150 texts before the attachment", multi(*[TEXT] * 150, thing))
    add("in-header", "the delimiter within the part's header",
        mail(body(TEXT, b"Content-Type: text/plain\r\n--" + B + CRLF + thing)))
    add("prefix-longer", "a longer name that starts the same within the part", mail(body(TEXT, b"X-A: b\r\n\r\ntext\r\n--" + B + b"_more\r\n" + thing)), ("body-parts-more",))
    add("bare-lf", "the delimiter's line ends with a bare line feed", mail(body(TEXT, thing).replace(b"--" + B + CRLF, b"--" + B + b"\n")))
    add("bare-cr-before", "a bare carriage return before it", mail(body(TEXT, thing).replace(CRLF + b"--" + B, b"\r--" + B, 1)))
    add("header-in-preamble", "the fields directly behind the type, then a delimiter", mail(BASE64 + body(TEXT, thing)))

    inner = b'Content-Type: multipart/mixed; boundary="%s"\r\n\r\n'
    for name, idea, outer, within in [
        ("nested-inner-is-end", "the inner one is the outer one with two dashes", B, B + b"--"),
        ("nested-inner-same", "the inner one is the outer one", B, B),
        ("nested-inner-longer", "the inner one starts with the outer one", B, B + b"_in"),
        ("nested-outer-longer", "the outer one starts with the inner one", B + b"_out", B),
        ("nested-inner-dash", "the inner one is the outer one with a dash", B, B + b"-"),
        ("nested-outer-is-end", "the outer one is the inner one with two dashes", B + b"--", B),
        ("nested-inner-blank", "the inner one is the outer one with a blank and a letter", B, B + b" x"),
        ("nested-inner-case", "the inner one is the outer one in other case", B, B.upper()),
    ]:
        field = b'Content-Type: multipart/mixed; boundary="' + outer + b'"\r\n'
        add(name, idea, multi(TEXT, inner.replace(b"%s", within) + body(DECOY, thing, b=within), field=field, b=outer))
    add("nested-no-inner-end", "the inner multipart has no end",
        multi(inner.replace(b"%s", b"in") + body(TEXT, thing, b=b"in", last=False), DECOY))
    add("nested-no-outer-end", "the outer multipart has no end", multi(inner.replace(b"%s", b"in") + body(TEXT, thing, b=b"in"), last=False))
    add("nested-ends-outer", "the inner multipart ends the outer one, and goes on",
        mail(body(inner.replace(b"%s", b"in") + b"--in\r\n" + TEXT + b"--" + B + b"--\r\n" + b"--in\r\n" + thing + b"--in--\r\n")))
    add("nested-epilogue", "the attachment behind the inner end, before the outer delimiter",
        multi(inner.replace(b"%s", b"in") + body(TEXT, b=b"in") + CRLF + body(thing, b=b"in"), DECOY))
    add("nested-delimiter-in-header", "the inner header holds the outer end",
        mail(body(b'Content-Type: multipart/mixed;\r\n boundary="in"\r\n--' + B + b"--\r\n\r\n" + body(TEXT, thing, b=b"in"))))
    add("nested-reused-later", "an inner one that is used again behind the inner multipart",
        multi(inner.replace(b"%s", b"in") + body(TEXT, b=b"in"), b"Content-Type: text/plain\r\n\r\nhello\r\n--in\r\n" + thing + b"--in--\r\n"))
    add("qp-hidden", "written as quoted-printable in a quoted-printable part",
        multi(TEXT, b"Content-Type: multipart/mixed; boundary=in\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
              quoted(body(thing, b=b"in"))), ("raw", "quopri", "parts-in"))
    add("alternative-last", "the payload in the last of two alternatives",
        multi(TEXT, b'Content-Type: text/html; name="paper.com"\r\n' + BASE64 + CRLF + ragged(payload),
              field=MIXED.replace(b"mixed", b"alternative")))
    add("related-root", "the payload behind the root of multipart/related",
        multi(b"Content-Type: text/html\r\n\r\n<p>See <a href='cid:p'>this</a>\r\n", b"Content-ID: <p>\r\n" + thing,
              field=MIXED.replace(b"mixed", b"related")))
    return shelf.made


def uu(data: bytes, name: bytes = b"paper.com", mode: bytes = b"644") -> bytes:
    """uuencode."""
    import binascii

    rows = [binascii.b2a_uu(data[at : at + 45]).rstrip(b"\n") for at in range(0, len(data), 45)]
    return CRLF.join([b"begin " + mode + b" " + name, *rows, b"`", b"end", b""])
