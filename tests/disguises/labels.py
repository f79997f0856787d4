"""Disguises in the name and the disposition of an attachment: where a scanner picks parts by name, these are the ones it skips."""

from frame import CRLF
from pieces import BASE64, TEXT, Shelf, leaf, multi, ragged

PLAIN = b"Content-Type: application/octet-stream\r\n"


def labels(payload):
    """All of them. The content is ordinary base64 in lines of changing length."""
    shelf = Shelf("name", "name")
    rows = [
        ("2231", "RFC 2231 with charset", b"Content-Disposition: attachment; filename*=utf-8''paper%2Ecom\r\n"),
        ("2231-pieces", "RFC 2231 in pieces", b"Content-Disposition: attachment; filename*0=pa; filename*1=per; filename*2=.com\r\n"),
        ("2231-both", "RFC 2231 and plain, which disagree", b'Content-Disposition: attachment; filename="a.txt"; filename*=utf-8\'\'paper.com\r\n'),
        ("2047", "an encoded word", b'Content-Disposition: attachment; filename="=?utf-8?B?cGFwZXIuY29t?="\r\n'),
        ("2047-pieces", "two encoded words", b'Content-Disposition: attachment;\r\n filename="=?utf-8?Q?pap?=\r\n =?utf-8?Q?er.com?="\r\n'),
        ("twice", "two names", b'Content-Disposition: attachment; filename="a.txt"; filename="paper.com"\r\n'),
        ("no-quotes", "blanks without quotes", b"Content-Disposition: attachment; filename=my own paper.com\r\n"),
        ("none", "none", b""),
        ("inline", "shown inline", b'Content-Disposition: inline; filename="paper.com"\r\n'),
        ("unknown-disposition", "an unknown disposition", b'Content-Disposition: hidden; filename="paper.com"\r\n'),
        ("path", "a path", b'Content-Disposition: attachment; filename="../../paper.com"\r\n'),
        ("trailing-dot", "a full stop and a blank behind", b'Content-Disposition: attachment; filename="paper.com. "\r\n'),
        ("two-dispositions", "two dispositions", b'Content-Disposition: inline\r\nContent-Disposition: attachment; filename="paper.com"\r\n'),
        ("broken-quote", "a quote that is not closed", b'Content-Disposition: attachment; filename="paper.com\r\n'),
        ("disposition-no-type", "a disposition of parameters only", b'Content-Disposition: filename="paper.com"\r\n'),
        ("long", "2000 characters", b'Content-Disposition: attachment; filename="' + b"p" * 2000 + b'.com"\r\n'),
    ]
    for name, idea, placed in rows:
        shelf.add(name, idea, multi(TEXT, PLAIN + BASE64 + placed + CRLF + ragged(payload)))
    return shelf.made
