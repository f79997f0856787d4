"""Disguises in the content of a leaf: charsets, cards and calendars, Macintosh files."""

import base64

from boundaries import uu
from frame import CRLF, b64
from pieces import BASE64, QP, TEXT, Shelf, body, leaf, multi, quoted, single


def charsets(payload):
    """Texts in charsets that a scanner of bytes does not see through."""
    shelf = Shelf("charset", "charset")
    text = "Dear Bob,\r\n" + payload.decode() + "\r\nAnn\r\n"
    utf7 = "".join(c if c.isalnum() else "+" + base64.b64encode(c.encode("utf-16-be")).decode().rstrip("=") + "-" for c in text.replace("\r\n", " "))
    utf7_all = "+" + base64.b64encode(payload.decode().encode("utf-16-be")).decode().rstrip("=") + "-"
    rows = [
        ("utf-7", "UTF-7", b"utf-7", utf7.encode() + CRLF, "codec:utf-7"),
        ("utf-7-whole", "UTF-7, the whole text in one run", b"utf-7", utf7_all.encode() + CRLF, "codec:utf-7"),
        ("utf-7-unicode", "UTF-7 under its old name", b"unicode-1-1-utf-7", utf7_all.encode() + CRLF, "codec:utf-7"),
        ("utf-7-unsaid", "UTF-7 in a text that says nothing of it", b"us-ascii", utf7_all.encode() + CRLF, "codec:utf-7"),
        ("utf-16le", "UTF-16, little end first, no mark", b"utf-16le", text.encode("utf-16-le"), "codec:utf-16-le"),
        ("utf-16be", "UTF-16, big end first, no mark", b"utf-16be", text.encode("utf-16-be"), "codec:utf-16-be"),
        ("utf-16-mark-le", "UTF-16 with its mark, little end first", b"utf-16", b"\xff\xfe" + text.encode("utf-16-le"), "codec:utf-16"),
        ("utf-16-mark-be", "UTF-16 with its mark, big end first", b"utf-16", b"\xfe\xff" + text.encode("utf-16-be"), "codec:utf-16"),
        ("utf-16-odd", "UTF-16 behind one stray byte", b"utf-16le", b"\n" + text.encode("utf-16-le"), "codec-odd:utf-16-le"),
        ("utf-16-unsaid", "UTF-16 declared as utf-8", b"utf-8", text.encode("utf-16-le"), "codec:utf-16-le"),
        ("utf-16-unsaid-be", "UTF-16, big end first, declared as windows-1252", b"windows-1252", text.encode("utf-16-be"), "codec:utf-16-be"),
        ("utf-16-wrong-end", "UTF-16, big end first, declared as little end first", b"utf-16le", text.encode("utf-16-be"), "codec:utf-16-be"),
        ("ucs-2", "ISO-10646-UCS-2", b"iso-10646-ucs-2", text.encode("utf-16-be"), "codec:utf-16-be"),
        ("utf-32le", "UTF-32, little end first", b"utf-32le", text.encode("utf-32-le"), "codec:utf-32-le"),
        ("utf-32be", "UTF-32, big end first", b"utf-32be", text.encode("utf-32-be"), "codec:utf-32-be"),
        ("utf-32-mark", "UTF-32 with its mark", b"utf-32", b"\xff\xfe\0\0" + text.encode("utf-32-le"), "codec:utf-32"),
        ("ucs-4", "ISO-10646-UCS-4", b"iso-10646-ucs-4", text.encode("utf-32-be"), "codec:utf-32-be"),
        ("utf-8-mark", "UTF-8 with its mark", b"utf-8", b"\xef\xbb\xbf" + text.encode(), "codec:utf-8-sig"),
        ("ebcdic-037", "EBCDIC (IBM037)", b"ibm037", text.encode("cp037"), "codec:cp037"),
        ("ebcdic-500", "EBCDIC (IBM500)", b"ibm500", text.encode("cp500"), "codec:cp500"),
        ("ebcdic-1047", "EBCDIC (IBM1140)", b"ibm1140", text.encode("cp1140"), "codec:cp1140"),
        ("ebcdic-cp037", "EBCDIC under the name cp037", b"cp037", text.encode("cp037"), "codec:cp037"),
        ("ebcdic-us", "EBCDIC under the name ebcdic-cp-us", b"ebcdic-cp-us", text.encode("cp037"), "codec:cp037"),
        ("hz", "HZ, with shifts in between", b"hz-gb-2312", b"~{~}".join(bytes([c]) for c in payload.replace(b"~", b"~~")) + CRLF, "codec:hz"),
        ("iso-2022-jp", "ISO-2022-JP, with shifts in between", b"iso-2022-jp", b"\x1b(J\x1b(B".join(bytes([c]) for c in payload) + CRLF, "codec:iso2022_jp"),
        ("iso-2022-kr", "ISO-2022-KR, with shifts in between", b"iso-2022-kr", b"\x1b$)C" + b"\x0e\x0f".join(bytes([c]) for c in payload) + CRLF, "codec:iso2022_kr"),
        ("iso-2022-jp-wide", "ISO-2022-JP, a shift within the payload", b"iso-2022-jp",
         payload[:20] + b"\x1b$B\x1b(B" + payload[20:40] + b"\x1b(J\x1b(B" + payload[40:], "codec:iso2022_jp"),
    ]
    for name, idea, charset, content, step in rows:
        kind = b"Content-Type: text/plain; charset=" + charset + CRLF
        shelf.add(name, idea, single(kind + BASE64 + CRLF + b64(content)), (step,))
    wide = text.encode("utf-16-le")
    shelf.add("utf-16-qp", "UTF-16 in quoted-printable", single(b"Content-Type: text/plain; charset=utf-16le\r\n" + QP + CRLF + quoted(wide)), ("codec:utf-16-le",))
    shelf.add("utf-16-attached", "UTF-16 in an attachment without a charset", multi(TEXT, leaf(b"", body=b64(b"\xff\xfe" + wide))), ("codec:utf-16",))
    shelf.add("charset-twice", "two charsets, the second is right", single(b"Content-Type: text/plain; charset=us-ascii; charset=utf-16le\r\n" + BASE64 + CRLF + b64(wide)), ("codec:utf-16-le",))
    shelf.add("charset-2231", "the charset in RFC 2231 pieces", single(b"Content-Type: text/plain; charset*0=utf-; charset*1=7\r\n\r\n" + utf7_all.encode() + CRLF), ("codec:utf-7",))
    shelf.add("charset-percent", "the charset with RFC 2231 escapes", single(b"Content-Type: text/plain; charset*=us-ascii''utf%2D7\r\n\r\n" + utf7_all.encode() + CRLF), ("codec:utf-7",))
    shelf.add("charset-meta", "UTF-7 said only in the page's meta element",
              single(b"Content-Type: text/html\r\n\r\n<meta http-equiv=Content-Type content='text/html; charset=utf-7'>\r\n<p>" + utf7_all.encode() + b"</p>\r\n"), ("codec:utf-7",))
    shelf.add("utf-16-uu", "uuencode in a UTF-16 text", single(b"Content-Type: text/plain; charset=utf-16le\r\n" + BASE64 + CRLF + b64(uu(payload).decode().encode("utf-16-le"))), ("codec:utf-16-le", "uudecode"))
    flowed = b" \r\n".join(payload[at : at + 12] for at in range(0, len(payload), 12)) + CRLF
    shelf.add("flowed-delsp", "a flowed text whose lines are joined without blanks",
              single(b"Content-Type: text/plain; charset=us-ascii; format=flowed; delsp=yes\r\n\r\n" + flowed), ("flowed",))
    link = b'<html><a href="data:application/x;base64,' + base64.b64encode(payload) + b'">x</a></html>'
    shelf.add("utf-16-page", "a UTF-16 page with a data: URI", single(b"Content-Type: text/html; charset=utf-16\r\n" + BASE64 + CRLF + b64(b"\xff\xfe" + link.decode().encode("utf-16-le"))),
              ("codec:utf-16", "html"))
    shelf.add("utf-16-page-unsaid", "a UTF-16 page attached, no charset, no mark", multi(TEXT, leaf(b"", kind=b'Content-Type: text/html; name="a.html"\r\n', body=b64(link.decode().encode("utf-16-le")))),
              ("codec:utf-16-le", "html"))
    shelf.add("ebcdic-uu", "uuencode in an EBCDIC text", single(b"Content-Type: text/plain; charset=ibm037\r\n" + BASE64 + CRLF + b64(uu(payload).decode().encode("cp037"))), ("codec:cp037", "uudecode"))
    shelf.add("utf-16-base64", "a base64 text in UTF-16", single(b"Content-Type: text/plain; charset=utf-16le\r\n" + BASE64 + CRLF + b64(b64(payload).decode().encode("utf-16-le"))), ("codec:utf-16-le", "base64"))
    shelf.add("utf-16-qp-inside", "quoted-printable escapes in a UTF-16 text", single(b"Content-Type: text/plain; charset=utf-16\r\n" + BASE64 + CRLF + b64(b"\xff\xfe" + quoted(payload).decode().encode("utf-16-le"))), ("codec:utf-16", "quopri"))
    shelf.add("utf-7-base64", "base64 text in UTF-7", single(b"Content-Type: text/plain; charset=utf-7\r\n\r\n+" + base64.b64encode(base64.b64encode(payload).decode().encode("utf-16-be")).rstrip(b"=") + b"-\r\n"),
              ("codec:utf-7", "base64"))
    return shelf.made


def cards(payload):
    """Cards, calendars and other texts that carry a file."""
    shelf = Shelf("card", "card or calendar")
    text = base64.b64encode(payload).decode()
    fold = lambda line, n=60: "\r\n ".join(line[at : at + n] for at in range(0, len(line), n))

    def card(lines, kind="text/vcard", wrap="VCARD"):
        return single(f"Content-Type: {kind}\r\n\r\nBEGIN:{wrap}\r\nVERSION:3.0\r\nFN:Ann\r\n{lines}\r\nEND:{wrap}\r\n".encode())

    def event(line, kind="text/calendar; method=REQUEST"):
        return single(f"Content-Type: {kind}\r\n\r\nBEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nSUMMARY:Talk\r\n{line}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n".encode())

    shelf.add("photo", "a vCard's PHOTO, ENCODING=b", card(fold(f"PHOTO;ENCODING=b;TYPE=JPEG:{text}")), ("vcard",))
    shelf.add("photo-21", "a vCard 2.1 PHOTO, ENCODING=BASE64 with an empty line", card("PHOTO;JPEG;ENCODING=BASE64:\r\n " + fold(text, 40) + "\r\n"), ("vcard",))
    shelf.add("photo-bare", "a vCard 2.1 PHOTO, BASE64 without a name", card("PHOTO;JPEG;BASE64:" + fold(text, 40) + "\r\n"), ("vcard",))
    shelf.add("key", "a vCard's KEY", card(fold(f"KEY;ENCODING=B:{text}")), ("vcard",))
    shelf.add("sound", "a vCard's SOUND, grouped", card(fold(f"item1.SOUND;TYPE=BASIC;ENCODING=b:{text}")), ("vcard",))
    shelf.add("logo-data", "a vCard 4 LOGO as a data: URI, folded", card(fold(f"LOGO:data:image/png;base64\\,{text}")), ("unfold", "data-uri"))
    shelf.add("note-qp", "a vCard 2.1 NOTE in quoted-printable", card("NOTE;ENCODING=QUOTED-PRINTABLE:" + "".join(f"={b:02X}" for b in payload)), ("quopri",))
    shelf.add("vcard-attached", "a vCard as an attachment in base64",
              multi(TEXT, leaf(b"", kind=b'Content-Type: text/x-vcard; name="a.vcf"\r\n', body=b64(f"BEGIN:VCARD\r\nVERSION:3.0\r\nN:Ann\r\nPHOTO;ENCODING=b:{fold(text)}\r\nEND:VCARD\r\n".encode()))), ("vcard",))
    shelf.add("vcard-plain", "a vCard in a plain text", card(fold(f"PHOTO;ENCODING=b:{text}"), "text/plain"), ("vcard",))
    shelf.add("vcard-tab-folds", "a vCard folded after every 4 letters, with tabs", card(fold(f"PHOTO;ENCODING=b:{text}", 4).replace("\r\n ", "\r\n\t")), ("vcard",))
    shelf.add("attach", "an iCalendar ATTACH, folded", event(fold(f"ATTACH;ENCODING=BASE64;VALUE=BINARY:{text}")), ("vcard",))
    shelf.add("attach-one-letter", "an iCalendar ATTACH folded after each letter", event(fold(f"ATTACH;VALUE=BINARY;ENCODING=BASE64:{text}", 1)), ("vcard",))
    shelf.add("attach-params", "an iCalendar ATTACH with quoted parameters", event(fold(f'ATTACH;FMTTYPE="application/octet-stream";X-NAME="a:b;c";ENCODING=BASE64;VALUE=BINARY:{text}')), ("vcard",))
    shelf.add("attach-data", "an iCalendar ATTACH as a data: URI, folded", event(fold(f"ATTACH:data:application/octet-stream;base64,{text}", 30)), ("unfold", "data-uri"))
    shelf.add("attach-lower", "an iCalendar attach in small letters", event(fold(f"attach;value=binary;encoding=base64:{text}")), ("vcard",))
    shelf.add("calendar-attached", "an iCalendar ATTACH in an attached .ics",
              multi(TEXT, leaf(b"", kind=b'Content-Type: application/ics; name="a.ics"\r\n',
                    body=b64(f"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n{fold(f'ATTACH;ENCODING=BASE64;VALUE=BINARY:{text}')}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n".encode()))), ("vcard",))
    shelf.add("attach-fold-name", "an iCalendar ATTACH folded within its parameters' names", event("ATT\r\n ACH;ENCO\r\n DING=BA\r\n SE64;VALUE=BIN\r\n ARY:" + fold(text, 30)), ("vcard",))
    shelf.add("photo-qp-part", "a vCard's PHOTO in a quoted-printable part",
              single(b"Content-Type: text/vcard\r\n" + QP + CRLF + quoted(f"BEGIN:VCARD\r\nVERSION:3.0\r\nPHOTO;ENCODING=b:{fold(text)}\r\nEND:VCARD\r\n".encode())), ("vcard",))
    shelf.add("agent", "a vCard within a vCard's AGENT", card("AGENT:BEGIN:VCARD\\nFN:Bo\\nPHOTO\\;ENCODING=b:" + text + "\\nEND:VCARD\\n"), ("words-base64",))
    shelf.add("alt-rep", "a page in an iCalendar X-ALT-DESC with a data: URI", event(fold(f'X-ALT-DESC;FMTTYPE=text/html:<a href="data:application/x;base64,{text}">x</a>')), ("unfold", "data-uri"))
    shelf.add("ldif", "an LDIF entry with a base64 value", single(f"Content-Type: text/x-ldif\r\n\r\ndn: cn=Ann\r\ncn: Ann\r\njpegPhoto:: {fold(text, 50)}\r\n".encode()), ("vcard",))
    shelf.add("json", "a JSON text with a base64 value", multi(TEXT, leaf(b"", kind=b'Content-Type: application/json; name="a.json"\r\n', body=b64(f'{{"name": "paper.com", "file": "{text}"}}\n'.encode()))), ("js-strings",))
    shelf.add("json-escapes", "a JSON text with the payload in \\u escapes", multi(TEXT, leaf(b"", kind=b'Content-Type: application/json; name="a.json"\r\n',
              body=b64(('{"file": "' + "".join(f"\\u{b:04x}" for b in payload) + '"}\n').encode()))), ("json",))
    shelf.add("xml-base64", "an XML text with a base64 element", multi(TEXT, leaf(b"", kind=b'Content-Type: application/xml; name="a.xml"\r\n',
              body=b64(f'<?xml version="1.0"?><pkg><binaryData>{text}</binaryData></pkg>\n'.encode()))), ("js-elements",))
    shelf.add("xml-entities", "an XML text with the payload as entities", multi(TEXT, leaf(b"", kind=b'Content-Type: application/xml; name="a.xml"\r\n',
              body=b64(("<?xml version='1.0'?><f>" + "".join(f"&#{b};" for b in payload) + "</f>\n").encode()))), ("entities",))
    return shelf.made


def apple(payload):
    """AppleSingle, AppleDouble and MacBinary."""
    shelf = Shelf("apple", "Macintosh file")

    def forked(magic, entries):
        at = 26 + 12 * len(entries)
        out = magic.to_bytes(4, "big") + (0x00020000).to_bytes(4, "big") + bytes(16) + len(entries).to_bytes(2, "big")
        for number, data in entries:
            out += number.to_bytes(4, "big") + at.to_bytes(4, "big") + len(data).to_bytes(4, "big")
            at += len(data)
        return out + b"".join(data for _, data in entries)

    single_file = forked(0x00051600, [(3, b"paper.com"), (9, bytes(32)), (1, payload)])
    double = forked(0x00051607, [(3, b"paper.com"), (9, bytes(32)), (2, payload)])
    both = b'Content-Type: multipart/appledouble; boundary="ad"\r\n\r\n'
    shelf.add("double-data", "multipart/appledouble, the payload in its data fork",
              multi(TEXT, both + body(leaf(b"", kind=b"Content-Type: application/applefile\r\n", body=b64(forked(0x00051607, [(9, bytes(32))]))), leaf(payload), b=b"ad")))
    shelf.add("double-resource", "multipart/appledouble, the payload in its resource fork",
              multi(TEXT, both + body(leaf(b"", kind=b"Content-Type: application/applefile\r\n", body=b64(double)), leaf(b"nothing of note"), b=b"ad")))
    shelf.add("single", "AppleSingle", multi(TEXT, leaf(b"", kind=b'Content-Type: application/applefile; name="p"\r\n', body=b64(single_file))))
    header = bytearray(128)
    header[1:11] = b"\x09paper.com"
    header[65:73] = b"TEXTttxt"
    header[83:87] = len(payload).to_bytes(4, "big")
    header[122:124] = b"\x81\x81"
    shelf.add("macbinary", "MacBinary", multi(TEXT, leaf(b"", kind=b'Content-Type: application/x-macbinary; name="p.bin"\r\n', body=b64(bytes(header) + payload))))
    return shelf.made
