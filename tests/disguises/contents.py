"""Disguises in the content of a leaf: charsets, pages that build a file, cards and calendars, OpenPGP, CMS, AppleDouble."""

import base64
import shutil
import subprocess
import tempfile
import zlib
import bz2
from pathlib import Path
from urllib.parse import quote

from frame import CRLF, b64
from pieces import BASE64, QP, TEXT, Shelf, leaf, multi, quoted, single

HTML = b"Content-Type: text/html; charset=us-ascii\r\n\r\n"


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
    shelf.add("utf-16-uu", "uuencode in a UTF-16 text", single(b"Content-Type: text/plain; charset=utf-16le\r\n" + BASE64 + CRLF + b64(_uu(payload).decode().encode("utf-16-le"))), ("codec:utf-16-le", "uudecode"))
    shelf.add("utf-7-base64", "base64 text in UTF-7", single(b"Content-Type: text/plain; charset=utf-7\r\n\r\n+" + base64.b64encode(base64.b64encode(payload).decode().encode("utf-16-be")).rstrip(b"=") + b"-\r\n"),
              ("codec:utf-7", "base64"))
    return shelf.made


def pages(payload):
    """HTML that hands out a file of its own making."""
    shelf = Shelf("html", "page")
    text = base64.b64encode(payload).decode()
    plain = payload.decode()

    def link(data):
        return HTML + b"<html><body><p>See <a download=paper.com href=" + data + b">this</a></p></body></html>\r\n"

    octets = "application/octet-stream"
    every = "".join(f"%{byte:02x}" for byte in payload)
    rows = [
        ("data-base64", "a data: URI in base64", f'"data:{octets};base64,{text}"'),
        ("data-charset", "a data: URI in base64 with parameters", f'"data:{octets};charset=utf-8;name=a.com;base64,{text}"'),
        ("data-no-type", "a data: URI in base64 without a type", f'"data:;base64,{text}"'),
        ("data-single-quotes", "a data: URI in single quotes", f"'data:{octets};base64,{text}'"),
        ("data-unquoted", "a data: URI without quotes", f"data:{octets};base64,{text.rstrip('=')}"),
        ("data-case", "a data: URI in capitals", f'"DATA:{octets};BASE64,{text}"'),
        ("data-percent", "a data: URI in percent escapes", f'"data:{octets},{every}"'),
        ("data-percent-some", "a data: URI with the needed percent escapes", f'"data:{octets},{quote(plain, safe="")}"'),
        ("data-base64-percent", "base64 in percent escapes in a data: URI", f'"data:{octets};base64,{"".join(f"%{ord(c):02X}" for c in text)}"'),
        ("data-base64-blanks", "a data: URI in base64 with blanks", f'"data:{octets};base64, {" ".join(text[at:at + 8] for at in range(0, len(text), 8))}"'),
        ("data-lines", "a data: URI in base64 over several lines", f'"data:{octets};base64,\r\n' + "\r\n".join(text[at:at + 30] for at in range(0, len(text), 30)) + '"'),
        ("data-entities", "a data: URI with entities", '"' + "".join(f"&#{ord(c)};" for c in f"data:{octets};base64,") + text + '"'),
        ("data-entities-all", "a data: URI, every letter a hexadecimal entity", '"' + "".join(f"&#x{ord(c):x};" for c in f"data:{octets};base64,{text}") + '"'),
        ("data-tab", "a data: URI with line ends within its scheme", f'"da\tta:{octets};base64,{text}"'),
        ("data-url-alphabet", "a data: URI in the alphabet for URLs", f'"data:{octets};base64,{base64.urlsafe_b64encode(payload).decode()}"'),
    ]
    for name, idea, data in rows:
        shelf.add(name, idea, single(link(data.encode())), ("html",))
    shelf.add("data-image", "a data: URI in an image", single(HTML + f'<img src="data:image/png;base64,{text}">\r\n'.encode()), ("html",))
    shelf.add("data-object", "a data: URI in an object", single(HTML + f'<object data="data:{octets};base64,{text}"></object>\r\n'.encode()), ("html",))
    shelf.add("data-style", "a data: URI in a style sheet", single(HTML + f"<style>p {{ background: url(data:image/png;base64,{text}) }}</style>\r\n".encode()), ("data-uri",))
    shelf.add("data-attached", "a data: URI in an attached page", multi(TEXT, leaf(b"", kind=b'Content-Type: text/html; name="a.html"\r\n', body=b64(link(rows[0][2].encode())))), ("html",))
    shelf.add("data-svg", "a data: URI in an attached SVG drawing", multi(TEXT, leaf(b"", kind=b'Content-Type: image/svg+xml; name="a.svg"\r\n',
              body=b64(f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><a xlink:href="data:{octets};base64,{text}"/></svg>'.encode()))), ("html",))
    shelf.add("data-comment", "a data: URI in a conditional comment", single(HTML + f'<!--[if mso]><a href="data:{octets};base64,{text}">x</a><![endif]-->\r\n'.encode()), ("data-uri",))
    shelf.add("data-srcdoc", "a data: URI in a frame's own page", single(HTML + f"<iframe srcdoc='&lt;a href=&quot;data:{octets};base64,{text}&quot;&gt;x&lt;/a&gt;'></iframe>\r\n".encode()), ("srcdoc", "html"))
    shelf.add("data-page-in-page", "a page in a data: URI, with a data: URI", single(link(('"data:text/html;base64,' + base64.b64encode(rows[0][2].join(["<a href=", ">x</a>"]).encode()).decode() + '"').encode())), ("html", "html"))
    shelf.add("data-in-text", "a data: URI in a plain text", single(b"Content-Type: text/plain\r\n\r\nOpen this:\r\n" + rows[0][2].strip('"').encode() + CRLF), ("data-uri",))
    cut = lambda s, n: [s[at : at + n] for at in range(0, len(s), n)]
    hexed = payload.hex()
    js = [
        ("atob", "atob of a string", f'atob("{text}")'),
        ("atob-single", "atob of a string in single quotes", f"atob('{text}')"),
        ("atob-concat", "atob of strings joined by +", "atob(" + " + ".join(f'"{piece}"' for piece in cut(text, 11)) + ")"),
        ("atob-concat-lines", "atob of strings joined over lines", "atob(" + " +\r\n  ".join(f"'{piece}'" for piece in cut(text, 7)) + ")"),
        ("atob-twice", "atob of atob", f'atob(atob("{base64.b64encode(text.encode()).decode()}"))'),
        ("atob-hex", "atob of a string in \\x escapes", 'atob("' + "".join(f"\\x{ord(c):02x}" for c in text) + '")'),
        ("atob-unicode", "atob of a string in \\u escapes", 'atob("' + "".join(f"\\u{ord(c):04x}" for c in text) + '")'),
        ("hex", "a string in \\x escapes", '"' + "".join(f"\\x{byte:02x}" for byte in payload) + '"'),
        ("unicode", "a string in \\u escapes", '"' + "".join(f"\\u{byte:04x}" for byte in payload) + '"'),
        ("octal", "a string in octal escapes", '"' + "".join(f"\\{byte:03o}" for byte in payload) + '"'),
        ("concat", "a string in small pieces", " + ".join(f'"{piece}"' for piece in (p.replace("\\", "\\\\") for p in cut(plain, 3)))),
        ("char-codes", "String.fromCharCode", "String.fromCharCode(" + ",".join(str(byte) for byte in payload) + ")"),
        ("char-codes-hex", "String.fromCharCode in hexadecimal", "String.fromCharCode(" + ",".join(hex(byte) for byte in payload) + ")"),
        ("char-codes-concat", "String.fromCharCode letter by letter", " + ".join(f"String.fromCharCode({byte})" for byte in payload)),
        ("bytes", "an array of numbers", "new Uint8Array([" + ", ".join(str(byte) for byte in payload) + "])"),
        ("bytes-hex", "an array of hexadecimal numbers", "new Uint8Array([" + ", ".join(hex(byte) for byte in payload) + "])"),
        ("unescape", "unescape of percent escapes", f'unescape("{every}")'),
        ("unescape-u", "unescape of %u escapes", 'unescape("' + "".join(f"%u{byte:04x}" for byte in payload) + '")'),
        ("decode-uri", "decodeURIComponent", f'decodeURIComponent("{every}")'),
        ("array-join", "an array of strings, joined", "[" + ", ".join(f'"{piece}"' for piece in cut(text, 9)) + '].join("")', "atob"),
        ("reversed", "a string, reversed", f'"{text[::-1]}".split("").reverse().join("")', "atob"),
        ("replaced", "a string with marks to be taken out", f'"{"~".join(cut(text, 5))}".replace(/~/g, "")', "atob"),
        ("hex-string", "a string of hexadecimal digits", f'"{hexed}".match(/../g).map(h => String.fromCharCode(parseInt(h, 16))).join("")'),
        ("template", "atob of a template string", f"atob(`{text}`)"),
    ]
    for name, idea, expression, *wrap in js:
        if wrap:
            expression = f"{wrap[0]}({expression})"
        page = ("<html><body><script>\r\nvar file = " + expression + ";\r\nvar a = document.createElement('a');\r\n"
                "a.href = URL.createObjectURL(new Blob([file]));\r\na.download = 'paper.com'; a.click();\r\n</script></body></html>\r\n")
        shelf.add(f"js-{name}", f"a script with {idea}", single(HTML + page.encode()), ("script",))
    page = f"<html><body onload=\"save(atob('{text}'))\">x</body></html>\r\n"
    shelf.add("js-event", "atob in an event attribute", single(HTML + page.encode()), ("atob",))
    page = f'<html><script>const c = "{text}";\r\nconst d = window["at" + "ob"](c);</script></html>\r\n'
    shelf.add("js-variable", "a string in a variable, decoded under a built name", single(HTML + page.encode()), ("js-strings",))
    page = f'<html><body data-file="{text}"><script>save(atob(document.body.dataset.file))</script></body></html>\r\n'
    shelf.add("js-attribute", "a string in an attribute, decoded by a script", single(HTML + page.encode()), ("js-strings",))
    page = f"<html><div id=d hidden>{text}</div><script>save(atob(document.all.d.innerText))</script></html>\r\n"
    shelf.add("js-element", "a string in a hidden element, decoded by a script", single(HTML + page.encode()), ("js-elements",))
    page = '<html><script>document.write(unescape("' + "".join(f"%{b:02X}" for b in f'<a href="data:{octets};base64,{text}">x</a>'.encode()) + '"))</script></html>\r\n'
    shelf.add("js-written", "a page written by a script, with a data: URI", single(HTML + page.encode()), ("unescape", "html"))
    script = f'var f = atob("{text}");\r\n'
    shelf.add("js-attached", "atob in an attached script", multi(TEXT, leaf(b"", kind=b'Content-Type: text/javascript; name="a.js"\r\n', body=b64(script.encode()))), ("atob",))
    shelf.add("js-utf16", "atob in a UTF-16 script", multi(TEXT, leaf(b"", kind=b'Content-Type: text/javascript; name="a.js"\r\n', body=b64(b"\xff\xfe" + script.encode("utf-16-le")))), ("codec:utf-16", "atob"))
    shelf.add("js-qp", "atob in a quoted-printable page", single(b"Content-Type: text/html\r\n" + QP + CRLF + quoted(f"<script>{script}</script>".encode())), ("atob",))
    ps = "[IO.File]::WriteAllBytes('p.com', [Convert]::FromBase64String('" + text + "'))\r\n"
    shelf.add("powershell", "FromBase64String in a PowerShell script", multi(TEXT, leaf(b"", kind=b'Content-Type: text/plain; name="a.ps1"\r\n', body=b64(ps.encode()))), ("js-strings",))
    enc = base64.b64encode(f'echo {plain}'.encode("utf-16-le")).decode()
    shelf.add("powershell-encoded", "an encoded PowerShell command in a batch file", multi(TEXT, leaf(b"", kind=b'Content-Type: text/plain; name="a.bat"\r\n', body=b64(f"powershell -enc {enc}\r\n".encode()))),
              ("words-base64", "codec:utf-16-le"))
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


def packet(tag, content, form="old"):
    """An OpenPGP packet: old or new format, or new with partial lengths."""
    if form == "old":
        return bytes([0x80 | tag << 2 | 1]) + len(content).to_bytes(2, "big") + content
    if form == "indeterminate":
        return bytes([0x80 | tag << 2 | 3]) + content
    if form == "partial":
        out, left = b"", content
        size = 512
        while len(left) > size:
            out, left = out + bytes([0xE0 | 9]) + left[:size], left[size:]
        return bytes([0xC0 | tag]) + out + length(len(left)) + left
    return bytes([0xC0 | tag]) + length(len(content)) + content


def length(size):
    """A new-format length."""
    if size < 192:
        return bytes([size])
    if size < 8384:
        return bytes([(size - 192 >> 8) + 192, size - 192 & 255])
    return b"\xff" + size.to_bytes(4, "big")


def crc24(data):
    """The checksum of OpenPGP armour."""
    crc = 0xB704CE
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return (crc & 0xFFFFFF).to_bytes(3, "big")


def armour(data, title=b"MESSAGE", fields=b"Version: 1\r\n", check=True):
    """OpenPGP's base64 form."""
    return (b"-----BEGIN PGP " + title + b"-----\r\n" + fields + CRLF + b64(data, 64) +
            (b"=" + base64.b64encode(crc24(data)) + CRLF if check else b"") + b"-----END PGP " + title + b"-----\r\n")


def openpgp(payload):
    """OpenPGP messages that are not encrypted."""
    shelf = Shelf("pgp", "OpenPGP, not encrypted")
    text = b"Content-Type: text/plain\r\n\r\nHello.\r\n\r\n"

    def literal(data, form="old"):
        return packet(11, b"b\x09paper.com" + bytes(4) + data, form)

    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    raw = squeezed.compress(literal(payload)) + squeezed.flush()
    long = b"\r\n".join([b"filler %d" % at for at in range(200)]) + payload
    import random

    noise = random.Random(7).randbytes(1500)
    binary = [
        ("literal", "a literal packet", literal(payload)),
        ("literal-new", "a literal packet in the new format", literal(payload, "new")),
        ("literal-partial", "a literal packet with partial lengths, the payload cut by one", literal(noise[: 512 * 2 - 30] + payload + noise[:300], "partial")),
        ("literal-indeterminate", "a literal packet of indeterminate length", literal(payload, "indeterminate")),
        ("marker-first", "a marker packet, then a literal packet", packet(10, b"PGP") + literal(payload)),
        ("zip", "compressed (ZIP)", packet(8, b"\x01" + raw)),
        ("zlib", "compressed (ZLIB)", packet(8, b"\x02" + zlib.compress(literal(payload), 9))),
        ("bzip2", "compressed (BZip2)", packet(8, b"\x03" + bz2.compress(literal(payload)))),
        ("zip-indeterminate", "compressed (ZIP), of indeterminate length", packet(8, b"\x01" + raw, "indeterminate")),
        ("zip-new", "compressed (ZIP), new format", packet(8, b"\x01" + raw, "new")),
        ("compressed-none", "compressed by nothing", packet(8, b"\x00" + literal(payload))),
        ("zlib-twice", "compressed twice", packet(8, b"\x02" + zlib.compress(packet(8, b"\x02" + zlib.compress(literal(payload)))))),
    ]
    for name, idea, data in binary:
        shelf.add(name, f"{idea}, in a plain text", single(text + armour(data)), ("gpg",))
    for name, idea, data in (binary[0], binary[5]):
        shelf.add(f"{name}-attached", f"{idea}, as a binary attachment", multi(TEXT, leaf(b"", kind=b'Content-Type: application/octet-stream; name="p.gpg"\r\n', body=b64(data))), ("gpg",))
    data = binary[6][2]
    shelf.add("armour-no-checksum", "no checksum", single(text + armour(data, check=False)), ("gpg",))
    shelf.add("armour-no-fields", "no fields", single(text + armour(data, fields=b"")), ("gpg",))
    shelf.add("armour-fields", "many fields", single(text + armour(data, fields=b"Comment: a\r\nComment: b\r\nCharset: utf-8\r\n")), ("gpg",))
    shelf.add("armour-file", "armoured as a FILE", single(text + armour(data, title=b"ARMORED FILE")), ("gpg",))
    shelf.add("armour-attached", "armoured, attached in base64", multi(TEXT, leaf(b"", kind=b'Content-Type: application/pgp; name="p.asc"\r\n', body=b64(armour(data)))), ("gpg",))
    shelf.add("armour-quoted", "armoured, dash-escaped in a quoted reply", single(text + b"".join(b"> " + row + CRLF for row in armour(data).split(CRLF)[:-1])), ("unquote", "gpg"))
    shelf.add("encrypted-mime", "as the second part of multipart/encrypted",
              multi(b"Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n", b'Content-Type: application/octet-stream; name="encrypted.asc"\r\n\r\n' + armour(data),
                    field=b'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary="=_part_7731"\r\n'), ("gpg",))
    clear = b"-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\n" + _uu(payload) + b"-----BEGIN PGP SIGNATURE-----\r\n\r\n" + b64(bytes(70), 64) + b"-----END PGP SIGNATURE-----\r\n"
    shelf.add("cleartext-uu", "uuencode in a clear-signed text", single(text + clear), ("uudecode",))
    inner = multi(TEXT, leaf(payload))
    shelf.add("mime-inside", "a MIME message in the literal packet", single(text + armour(literal(inner))), ("gpg", "message"))
    return shelf.made


def tlv(tag, content, indefinite=False):
    """One DER element, or BER of indefinite length."""
    if indefinite:
        return bytes([tag, 0x80]) + content + b"\0\0"
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + content


def oid(*arcs):
    """An object identifier."""
    out = bytes([arcs[0] * 40 + arcs[1]])
    for arc in arcs[2:]:
        digits = [arc & 127]
        while arc > 127:
            arc >>= 7
            digits.append(arc & 127 | 128)
        out += bytes(reversed(digits))
    return tlv(6, out)


PKCS7 = (1, 2, 840, 113549, 1, 7)


def smime(payload):
    """S/MIME messages whose content can be read without a key."""
    shelf = Shelf("cms", "S/MIME, readable")
    inner = leaf(payload)
    kind = b'Content-Type: application/pkcs7-mime; smime-type=signed-data; name="smime.p7m"\r\n'

    def signed(data, pieces=0, indefinite=False):
        octets = tlv(4, data)
        if pieces:
            octets = tlv(0x24, b"".join(tlv(4, data[at : at + pieces]) for at in range(0, len(data), pieces)), indefinite)
        content = tlv(0x30, oid(*PKCS7, 1) + tlv(0xA0, octets, indefinite), indefinite)
        algorithms = tlv(0x31, tlv(0x30, oid(2, 16, 840, 1, 101, 3, 4, 2, 1)))
        return tlv(0x30, oid(*PKCS7, 2) + tlv(0xA0, tlv(0x30, tlv(2, b"\x01") + algorithms + content + tlv(0x31, b""), indefinite), indefinite), indefinite)

    def data(content):
        return tlv(0x30, oid(*PKCS7, 1) + tlv(0xA0, tlv(4, content)))

    digest = __import__("hashlib").sha256(inner).digest()
    digested = tlv(0x30, oid(*PKCS7, 5) + tlv(0xA0, tlv(0x30, tlv(2, b"\0") + tlv(0x30, oid(2, 16, 840, 1, 101, 3, 4, 2, 1)) +
                   tlv(0x30, oid(*PKCS7, 1) + tlv(0xA0, tlv(4, inner))) + tlv(4, digest))))
    compressed = tlv(0x30, oid(1, 2, 840, 113549, 1, 9, 16, 1, 9) + tlv(0xA0, tlv(0x30, tlv(2, b"\0") + tlv(0x30, oid(1, 2, 840, 113549, 1, 9, 16, 3, 8)) +
                     tlv(0x30, oid(*PKCS7, 1) + tlv(0xA0, tlv(4, zlib.compress(inner)))))))
    rows = [
        ("signed-der", "signed, DER, no signer", signed(inner), ("asn1", "entity")),
        ("signed-pieces", "signed, the content in pieces of 16 bytes", signed(inner, 16), ("asn1", "entity")),
        ("signed-ber", "signed, BER of indefinite length, in pieces of 10 bytes", signed(inner, 10, True), ("asn1", "entity")),
        ("signed-bare", "signed, the payload itself as the content", signed(payload), ("asn1",)),
        ("signed-bare-pieces", "signed, the payload itself in pieces of 5 bytes", signed(payload, 5, True), ("asn1",)),
        ("signed-twice", "signed in signed", signed(kind + BASE64 + CRLF + b64(signed(inner))), ("asn1", "entity", "asn1", "entity")),
        ("signed-base64", "signed, the inner entity in base64 of base64", signed(b"Content-Type: message/rfc822\r\n" + BASE64 + CRLF + b64(single(inner))), ("asn1", "entity", "message")),
        ("data", "plain data", data(inner), ("asn1", "entity")),
        ("digested", "digested data", digested, ("asn1", "entity")),
        ("compressed", "compressed data", compressed, ("cms-uncompress", "entity")),
    ]
    for name, idea, der, steps in rows:
        shelf.add(name, idea, single(leaf(b"", kind=kind, body=b64(der))), steps)
    der = signed(inner)
    pem = b"-----BEGIN PKCS7-----\r\n" + b64(der, 64) + b"-----END PKCS7-----\r\n"
    shelf.add("signed-pem", "signed, PEM in a text", single(b"Content-Type: text/plain\r\n\r\n" + pem), ("pem", "asn1", "entity"))
    shelf.add("signed-pem-attached", "signed, PEM as smime.p7m", single(leaf(b"", kind=kind, body=b64(pem))), ("pem", "asn1", "entity"))
    shelf.add("signed-octets", "signed, as application/octet-stream named .p7m", multi(TEXT, leaf(b"", kind=b'Content-Type: application/octet-stream; name="smime.p7m"\r\n', body=b64(der))), ("asn1", "entity"))
    shelf.add("signed-x-type", "signed, as application/x-pkcs7-mime without parameters", single(leaf(b"", kind=b"Content-Type: application/x-pkcs7-mime\r\n", body=b64(der))), ("asn1", "entity"))
    shelf.add("signed-called-enveloped", "signed, said to be enveloped", single(leaf(b"", kind=kind.replace(b"signed-data", b"enveloped-data"), body=b64(der))), ("asn1", "entity"))
    shelf.add("signed-in-signature", "signed, as the signature of multipart/signed",
              multi(TEXT, leaf(b"", kind=b'Content-Type: application/pkcs7-signature; name="smime.p7s"\r\n', body=b64(signed(payload, 7))),
                    field=b'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary="=_part_7731"\r\n'), ("asn1",))
    shelf.add("signed-timestamped", "signed data in the time-stamp type (.tsd)", multi(TEXT, leaf(b"", kind=b'Content-Type: application/timestamped-data; name="a.tsd"\r\n',
              body=b64(tlv(0x30, oid(1, 2, 840, 113549, 1, 9, 16, 1, 31) + tlv(0xA0, tlv(0x30, tlv(2, b"\x01") + tlv(4, payload))))))), ("asn1",))
    real = openssl_signed(inner)
    if real:
        shelf.add("signed-openssl", "signed by openssl with a key", single(leaf(b"", kind=kind, body=b64(real))), ("cms-verify", "entity"))
    return shelf.made


def openssl_signed(entity):
    """CMS made and signed by openssl with a fresh key, or nothing where it is not installed."""
    if shutil.which("openssl") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout k.pem -out c.pem -subj /CN=Ann -days 30".split(), **quiet)
        (at / "in").write_bytes(entity)
        subprocess.run("openssl cms -sign -binary -nodetach -in in -signer c.pem -inkey k.pem -outform DER -out out -stream".split(), **quiet)
        return (at / "out").read_bytes() if (at / "out").exists() else None


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
    from pieces import body

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


def _uu(data):
    from boundaries import uu

    return uu(data)
