"""Disguises in pages: data: URIs and scripts that hand out a file of their own making."""

import base64
import json
from urllib.parse import quote

from frame import CRLF, b64
from pieces import QP, TEXT, Shelf, leaf, multi, quoted, single

HTML = b"Content-Type: text/html; charset=us-ascii\r\n\r\n"


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
        ("two-variables", "strings in two variables", f'(() => {{ const a = "{text[:50]}", b = "{text[50:]}"; return a + b; }})()', "atob"),
        ("xor", "an array of numbers, each combined with a key", "new Uint8Array([" + ",".join(str(byte ^ 0x5A) for byte in payload) + "].map(n => n ^ 90))"),
        ("shifted", "a string with each letter moved by one", f'Array.from({json.dumps("".join(chr(byte + 1) for byte in payload))}, c => String.fromCharCode(c.charCodeAt(0) - 1)).join("")'),
        ("swapped-case", "base64 with small and capital letters swapped", f'"{text.swapcase()}".replace(/[a-z]/gi, c => c == c.toUpperCase() ? c.toLowerCase() : c.toUpperCase())', "atob"),
        ("cut", "a string with letters to be cut off at both ends", f'"xyz{text}xyz".slice(3, -3)', "atob"),
        ("odd-even", "two strings that are taken in turn", f'Array.from("{text[::2]}", (c, i) => c + ("{text[1::2]}"[i] || "")).join("")', "atob"),
        ("from", "Uint8Array.from of atob", f'Uint8Array.from(atob("{text}"), c => c.charCodeAt(0))'),
        ("hex-bytes", "a string of hexadecimal digits with blanks", f'new Uint8Array("{" ".join(cut(hexed, 2))}".split(" ").map(h => parseInt(h, 16)))'),
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
    page = f"<html><a href=\"javascript:save(atob('{text}'))\">x</a></html>\r\n"
    shelf.add("js-uri", "atob in a javascript: URI", single(HTML + page.encode()), ("atob",))
    inner = base64.b64encode(f"save(atob('{text}'))".encode()).decode()
    shelf.add("js-data-source", "atob in a script that is a data: URI", single(HTML + f'<html><script src="data:text/javascript;base64,{inner}"></script></html>\r\n'.encode()), ("html", "atob"))
    shelf.add("data-refresh", "a data: URI in a meta refresh", single(HTML + f'<meta http-equiv="refresh" content="0; url=data:{octets};base64,{text}">\r\n'.encode()), ("html",))
    shelf.add("data-form", "a data: URI in a form's action", single(HTML + f'<form action="data:{octets};base64,{text}"><button>x</button></form>\r\n'.encode()), ("html",))
    shelf.add("data-import", "a data: URI in a style sheet that imports", single(HTML + f'<style>@import "data:text/css;base64,{text}";</style>\r\n'.encode()), ("data-uri",))
    shelf.add("text-entities", "the payload as entities in the text of a page", single(HTML + ("<p>" + "".join(f"&#{b};" for b in payload) + "</p>\r\n").encode()), ("entities",))
    drawing = f"<svg xmlns='http://www.w3.org/2000/svg'><script>save(atob('{text}'))</script></svg>"
    shelf.add("js-svg", "atob in the script of an attached SVG drawing", multi(TEXT, leaf(b"", kind=b'Content-Type: image/svg+xml; name="a.svg"\r\n', body=b64(drawing.encode()))), ("atob",))
    shelf.add("js-xhtml", "atob in an attached .xhtml", multi(TEXT, leaf(b"", kind=b'Content-Type: application/xhtml+xml; name="a.xhtml"\r\n', body=b64(f"<html xmlns='http://www.w3.org/1999/xhtml'><script>f=atob('{text}')</script></html>".encode()))), ("atob",))
    shelf.add("js-hta", "atob in an attached .hta declared as octets", multi(TEXT, leaf(b"", kind=b'Content-Type: application/octet-stream; name="a.hta"\r\n', body=b64(f"<script>f=atob('{text}')</script>".encode()))), ("atob",))
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
