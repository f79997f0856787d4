"""The further steps of a proof: what a person's program would do with what a mail decoder handed out.

Each takes bytes and yields what it got out of them. None shares code with the gateway: Python's own codecs and modules where there are
any, else gpg, openssl or node, else a few lines written for this.
"""

import base64
import binascii
import email
import email.policy
import html
import html.parser
import json
import quopri
import re
import shutil
import subprocess
import tempfile
import urllib.parse
import zlib


def leaves(raw):
    """Every leaf of a message by Python's email."""
    for policy in (email.policy.compat32, email.policy.default):
        for form in (raw, raw.replace(b"\r\n", b"\n")):
            for part in email.message_from_bytes(form, policy=policy).walk():
                if not part.is_multipart():
                    yield part.get_payload(decode=True) or b""


def with_boundary(name):
    """A step that reads the bytes as a multipart with this boundary."""
    return lambda raw: leaves(b'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="' + name + b'"\n\n' + raw)


def from_base64(raw):
    """base64, marks outside the alphabet passed over."""
    yield base64.b64decode(raw + b"===", validate=False)
    yield binascii.a2b_base64(re.sub(rb"[^A-Za-z0-9+/]", b"", raw) + b"==")


def from_base64url(raw):
    """base64 in either alphabet, with or without padding; also from within a text."""
    for word in re.findall(rb"[A-Za-z0-9+/_\-\r\n]{40,}", raw):
        word = re.sub(rb"[\r\n]", b"", word).translate(bytes.maketrans(b"-_", b"+/"))
        for start in range(4):
            yield binascii.a2b_base64(word[start : start + (len(word) - start) // 4 * 4])
            yield base64.b64decode(word[start:] + b"==")


def uudecode(raw):
    """uuencode and begin-base64 within a text."""
    rows = raw.replace(b"\r\n", b"\n").split(b"\n")
    for at, row in enumerate(rows):
        if re.match(rb"\s*begin-base64(-encoded)?\s", row):
            block = []
            for line in rows[at + 1 :]:
                if line.startswith(b"===="):
                    break
                block.append(line)
            yield base64.b64decode(b"".join(block) + b"==")
        elif re.match(rb"(?i)\s*begin(-encoded)?\s*", row):
            try:
                yield from uulines(b"\n".join(rows[at + 1 :]))
            except binascii.Error:  # Words that only start with begin.
                continue


def uu_of(letter):
    """A letter of xxencode as the one of uuencode."""
    return b"+-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".index(letter) + 32


def uulines(raw):
    """Lines of uuencode up to the first that is none."""
    out = b""
    for line in raw.replace(b"\r\n", b"\n").split(b"\n"):
        if line[:1] in (b"`", b"") or line == b"end":
            if line == b"end":
                break
            continue
        size = (line[0] - 32) & 63
        try:
            out += binascii.a2b_uu(line[: 1 + (size + 2) // 3 * 4])
        except binascii.Error:
            out += binascii.a2b_uu((line + b" " * 64)[: 1 + (size + 2) // 3 * 4])
    yield out


def yenc(raw):
    """yEnc; pieces are put where they belong."""
    whole = {}
    blocks = re.split(rb"(?m)^=ybegin ", raw)[1:]
    for block in blocks:
        rows = block.split(b"\r\n") if b"\r\n" in block else block.split(b"\n")
        offset, coded = 0, b""
        for row in rows[1:]:
            if row.startswith(b"=ypart"):
                offset = int(re.search(rb"begin=(\d+)", row)[1]) - 1
            elif row.startswith(b"=yend"):
                break
            else:
                coded += row
        plain, at = bytearray(), 0
        while at < len(coded):
            byte = coded[at]
            if byte == 61 and at + 1 < len(coded):
                at += 1
                byte = coded[at] - 64
            plain.append((byte - 42) % 256)
            at += 1
        whole[offset] = bytes(plain)
    yield b"".join(whole[offset] for offset in sorted(whole))


def binhex(raw):
    """BinHex 4.0 by Perl's Convert::BinHex, or unar where that is missing."""
    start = raw.find(b":")
    text = b"(This file must be converted with BinHex 4.0)\n\n" + raw[start:].replace(b"\r\n", b"\n")
    perl = "use Convert::BinHex; binmode STDIN; binmode STDOUT; my $b = Convert::BinHex->open(FH => \\*STDIN); $b->read_header; while (defined($_ = $b->read_data)) { print }"
    run = subprocess.run(["perl", "-e", perl], input=text, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20)
    yield run.stdout


def mailbox_of(raw):
    """Every message of a Unix mailbox."""
    for piece in re.split(rb"(?m)^>*From [^\n]*\n", raw.replace(b"\r\n", b"\n")):
        yield from leaves(piece)


def data_uris(raw):
    """Every data: URI in a text."""
    for kind, data in re.findall(rb"(?i)data:([^,\"'<>]{0,200}?)\\?,\s*([^\"'<>)]*)", raw):
        data = urllib.parse.unquote_to_bytes(data)
        if kind.lower().rstrip(b"\\").endswith(b"base64"):
            data = re.sub(rb"\s", b"", data).translate(bytes.maketrans(b"-_", b"+/"))
            yield base64.b64decode(data + b"==")
        else:
            yield data


class Attributes(html.parser.HTMLParser):
    """Collects what attributes say, entities decoded."""

    def __init__(self):
        super().__init__()
        self.values = []

    def handle_starttag(self, tag, attrs):
        self.values += [value for _, value in attrs if value]


def attributes(raw):
    """The values of all attributes of a page."""
    reader = Attributes()
    reader.feed(raw.decode("latin-1"))
    return reader.values


def page(raw):
    """The data: URIs in the attributes of a page."""
    for value in attributes(raw):
        yield from data_uris(re.sub(r"[\t\r\n]", "", value.replace("'", "%27")).encode("latin-1"))


def script(raw):
    """What the expression of a page's script gives, worked out by node."""
    expression = re.search(rb"(?s)var file = (.*?);\r?\nvar a ", raw)[1].decode()
    if shutil.which("node") is None:
        return
    code = f"var file = {expression}; process.stdout.write(typeof file == 'string' ? Buffer.from(file, 'latin1') : Buffer.from(file))"
    yield subprocess.run(["node", "-e", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20).stdout


def strings(raw):
    """Every quoted string of a script, decoded as base64."""
    for word in re.findall(rb"[\"']([A-Za-z0-9+/=]{40,})[\"']", raw):
        yield base64.b64decode(word)


def cards(raw):
    """Values of folded lines (vCard, iCalendar, LDIF), decoded as base64."""
    text = re.sub(rb"\r?\n[ \t]", b"", raw)
    for line in text.split(b"\n"):
        value = re.search(rb"([A-Za-z0-9+/=]{40,})\s*$", line)
        if value:
            yield base64.b64decode(value[1])


def gpg(raw):
    """What gpg gets out of a message without any key."""
    if shutil.which("gpg") is None:
        return
    start = raw.find(b"-----BEGIN PGP")
    with tempfile.TemporaryDirectory() as folder:
        words = ["gpg", "--homedir", folder, "--batch", "--no-autostart", "--quiet", "--decrypt"]
        run = subprocess.run(words, input=raw[max(start, 0) :], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20)
        yield run.stdout


def asn1(raw):
    """The octet strings of a BER structure, those in pieces put together."""

    def walk(at, end):
        """Yields (octets or None) below; gives where it ended."""
        found = []
        while at < end:
            tag = raw[at]
            if raw[at : at + 2] == b"\0\0":
                return found, at + 2
            size, at = raw[at + 1], at + 2
            open_ended = size == 0x80
            if size > 0x80:
                count = size & 127
                size, at = int.from_bytes(raw[at : at + count], "big"), at + count
            if tag & 0x20:
                inner, after = walk(at, end if open_ended else at + size)
                at = after if open_ended else at + size
                found += [b"".join(inner)] if tag == 0x24 else inner
            else:
                if tag == 4:
                    found.append(raw[at : at + size])
                at += size
        return found, at

    yield from walk(0, len(raw))[0]


def openssl(*words):
    """A step by openssl cms."""

    def step(raw):
        run = subprocess.run(["openssl", "cms", *words, "-inform", "DER"], input=raw, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20)
        yield run.stdout

    return step


def compressed(raw):
    """The content of CMS compressed data."""
    for octets in asn1(raw):
        yield zlib.decompress(octets)


def each_word(raw):
    """Every long word as base64."""
    for word in re.findall(rb"[A-Za-z0-9+/=]{40,}", raw):
        yield base64.b64decode(word)


def codec(name):
    """A step that decodes a text and writes it as UTF-8."""
    return lambda raw: [raw.decode(name).encode("utf-8", "surrogatepass")]


def dumped(raw):
    """What xxd makes of a dump."""
    rows = re.findall(rb"(?m)^[0-9a-f]{4,8}(?::|\t) *((?:[0-9a-f]{2} ?)+)", raw)
    yield bytes.fromhex(b"".join(rows).replace(b" ", b"").decode())


STEPS = {
    "base64": from_base64,
    "base64url": from_base64url,
    "base32": lambda raw: [base64.b32decode(raw.strip(), casefold=True)],
    "ascii85": lambda raw: [base64.a85decode(raw.strip(), adobe=True)],
    "base85": lambda raw: [base64.b85decode(raw.strip())],
    "dumped": dumped,
    "joined": lambda raw: [raw],
    "quopri": lambda raw: [quopri.decodestring(raw)],
    "parts": with_boundary(b"=_part_7731"),
    "parts-in": with_boundary(b"in"),
    "body-parts": with_boundary(b"another"),
    "body-parts-more": with_boundary(b"=_part_7731_more"),
    "entity": leaves,
    "entity-indented": lambda raw: leaves(b"\n".join(line.lstrip() for line in raw.replace(b"\r\n", b"\n").split(b"\n"))),
    "message": lambda raw: leaves(raw.removeprefix(b"\xef\xbb\xbf").lstrip()),
    "http": lambda raw: leaves(raw[raw.index(b"\n") + 1 :]),
    "mbox": mailbox_of,
    "pasted": lambda raw: leaves(re.split(rb"-----\r?\n", raw)[1]),
    "cr": lambda raw: [raw.replace(b"\r", b"\n")],
    "raw": lambda raw: [raw],
    "coreutils-base64": lambda raw: [subprocess.run(["base64", "-d", "-i"], input=raw, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20).stdout],
    "equals-is-a": lambda raw: [raw.replace(b"=", b"A")],
    "last-block": lambda raw: [re.split(rb"\r?\n\r?\n", raw.strip())[-1]],
    "after-words": lambda raw: [re.split(rb"\r?\n\r?\n", raw, maxsplit=1)[1]],
    "xxdecode": lambda raw: uudecode(re.sub(rb"(?m)^[+\-0-9A-Za-z]{4,}\r?$", lambda row: bytes(uu_of(c) for c in row[0].strip()), raw)),
    "flowed": lambda raw: [re.sub(rb" \r?\n", b"", raw)],
    "undash": lambda raw: [re.sub(rb"(?m)^- ", b"", raw)],
    "lstrip": lambda raw: [re.sub(rb"(?m)^[ \t]+", b"", raw)],
    "unquote": lambda raw: [re.sub(rb"(?m)^> ", b"", raw)],
    "uudecode": uudecode,
    "uulines": uulines,
    "yenc": yenc,
    "binhex": binhex,
    "html": page,
    "data-uri": data_uris,
    "srcdoc": lambda raw: [value.encode() for value in attributes(raw)],
    "script": script,
    "atob": lambda raw: [base64.b64decode(word) for word in re.findall(rb"atob\(['\"]([^'\"]*)['\"]\)", raw)],
    "js-strings": strings,
    "js-elements": lambda raw: [base64.b64decode(word) for word in re.findall(rb">([A-Za-z0-9+/=]{40,})<", raw)],
    "unescape": lambda raw: [urllib.parse.unquote_to_bytes(word) for word in re.findall(rb'unescape\("([^"]*)"\)', raw)],
    "words-base64": each_word,
    "unfold": lambda raw: [re.sub(rb"\r?\n[ \t]", b"", raw)],
    "vcard": cards,
    "json": lambda raw: [value.encode() for value in json.loads(raw).values()],
    "entities": lambda raw: [html.unescape(raw.decode("latin-1")).encode()],
    "gpg": gpg,
    "asn1": asn1,
    "pem": lambda raw: [base64.b64decode(block) for block in re.findall(rb"-----BEGIN [^-]*-----([^-]*)-----END", raw)],
    "cms-verify": openssl("-verify", "-noverify"),
    "cms-uncompress": compressed,
}


def find(name):
    """The step of this name; `codec:NAME` is any of Python's codecs, `codec-odd:NAME` the same behind one stray byte."""
    if name.startswith("codec:"):
        return codec(name.removeprefix("codec:"))
    if name.startswith("codec-odd:"):
        inner = codec(name.removeprefix("codec-odd:"))
        return lambda raw: inner(raw[1 : 1 + (len(raw) - 1) // 2 * 2])
    return STEPS[name]
