"""Disguises of the encoded content itself: base64, quoted-printable, uuencode, yEnc, BinHex."""

import base64
import binascii
import re
import zlib

from boundaries import uu
from frame import CRLF, b64
from pieces import ATTACHED, BASE64, OCTETS, QP, TEXT, Shelf, leaf, multi, quoted, ragged, single


def base64s(payload):
    """base64 as no encoder writes it."""
    shelf = Shelf("b64", "base64")
    text = base64.b64encode(payload)
    lines = [text[at : at + 20] for at in range(0, len(text), 20)]
    each = [base64.b64encode(payload[at : at + 4]) for at in range(0, len(payload), 4)]
    half = [base64.b64encode(payload[:34]), base64.b64encode(payload[34:])]
    by_byte = [base64.b64encode(payload[at : at + 1]) for at in range(len(payload))]
    rows = [
        ("one-line", "all in one line", text + CRLF),
        ("no-last-line-end", "no line end behind it", text),
        ("char-a-line", "one character a line", CRLF.join(bytes([c]) for c in text) + CRLF),
        ("three-a-line", "three characters a line", b64(payload, 3)),
        ("five-a-line", "five characters a line", b64(payload, 5)),
        ("empty-lines", "an empty line between any two", b64(payload, 16, CRLF * 2)),
        ("blanks", "a blank behind each character", b" ".join(bytes([c]) for c in text) + CRLF),
        ("tabs", "a tab behind every two characters", b"\t".join(text[at : at + 2] for at in range(0, len(text), 2)) + CRLF),
        ("indented", "lines that start with blanks", CRLF.join(b"   " + line for line in lines) + CRLF),
        ("trailing-blanks", "lines that end with blanks", CRLF.join(line + b" \t " for line in lines) + CRLF),
        ("junk-marks", "a mark outside the alphabet behind every third character",
         b"!".join(text[at : at + 3] for at in range(0, len(text), 3)) + CRLF),
        ("junk-many", "many marks in between", b"*#$%&".join(text[at : at + 7] for at in range(0, len(text), 7)) + CRLF),
        ("junk-dashes", "dashes in between", b"-".join(text[at : at + 9] for at in range(0, len(text), 9)) + CRLF),
        ("junk-underscores", "underscores in between", b"_".join(text[at : at + 9] for at in range(0, len(text), 9)) + CRLF),
        ("junk-eightbit", "8-bit bytes in between", b"\xe9".join(text[at : at + 5] for at in range(0, len(text), 5)) + CRLF),
        ("junk-utf8", "zero-width blanks (UTF-8) in between", "\u200b".encode().join(text[at : at + 6] for at in range(0, len(text), 6)) + CRLF),
        ("junk-controls", "control characters in between", b"\x01".join(text[at : at + 6] for at in range(0, len(text), 6)) + CRLF),
        ("junk-vertical-tab", "vertical tabs in between", b"\x0b".join(text[at : at + 6] for at in range(0, len(text), 6)) + CRLF),
        ("junk-nul", "NUL in between", b"\x00".join(text[at : at + 6] for at in range(0, len(text), 6)) + CRLF),
        ("junk-bare-cr", "bare carriage returns in between", b"\r".join(text[at : at + 6] for at in range(0, len(text), 6)) + CRLF),
        ("junk-backslash", "backslashes in between", b"\\".join(text[at : at + 6] for at in range(0, len(text), 6)) + CRLF),
        ("comment-line", "a line in brackets in the middle", CRLF.join(lines[:2] + [b"(...)"] + lines[2:]) + CRLF),
        ("quoted-lines", "lines quoted with > ", CRLF.join(b"> " + line for line in lines) + CRLF),
        ("bullet-start", "the first character is a bullet", b"*" + text + CRLF),
        ("no-padding", "no padding", text.rstrip(b"=") + CRLF),
        ("one-of-two-paddings", "one mark of padding for two", base64.b64encode(payload + b"\n").rstrip(b"=") + b"=" + CRLF),
        ("more-padding", "more padding than needed", text.rstrip(b"=") + b"======" + CRLF),
        ("padding-first", "padding before everything", b"====\r\n" + text + CRLF),
        ("padding-line-first", "a lone mark of padding in the first line", b"=\r\n" + text + CRLF),
        ("padding-in-quad", "padding within a group of four", text[:22] + b"=" + text[22:] + CRLF),
        ("padding-between", "padding between groups of four", text[:24] + b"=" + text[24:] + CRLF),
        ("padding-between-four", "four marks of padding between groups of four", text[:24] + b"====" + text[24:] + CRLF),
        ("padding-every-line", "padding at each line's end", CRLF.join(line + b"=" for line in lines) + CRLF),
        ("chunks", "each four bytes padded by themselves, in lines", CRLF.join(each) + CRLF),
        ("chunks-joined", "each four bytes padded by themselves, no lines", b"".join(each) + CRLF),
        ("chunks-bytes", "each byte padded by itself", b"".join(by_byte) + CRLF),
        ("chunks-bytes-lines", "each byte padded by itself, in lines", CRLF.join(by_byte) + CRLF),
        ("halves", "two pieces, the first padded", CRLF.join(half) + CRLF),
        ("halves-empty-line", "two padded pieces with an empty line between", (CRLF * 2).join(half) + CRLF),
        ("halves-joined", "two pieces in one line, the first padded", b"".join(half) + CRLF),
        ("url-alphabet", "the alphabet for URLs", base64.urlsafe_b64encode(b"\xff\xef\xbe" * 3 + payload) + CRLF),
        ("trailing-text", "words behind it", text + CRLF + CRLF + b"-- \r\nsent by hand\r\n"),
        ("trailing-padding-text", "words behind padding", base64.b64encode(payload + b"\n") + b"\r\nThis is no base64 any more.\r\n"),
        ("trailing-marks", "marks behind it", text + CRLF + b"*** end ***\r\n"),
        ("leading-lines", "empty lines before it", CRLF * 6 + text + CRLF),
        ("leading-blank-lines", "lines of blanks before it", b"   \r\n \t \r\n" + text + CRLF),
        ("leading-words", "eight letters before it that decode to other bytes", b"Regards,\r\n".replace(b",", b"A") + text + CRLF),
        ("leading-filler", "60 kB of zeros before it", b64(bytes(60_000) + payload)),
        ("odd-letter-first", "one letter in a line of its own before it", b"A\r\n\r\n" + text + CRLF),
        ("lone-letter-end", "one letter too much at the end", text + b"A" + CRLF),
        ("bom-first", "a byte order mark before it", b"\xef\xbb\xbf" + text + CRLF),
        ("begin-line", "a begin-base64 line before it", b"begin-base64 644 paper.com\r\n" + text + b"\r\n====\r\n"),
        ("pem", "between PEM lines", b"-----BEGIN DATA-----\r\n" + text + b"\r\n-----END DATA-----\r\n"),
        ("checksum-line", "an OpenPGP checksum line behind it", text + b"\r\n=aBcD\r\n"),
        ("soft-breaks", "lines that end like quoted-printable", CRLF.join(lines).replace(CRLF, b"=\r\n") + CRLF),
        ("escaped", "its letters as quoted-printable escapes", quoted(text)),
        ("dot-lines", "a line with a lone dot in it", CRLF.join(lines[:2] + [b"."] + lines[2:]) + CRLF),
        ("equals-is-a", "padding for the letter A, as some clients read it", text.replace(b"A", b"=") + CRLF),
        ("twice", "encoded twice", b64(text)),
        ("thrice", "encoded three times", b64(base64.b64encode(text))),
        ("of-qp", "around quoted-printable", b64(quoted(payload))),
        ("of-uu", "around uuencode", b64(uu(payload))),
        ("of-mime", "around a whole entity", b64(leaf(payload))),
        ("reversed-tail-bits", "set bits where padding should have none", text[:-1].rstrip(b"=") + text[-1:] + CRLF),
        ("long-line", "one line of 100 kB", base64.b64encode(bytes(75_000) + payload) + CRLF),
    ]
    steps = {
        "twice": ("base64",),
        "thrice": ("base64", "base64"),
        "of-qp": ("quopri",),
        "of-uu": ("uudecode",),
        "of-mime": ("entity",),
        "escaped": ("raw", "quopri", "base64"),
        "chunks": ("raw", "coreutils-base64"),
        "chunks-joined": ("raw", "coreutils-base64"),
        "chunks-bytes": ("raw", "coreutils-base64"),
        "chunks-bytes-lines": ("raw", "coreutils-base64"),
        "halves": ("raw", "coreutils-base64"),
        "halves-empty-line": ("raw", "coreutils-base64"),
        "halves-joined": ("raw", "coreutils-base64"),
        "begin-line": ("raw", "uudecode"),
        "pem": ("raw", "pem"),
        "equals-is-a": ("raw", "equals-is-a", "base64"),
        "odd-letter-first": ("raw", "last-block", "base64"),
    }
    second = {"no-padding", "url-alphabet", "soft-breaks", "quoted-lines"}
    for name, idea, content in rows:
        shelf.add(name, idea, multi(TEXT, leaf(payload, body=content)), steps.get(name, ()))
        if name in second:
            shelf.add(f"text-{name}", f"{idea}, in a plain text",
                      single(b"Content-Type: text/plain\r\n\r\n" + content), ("unquote", "base64url") if name != "soft-breaks" else ("quopri", "base64"))
    return shelf.made


def quoteds(payload):
    """quoted-printable as no encoder writes it."""
    shelf = Shelf("qp", "quoted-printable")
    full = [b"=%02X" % byte for byte in payload]
    rows = [
        ("every-byte", "every byte as an escape", b"".join(full) + CRLF),
        ("lower-case", "hex digits in small letters", b"".join(full).lower() + CRLF),
        ("mixed-case", "hex digits in both cases", b"".join(e.lower() if at % 2 else e for at, e in enumerate(full)) + CRLF),
        ("soft-each", "a soft break behind each character", b"=\r\n".join(full) + CRLF),
        ("soft-blanks", "blanks behind each soft break's mark", b"=  \t\r\n".join(full) + CRLF),
        ("soft-plain", "a soft break behind each plain character",
         b"=\r\n".join((b"=3D" if c == 61 else bytes([c])) for c in payload) + CRLF),
        ("soft-double", "two soft breaks in a row", b"=\r\n=\r\n".join(full) + CRLF),
        ("soft-end", "a soft break at the very end", b"".join(full) + b"=\r\n"),
        ("soft-bare-lf", "soft breaks with a bare line feed", b"=\n".join(full) + CRLF),
        ("bare-equals-end", "a lone mark at the very end", b"".join(full) + b"="),
        ("bad-escape-after", "a bad escape behind it", b"".join(full) + b"=ZZ=4\r\n"),
        ("bad-escape-before", "a bad escape before it", b"=ZZ=Q " + b"".join(full) + CRLF),
        ("trailing-blanks", "blanks at each line's end, which are not content", b"=\r\n".join(full[:30]) + b"=20" [:0] + b"=\r\n" + b"".join(full[30:]) + b"   \r\n"),
        ("long-line", "a line of 60 kB", b"=41" * 20_000 + b"".join(full) + CRLF),
        ("eightbit", "8-bit bytes beside it", b"\xe9\xe8 " + b"".join(full) + CRLF),
        ("underscores", "underscores, as in encoded words, beside it", b"a_b_c " + b"".join(full) + CRLF),
        ("of-base64", "around base64", quoted(b64(payload))),
        ("of-uu", "around uuencode", quoted(uu(payload))),
        ("of-qp", "encoded twice", quoted(b"".join(full))),
        ("of-html", "around a data: URI", quoted(b'<a href="data:application/octet-stream;base64,' + base64.b64encode(payload) + b'">x</a>')),
    ]
    steps = {"of-base64": ("base64",), "of-uu": ("uudecode",), "of-qp": ("quopri",), "of-html": ("html",)}
    for name, idea, content in rows:
        shelf.add(name, idea, multi(TEXT, leaf(payload, encoding=QP, body=content)), steps.get(name, ()))
    return shelf.made


def yenc(data: bytes, name: bytes, part=None, total=0, crc=True) -> bytes:
    """One yEnc block; `part` is (number, all, first offset) of a larger file of `total` bytes."""
    coded = bytearray()
    for byte in data:
        value = (byte + 42) % 256
        coded += bytes([61, (value + 64) % 256]) if value in (0, 10, 13, 61, 46) else bytes([value])
    rows, at = [], 0
    while at < len(coded):
        end = at + 40
        if coded[end - 1 : end] == b"=":
            end += 1
        rows.append(bytes(coded[at:end]))
        at = end
    size = total or len(data)
    first = b"=ybegin line=40 size=%d name=%s" % (size, name)
    tail = b"=yend size=%d" % len(data)
    if part:
        number, of, offset = part
        first = b"=ybegin part=%d total=%d line=40 size=%d name=%s\r\n=ypart begin=%d end=%d" % (number, of, size, name, offset + 1, offset + len(data))
        tail += b" part=%d pcrc32=%08x" % (number, zlib.crc32(data))
    elif crc:
        tail += b" crc32=%08x" % zlib.crc32(data)
    return CRLF.join([first, *rows, tail, b""])


XX = b"+-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def xx(data: bytes) -> bytes:
    """xxencode: uuencode in an alphabet of its own."""
    rows = []
    for row in uu(data).split(CRLF)[1:-3]:
        rows.append(bytes(XX[(c - 32) & 63] for c in row))
    return CRLF.join([b"begin 644 paper.com", *rows, b"+", b"end", b""])


HQX = b'!"#$%&\'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr'


def binhex(data: bytes, name: bytes = b"paper.com") -> bytes:
    """BinHex 4.0, with repeated bytes run-length coded."""

    def checked(block):
        crc = binascii.crc_hqx(block, 0)
        return block + bytes([crc >> 8, crc & 255])

    header = bytes([len(name)]) + name + b"\0" + b"TEXTttxt" + b"\0\0" + len(data).to_bytes(4, "big") + bytes(4)
    plain = checked(header) + checked(data) + checked(b"")
    coded = re.sub(rb"(?s)(.)\1{3,254}", lambda m: m[1] + b"\x90" + bytes([len(m[0])]), plain.replace(b"\x90", b"\x90\x00"))
    bits = "".join(f"{byte:08b}" for byte in coded)
    bits += "0" * (-len(bits) % 6)
    text = bytes(HQX[int(bits[at : at + 6], 2)] for at in range(0, len(bits), 6))
    text = b":" + text + b":"
    rows = [text[at : at + 64] for at in range(0, len(text), 64)]
    return CRLF.join([b"(This file must be converted with BinHex 4.0)", b"", *rows, b""])


def others(payload):
    """uuencode, yEnc and BinHex, in texts and as transfer encodings."""
    shelf = Shelf("uu", "uuencode")
    plain = uu(payload)
    rows = plain.split(CRLF)
    text = b"Content-Type: text/plain; charset=us-ascii\r\n\r\nHello Bob,\r\n\r\n"
    whole = lambda content: single(text + content)
    forms = [
        ("in-text", "in a plain text", plain),
        ("no-end", "without end", CRLF.join(rows[:-3]) + CRLF),
        ("no-begin-mode", "without a mode", plain.replace(b"begin 644 ", b"begin ")),
        ("mode-four", "a mode of four digits", plain.replace(b"begin 644", b"begin 0644")),
        ("mode-two", "a mode of two digits", plain.replace(b"begin 644", b"begin 64")),
        ("mode-odd", "a mode that is no octal number", plain.replace(b"begin 644", b"begin 999")),
        ("no-name", "without a name", plain.replace(b" paper.com", b"")),
        ("name-blanks", "a name with blanks", plain.replace(b"paper.com", b"my own paper.com")),
        ("blanks-in-begin", "several blanks in the first line", plain.replace(b"begin 644 ", b"begin   644   ")),
        ("begin-indented", "the first line indented", b"  " + plain),
        ("begin-capitals", "BEGIN in capitals", plain.replace(b"begin", b"BEGIN")),
        ("spaces", "blanks for zero", plain.replace(b"`", b" ")),
        ("no-backtick-line", "without the empty line before end", plain.replace(b"`\r\nend", b"end")),
        ("trailing-blanks-lost", "blanks for zero, lost at line ends", CRLF.join(row.replace(b"`", b" ").rstrip() for row in rows)),
        ("short-lines", "three bytes a line",
         b"begin 644 p\r\n" + b"".join(binascii.b2a_uu(payload[at : at + 3]).rstrip() + CRLF for at in range(0, len(payload), 3)) + b"`\r\nend\r\n"),
        ("checksum-char", "a checksum character behind each line", CRLF.join(row + b"K" if row[:1] in b"M7" and row else row for row in rows)),
        ("junk-behind", "marks behind the code of each line", CRLF.join(row + b"=3D" if row[:1] in b"M7" and row else row for row in rows)),
        ("quoted-reply", "in a reply, quoted with > ", CRLF.join(b"> " + row for row in rows[:-1]) + CRLF),
        ("empty-lines", "empty lines in between", (CRLF * 2).join(rows)),
        ("two-files", "behind another file", uu(b"nothing of note in this one", b"a.txt") + plain),
        ("begin-text-first", "behind a line of words that starts with begin", b"begin 2 tell the story\r\nwith care\r\n" + plain),
        ("in-html-pre", "in the pre of an HTML text", b"<pre>\r\n" + plain + b"</pre>\r\n"),
        ("base64-begin", "begin-base64", b"begin-base64 644 paper.com\r\n" + b64(payload, 60) + b"====\r\n"),
        ("base64-begin-no-end", "begin-base64 without end", b"begin-base64 644 paper.com\r\n" + b64(payload, 60)),
        ("base64-encoded-name", "begin-base64-encoded with a coded name", b"begin-base64-encoded 644 cGFwZXIuY29t\r\n" + b64(payload, 60) + b"====\r\n"),
        ("encoded-name", "begin-encoded with a coded name", plain.replace(b"begin 644 paper.com", b"begin-encoded 644 cGFwZXIuY29t")),
        ("table", "with a table line", b"table\r\n" + bytes(range(32, 64)) + CRLF + bytes(range(64, 96)) + CRLF + plain),
    ]
    lone = {"quoted-reply": ("unquote", "uudecode")}
    for name, idea, content in forms:
        step = lone.get(name, ("uudecode",))
        if name == "in-html-pre":
            shelf.add(name, idea, single(b"Content-Type: text/html\r\n\r\n" + content), step)
        else:
            shelf.add(name, idea, whole(content), step)
    for name, field in [("cte-x-uuencode", b"x-uuencode"), ("cte-x-uu", b"x-uu"), ("cte-uuencode", b"uuencode"), ("cte-uue", b"x-uue"),
                        ("cte-uue-plain", b"uue"), ("cte-case", b"X-UUencode")]:
        shelf.add(name, f"as the transfer encoding {field.decode()}", multi(TEXT, leaf(payload, encoding=b"Content-Transfer-Encoding: " + field + CRLF, body=plain)))
    shelf.add("cte-no-begin", "as the transfer encoding, lines without begin and end",
              multi(TEXT, leaf(payload, encoding=b"Content-Transfer-Encoding: x-uuencode\r\n", body=CRLF.join(rows[1:-3]) + CRLF)), ("uulines",))
    shelf.add("octets-7bit", "in an attachment without a transfer encoding", multi(TEXT, leaf(payload, encoding=b"", body=plain)), ("uudecode",))
    coded = xx(payload)
    shelf.add("xxencode", "xxencode in a plain text", whole(coded), ("xxdecode",))
    shelf.add("xxencode-attached", "xxencode attached in base64", multi(TEXT, leaf(b"", kind=b'Content-Type: application/octet-stream; name="p.xxe"\r\n', body=b64(coded))), ("xxdecode",))
    shelf.add("base64-then", "base64 of it, named .uue", multi(TEXT, leaf(payload, kind=b'Content-Type: application/x-uuencode; name="p.uue"\r\n', body=b64(plain))), ("uudecode",))
    made = shelf.made
    shelf = Shelf("yenc", "yEnc")
    one = yenc(payload, b"paper.com")
    shelf.add("in-text", "in a plain text", whole(one), ("yenc",))
    shelf.add("no-crc", "without a checksum", whole(yenc(payload, b"paper.com", crc=False)), ("yenc",))
    shelf.add("no-end", "without its last line", whole(one.split(b"=yend")[0]), ("yenc",))
    shelf.add("name-blanks", "a name with blanks and quotes", whole(yenc(payload, b'my "own" paper.com')), ("yenc",))
    pieces = yenc(payload[:30], b"p.com", (1, 2, 0), len(payload)), yenc(payload[30:], b"p.com", (2, 2, 30), len(payload))
    shelf.add("two-pieces", "in two pieces in one text", whole(CRLF.join(pieces)), ("yenc",))
    shelf.add("two-pieces-swapped", "in two pieces, the second first", whole(CRLF.join(reversed(pieces))), ("yenc",))
    shelf.add("cte", "as the transfer encoding x-yencode", multi(TEXT, leaf(payload, encoding=b"Content-Transfer-Encoding: x-yencode\r\n", body=one)), ("yenc",))
    shelf.add("octets", "in an attachment in base64", multi(TEXT, leaf(payload, body=b64(one))), ("yenc",))
    shelf.add("one-of-two", "only the first of two pieces, with all of the payload",
              whole(yenc(payload, b"p.com", (1, 2, 0), len(payload) + 40)), ("yenc",))
    made += shelf.made
    shelf = Shelf("hqx", "BinHex")
    hexed = binhex(payload)
    shelf.add("in-text", "in a plain text", whole(hexed), ("binhex",))
    shelf.add("typed", "as application/mac-binhex40", multi(TEXT, leaf(payload, kind=b'Content-Type: application/mac-binhex40; name="p.hqx"\r\n', encoding=b"", body=hexed)), ("binhex",))
    shelf.add("typed-base64", "as application/mac-binhex40 in base64",
              multi(TEXT, leaf(payload, kind=b'Content-Type: application/mac-binhex40; name="p.hqx"\r\n', body=b64(hexed))), ("binhex",))
    shelf.add("cte-binhex", "as the transfer encoding binhex40", multi(TEXT, leaf(payload, encoding=b"Content-Transfer-Encoding: binhex40\r\n", body=hexed)), ("binhex",))
    shelf.add("cte-x-binhex", "as the transfer encoding x-binhex40", multi(TEXT, leaf(payload, encoding=b"Content-Transfer-Encoding: x-binhex40\r\n", body=hexed)), ("binhex",))
    shelf.add("no-banner", "without its first line", multi(TEXT, leaf(payload, encoding=b"", kind=b'Content-Type: application/mac-binhex40; name="p.hqx"\r\n',
              body=hexed.split(CRLF, 2)[2])), ("binhex",))
    shelf.add("runs", "with a run of a repeated byte before it", whole(binhex(b"A" * 200 + payload)), ("binhex",))
    made += shelf.made
    shelf = Shelf("rare", "rarer codings")
    for name, coded in (("base32", base64.b32encode(payload)), ("ascii85", base64.a85encode(payload, adobe=True)), ("base85", base64.b85encode(payload))):
        file = b'Content-Type: application/octet-stream; name="p.txt"\r\n'
        shelf.add(name, f"a file in {name}", multi(TEXT, leaf(b"", kind=file, body=b64(coded))), (name,))
        shelf.add(f"{name}-cte", f"as the transfer encoding {name}", multi(TEXT, leaf(b"", encoding=b"Content-Transfer-Encoding: x-" + name.encode() + CRLF, body=coded + CRLF)), (name,))
    dumps = [("%08x: " % at, "%04x\t" % at, payload[at : at + 16].hex(" ")) for at in range(0, len(payload), 16)]
    for name, column in (("xxd", 0), ("certutil", 1)):
        dump = "".join(row[column] + row[2] + "  ....\r\n" for row in dumps).encode()
        shelf.add(f"dump-{name}", f"a hexadecimal dump as of {name}", whole(dump), ("dumped",))
    made += shelf.made
    shelf = Shelf("pieces", "a file in pieces")
    cut = (payload[:20], payload[20:45], payload[45:])
    for name, files in (
        ("volumes", ("p.com.001", "p.com.002", "p.com.003")),
        ("parts", ("p.part1", "p.part2", "p.part3")),
        ("split", ("xaa", "xab", "xac")),
        ("numbered", ("p (1 of 3).bin", "p (2 of 3).bin", "p (3 of 3).bin")),
    ):
        parts = [leaf(piece, kind=b"Content-Type: application/octet-stream\r\n", placed=b'Content-Disposition: attachment; filename="' + file.encode() + b'"\r\n') for file, piece in zip(files, cut)]
        shelf.add(name, f"attachments {files[0]}, {files[1]}, {files[2]}", multi(TEXT, *parts), ("joined",))
    texts = [b"Content-Type: text/plain\r\n\r\n" + CRLF.join(half) + CRLF for half in (rows[:2], rows[2:])]
    shelf.add("uu", "uuencoded, in two texts", multi(*texts), ("joined", "uudecode"))
    return made + shelf.made
