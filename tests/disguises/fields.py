"""Disguises in the fields of an entity: types and transfer encodings said twice, said oddly, or not quite said."""

from frame import CRLF, head
from pieces import ATTACHED, B, BASE64, MIXED, OCTETS, TEXT, VERSION, Shelf, body, leaf, multi, quoted, ragged, single

CTE = b"Content-Transfer-Encoding"


def encodings(payload):
    """How the transfer encoding is named. The content is base64, unless the name says otherwise."""
    shelf = Shelf("cte", "transfer encoding")
    rows = [
        ("then-7bit", "base64, then 7bit", b"%s: base64\r\n%s: 7bit\r\n"),
        ("after-7bit", "7bit, then base64", b"%s: 7bit\r\n%s: base64\r\n"),
        ("then-qp", "base64, then quoted-printable", b"%s: base64\r\n%s: quoted-printable\r\n"),
        ("after-qp", "quoted-printable, then base64", b"%s: quoted-printable\r\n%s: base64\r\n"),
        ("then-binary", "base64, then binary", b"%s: base64\r\n%s: binary\r\n"),
        ("after-8bit", "8bit, then base64", b"%s: 8bit\r\n%s: base64\r\n"),
        ("after-uuencode", "x-uuencode, then base64", b"%s: x-uuencode\r\n%s: base64\r\n"),
        ("then-unknown", "base64, then an unknown one", b"%s: base64\r\n%s: x-none\r\n"),
        ("after-unknown", "an unknown one, then base64", b"%s: x-none\r\n%s: base64\r\n"),
        ("after-empty", "an empty field, then base64", b"%s:\r\n%s: base64\r\n"),
        ("then-empty", "base64, then an empty field", b"%s: base64\r\n%s:\r\n"),
        ("thrice", "7bit, base64, 7bit", b"%s: 7bit\r\n%s: base64\r\nContent-Transfer-Encoding: 7bit\r\n"),
        ("blank-colon", "a blank before the colon", b"%s : base64\r\n"),
        ("tab-colon", "a tab before the colon", b"%s\t: base64\r\n"),
        ("blank-colon-then-7bit", "with a blank before the colon, then a well-formed 7bit", b"%s : base64\r\n%s: 7bit\r\n"),
        ("after-7bit-blank-colon", "7bit with a blank before the colon, then base64", b"%s : 7bit\r\n%s: base64\r\n"),
        ("two-colons", "two colons", b"%s:: base64\r\n"),
        ("no-blank", "nothing between colon and value", b"%s:base64\r\n"),
        ("folded", "the value on a folded line", b"%s:\r\n base64\r\n"),
        ("folded-twice", "folded over a line of blanks", b"%s:\r\n \r\n\tbase64\r\n"),
        ("tab", "a tab before the value", b"%s:\tbase64\r\n"),
        ("comment-before", "a comment before", b"%s: (as ever) base64\r\n"),
        ("comment-after", "a comment behind", b"%s: base64 (as ever)\r\n"),
        ("comment-joined", "a comment right behind, with 7bit in it", b"%s: base64(7bit)\r\n"),
        ("comment-nested", "a comment within a comment, with 7bit in it", b"%s: (a (7bit) b) base64\r\n"),
        ("quotes", "in quotes", b'%s: "base64"\r\n'),
        ("single-quotes", "in single quotes", b"%s: 'base64'\r\n"),
        ("half-quote", "a quote only before it", b'%s: "base64\r\n'),
        ("angle", "in angle brackets", b"%s: <base64>\r\n"),
        ("semicolon", "a semicolon behind", b"%s: base64;\r\n"),
        ("parameter", "a parameter behind", b"%s: base64; level=1\r\n"),
        ("list-first", "a list, base64 first", b"%s: base64, 7bit\r\n"),
        ("list-last", "a list, base64 last", b"%s: 7bit, base64\r\n"),
        ("two-words", "two words, base64 first", b"%s: base64 7bit\r\n"),
        ("two-words-last", "two words, base64 last", b"%s: 7bit base64\r\n"),
        ("case", "mixed case", b"cONTENT-tRANSFER-eNCODING: bAsE64\r\n"),
        ("junk-behind", "letters right behind", b"%s: base64encoded\r\n"),
        ("x-prefix", "x-base64", b"%s: x-base64\r\n"),
        ("dash", "base-64", b"%s: base-64\r\n"),
        ("dot-behind", "a full stop behind", b"%s: base64.\r\n"),
        ("word-q", "as an encoded word, Q", b"%s: =?us-ascii?Q?base64?=\r\n"),
        ("word-b", "as an encoded word, B", b"%s: =?utf-8?B?YmFzZTY0?=\r\n"),
        ("bare-word", "a line that is no field before it", b"This line is no field\r\n%s: base64\r\n"),
        ("indented", "the field indented, as if it went on", b" %s: base64\r\n"),
        ("eightbit-name", "a field with an 8-bit name before it", b"X-\xdcber: yes\r\n%s: base64\r\n"),
        ("long-before", "a field of 3000 characters before it", b"X-Long: " + b"abcdefg " * 375 + b"\r\n%s: base64\r\n"),
        ("long-comment", "a comment of 1500 characters before it", b"%s: (" + b"abcd " * 300 + b") base64\r\n"),
        ("many-before", "300 other fields before it", b"".join(b"X-F%d: v\r\n" % at for at in range(300)) + b"%s: base64\r\n"),
        ("thousands-before", "3000 other fields before it", b"".join(b"X-F%d: v\r\n" % at for at in range(3000)) + b"%s: base64\r\n"),
        ("huge-before", "a field of 150 kB before it", b"X-Long: " + b"abcdefghij klmnopq\r\n " * 7500 + b"end\r\n%s: base64\r\n"),
        ("colon-only", "a line with nothing but a colon before it", b": nothing\r\n%s: base64\r\n"),
        ("from-line", "a From_ line before it", b">From ann@partner.example Mon Mar  2 09:12:44 2026\r\n%s: base64\r\n"),
        ("name-transfer-encoding", "only Transfer-Encoding", b"Transfer-Encoding: base64\r\n"),
        ("name-content-encoding", "only Content-Encoding", b"Content-Encoding: base64\r\n"),
        ("unknown-value", "an unknown one, and the content is base64", b"%s: x-secret\r\n"),
        ("says-7bit", "7bit, and the content is base64", b"%s: 7bit\r\n"),
        ("says-nothing", "none, and the content is base64", b""),
        ("bare-cr", "behind a bare carriage return in another field", b"X-A: b\r%s: base64\r\n"),
        ("bare-lf", "behind a bare line feed in another field", b"X-A: b\n%s: base64\r\n"),
        ("vertical-tab", "a vertical tab before the value", b"%s:\x0bbase64\r\n"),
        ("form-feed", "a form feed behind the value", b"%s: base64\x0c\r\n"),
        ("nbsp", "a no-break blank behind the value", b"%s: base64\xa0\r\n"),
    ]
    unsaid = {"thrice", "indented", "unknown-value", "says-7bit", "says-nothing", "name-transfer-encoding", "name-content-encoding", "x-prefix", "dash"}
    unsaid |= {"list-last", "two-words-last", "angle", "word-q", "word-b"}
    for name, idea, field in rows:
        encoding = field.replace(b"%s", CTE)
        message = multi(TEXT, leaf(payload, encoding=encoding))
        shelf.add(name, idea, message, ("base64",) if name in unsaid else ())
    for name, idea, field in rows[:4] + rows[12:17]:
        entity = leaf(payload, encoding=field.replace(b"%s", CTE))
        shelf.add(f"top-{name}", f"{idea}, in a message of one part", single(entity))
    said_qp = [
        ("qp-then-base64", "quoted-printable, then base64, the content is quoted-printable", b"%s: quoted-printable\r\n%s: base64\r\n"),
        ("qp-after-base64", "base64, then quoted-printable, the content is quoted-printable", b"%s: base64\r\n%s: quoted-printable\r\n"),
        ("qp-then-7bit", "quoted-printable, then 7bit", b"%s: quoted-printable\r\n%s: 7bit\r\n"),
        ("qp-comment", "quoted-printable with a comment", b"%s: (x) quoted-printable (y)\r\n"),
        ("qp-semicolon", "quoted-printable with a semicolon", b"%s: quoted-printable; x=y\r\n"),
        ("qp-blank-colon", "quoted-printable, a blank before the colon", b"%s : quoted-printable\r\n"),
        ("qp-underscore", "quoted_printable", b"%s: quoted_printable\r\n"),
        ("qp-unsaid", "none, and the content is quoted-printable", b""),
        ("qp-says-8bit", "8bit, and the content is quoted-printable", b"%s: 8bit\r\n"),
    ]
    for name, idea, field in said_qp:
        message = multi(TEXT, leaf(payload, encoding=field.replace(b"%s", CTE), body=quoted(payload)))
        shelf.add(name, idea, message, ("quopri",) if name in ("qp-underscore", "qp-unsaid", "qp-says-8bit") else ())
    inner = body(TEXT, leaf(payload))
    shelf.add("raw-thrice-qp", "base64 between two quoted-printables", multi(TEXT, leaf(payload, encoding=b"%s: quoted-printable\r\n%s: base64\r\n%s: quoted-printable\r\n".replace(b"%s", CTE))),
              ("raw", "base64"))
    shelf.add("on-multipart-not-done", "base64 on the multipart, which is not encoded", multi(TEXT, leaf(payload), field=MIXED + BASE64))
    shelf.add("on-multipart-qp-not-done", "quoted-printable on the multipart, which is not encoded",
              multi(TEXT, leaf(payload), field=MIXED + b"Content-Transfer-Encoding: quoted-printable\r\n"))
    shelf.add("on-multipart-done", "the whole multipart in base64", head() + VERSION + MIXED + BASE64 + CRLF + ragged(inner), ("raw", "base64", "parts"))
    shelf.add("on-inner-multipart-done", "an inner multipart in base64",
              multi(TEXT, b'Content-Type: multipart/mixed; boundary="in"\r\n' + BASE64 + CRLF + ragged(body(leaf(payload), b=b"in"))),
              ("raw", "base64", "parts-in"))
    shelf.add("on-multipart-qp-done", "the whole multipart in quoted-printable",
              head() + VERSION + MIXED + b"Content-Transfer-Encoding: quoted-printable\r\n" + CRLF + quoted(inner), ("raw", "quopri", "parts"))
    shelf.add("inherited", "base64 said on the multipart only, and only the leaf is encoded",
              multi(TEXT, leaf(payload, encoding=b""), field=MIXED + BASE64), ("base64",))
    return shelf.made


def types(payload):
    """How the type is named, and what stands around the fields."""
    shelf = Shelf("ct", "type")
    good = b'multipart/mixed; boundary="' + B + b'"'
    rows = [
        ("then-text", "multipart, then text/plain", b"Content-Type: %s\r\nContent-Type: text/plain\r\n"),
        ("after-text", "text/plain, then multipart", b"Content-Type: text/plain\r\nContent-Type: %s\r\n"),
        ("then-octets", "multipart, then application/octet-stream", b"Content-Type: %s\r\nContent-Type: application/octet-stream\r\n"),
        ("after-html", "text/html, then multipart", b"Content-Type: text/html\r\nContent-Type: %s\r\n"),
        ("then-message", "multipart, then message/rfc822", b"Content-Type: %s\r\nContent-Type: message/rfc822\r\n"),
        ("after-empty", "an empty field, then multipart", b"Content-Type:\r\nContent-Type: %s\r\n"),
        ("then-other-boundary", "two multiparts, the first boundary is used",
         b'Content-Type: %s\r\nContent-Type: multipart/mixed; boundary="other"\r\n'),
        ("after-other-boundary", "two multiparts, the second boundary is used",
         b'Content-Type: multipart/mixed; boundary="other"\r\nContent-Type: %s\r\n'),
        ("blank-colon", "a blank before the colon", b"Content-Type : %s\r\n"),
        ("blank-colon-then-text", "multipart with a blank before the colon, then text/plain", b"Content-Type : %s\r\nContent-Type: text/plain\r\n"),
        ("two-colons", "two colons", b"Content-Type:: %s\r\n"),
        ("folded", "folded before the value", b"Content-Type:\r\n %s\r\n"),
        ("folded-twice", "folded over a line of blanks", b"Content-Type:\r\n \r\n %s\r\n"),
        ("indented", "the field indented", b"X-A: b\r\n Content-Type: %s\r\n"),
        ("bare-cr", "behind a bare carriage return in another field", b"X-A: b\rContent-Type: %s\r\n"),
        ("no-field-before", "a line that is no field before it", b"no field at all\r\nContent-Type: %s\r\n"),
        ("body-line-before", "a line with blanks alone before it", b"X-A: b\r\n \r\nContent-Type: %s\r\n"),
        ("comment", "a comment before the type", b"Content-Type: (text/plain) %s\r\n"),
        ("quoted", "type and subtype in quotes", b'Content-Type: "multipart/mixed"; boundary="=_part_7731"\r\n'),
        ("comment-inside", "a comment within the type", b'Content-Type: multipart(x)/mixed; boundary="=_part_7731"\r\n'),
        ("blanks-inside", "blanks around the slash", b'Content-Type: multipart / mixed; boundary="=_part_7731"\r\n'),
        ("comment-behind", "a comment right behind the type", b'Content-Type: multipart/mixed(x); boundary="=_part_7731"\r\n'),
        ("no-subtype", "no subtype", b'Content-Type: multipart; boundary="=_part_7731"\r\n'),
        ("empty-subtype", "an empty subtype", b'Content-Type: multipart/; boundary="=_part_7731"\r\n'),
        ("unknown-subtype", "an unknown subtype", b'Content-Type: multipart/x-secret; boundary="=_part_7731"\r\n'),
        ("subtype-form-data", "multipart/form-data", b'Content-Type: multipart/form-data; boundary="=_part_7731"\r\n'),
        ("subtype-byteranges", "multipart/byteranges", b'Content-Type: multipart/byteranges; boundary="=_part_7731"\r\n'),
        ("subtype-encrypted", "multipart/encrypted over plain parts",
         b'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary="=_part_7731"\r\n'),
        ("subtype-signed", "multipart/signed over a text and an attachment", b'Content-Type: multipart/signed; boundary="=_part_7731"\r\n'),
        ("subtype-digest", "multipart/digest over a leaf with a type", b'Content-Type: multipart/digest; boundary="=_part_7731"\r\n'),
        ("case", "mixed case", b'cOnTeNt-TyPe: mULTIpart/MIXED; BOUNDARY="=_part_7731"\r\n'),
        ("word", "an encoded word as the type", b'Content-Type: =?us-ascii?Q?multipart?=/mixed; boundary="=_part_7731"\r\n'),
        ("xmultipart", "x-multipart/mixed", b'Content-Type: x-multipart/mixed; boundary="=_part_7731"\r\n'),
        ("text-with-boundary", "text/plain with a boundary", b'Content-Type: text/plain; boundary="=_part_7731"\r\n'),
        ("octets-with-boundary", "application/octet-stream with a boundary", b'Content-Type: application/octet-stream; boundary="=_part_7731"\r\n'),
        ("message-with-boundary", "message/rfc822 with a boundary", b'Content-Type: message/rfc822; boundary="=_part_7731"\r\n'),
        ("no-type-boundary", "a boundary and no type", b'Content-Type: boundary="=_part_7731"\r\n'),
        ("empty-type-boundary", "a boundary behind an empty type", b'Content-Type: ; boundary="=_part_7731"\r\n'),
        ("no-field", "no Content-Type at all", b""),
        ("backslash", "a backslash for the slash", b'Content-Type: multipart\\mixed; boundary="=_part_7731"\r\n'),
        ("slashes", "two slashes", b'Content-Type: multipart//mixed; boundary="=_part_7731"\r\n'),
        ("comma", "a comma for the semicolon", b'Content-Type: multipart/mixed, boundary="=_part_7731"\r\n'),
        ("no-semicolon", "no semicolon", b'Content-Type: multipart/mixed boundary="=_part_7731"\r\n'),
        ("two-semicolons", "two semicolons", b'Content-Type: multipart/mixed;; boundary="=_part_7731"\r\n'),
        ("long", "a parameter of 3000 characters before the boundary",
         b'Content-Type: multipart/mixed; a="' + b"abcdefg " * 375 + b'"; boundary="=_part_7731"\r\n'),
        ("folded-everywhere", "folded at every place", b'Content-Type:\r\n\tmultipart/mixed\r\n\t;\r\n\tboundary\r\n\t=\r\n\t"=_part_7731"\r\n'),
        ("huge", "a parameter of 100 kB before the boundary", b'Content-Type: multipart/mixed; a="' + b"abcdefg\r\n " * 10000 + b'"; boundary="=_part_7731"\r\n'),
        ("field-behind", "the field a second time at the very end, as text/plain",
         b"Content-Type: %s\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\ncontent-type: text/plain\r\n"),
    ]
    undeclared = {"xmultipart", "text-with-boundary", "octets-with-boundary", "no-type-boundary", "empty-type-boundary", "no-field", "word",
                  "backslash", "message-with-boundary"}
    for name, idea, field in rows:
        message = multi(TEXT, leaf(payload), field=field.replace(b"%s", good))
        shelf.add(name, idea, message, ("parts",) if name in undeclared else ())
    plain = multi(TEXT, leaf(payload))
    shelf.add("no-version", "no MIME-Version", multi(TEXT, leaf(payload), version=b""))
    shelf.add("version-twice", "two MIME-Versions that disagree", multi(TEXT, leaf(payload), version=b"MIME-Version: 2.0\r\nMIME-Version: 1.0\r\n"))
    shelf.add("version-odd", "a MIME-Version of words", multi(TEXT, leaf(payload), version=b"MIME-Version: (none) produced by hand\r\n"))
    shelf.add("bom-first", "a byte order mark before the first field", b"\xef\xbb\xbf" + plain)
    shelf.add("from-first", "a From_ line before the first field", b"From ann@partner.example Mon Mar  2 09:12:44 2026\r\n" + plain)
    shelf.add("quoted-from-first", "a quoted From_ line before the first field", b">From ann@partner.example Mon Mar  2 09:12:44 2026\r\n" + plain)
    shelf.add("type-first", "the type before all other fields", MIXED + VERSION + head() + CRLF + body(TEXT, leaf(payload)))
    shelf.add("only-type", "nothing but the type as the header", MIXED + CRLF + body(TEXT, leaf(payload)))
    shelf.add("blank-line-end", "the header ends with a line of blanks and tabs",
              head() + VERSION + MIXED + b" \t \r\n" + body(TEXT, leaf(payload)))
    shelf.add("no-empty-line", "no empty line before the first delimiter", head() + VERSION + MIXED + body(TEXT, leaf(payload)))
    shelf.add("part-no-empty-line", "no empty line before base64",
              multi(TEXT, OCTETS + ATTACHED + BASE64 + ragged(payload)))
    shelf.add("part-blank-line", "the part's header ends with a line of blanks", multi(TEXT, OCTETS + ATTACHED + BASE64 + b"  \r\n" + ragged(payload)))
    shelf.add("part-empty-line-first", "an empty line before the part's header", multi(TEXT, CRLF + leaf(payload)), ("entity",))
    shelf.add("part-two-headers", "an empty header, then a second one with the encoding",
              multi(TEXT, b"X-A: b\r\n\r\n" + leaf(payload)), ("entity",))
    shelf.add("part-indented", "every field of the part indented",
              multi(TEXT, b" " + OCTETS + b" " + BASE64 + b" " + ATTACHED + CRLF + ragged(payload)), ("entity-indented",))
    shelf.add("leaf-text", "the attachment as text/plain", multi(TEXT, leaf(payload, kind=b'Content-Type: text/plain; name="paper.com"\r\n')))
    shelf.add("leaf-image", "the attachment as image/png", multi(TEXT, leaf(payload, kind=b'Content-Type: image/png; name="paper.png"\r\n')))
    shelf.add("leaf-nonsense", "the attachment with a type of nonsense", multi(TEXT, leaf(payload, kind=b"Content-Type: %%%\r\n")))
    shelf.add("leaf-multipart", "the attachment as multipart/mixed without a boundary", multi(TEXT, leaf(payload, kind=b"Content-Type: multipart/mixed\r\n")),
              ("raw", "base64"))
    shelf.add("leaf-message", "the attachment as message/rfc822 in base64, which is none",
              multi(TEXT, leaf(payload, kind=b"Content-Type: message/rfc822\r\n")), ("base64",))
    shelf.add("leaf-signature", "the attachment as application/pgp-signature", multi(TEXT, leaf(payload, kind=b"Content-Type: application/pgp-signature\r\n")))
    shelf.add("leaf-no-fields", "a part with the encoding alone", multi(TEXT, BASE64 + CRLF + ragged(payload)))
    return shelf.made
