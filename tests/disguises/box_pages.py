"""Pages, pictures and scripts that hand the reader a file, and other texts with a file in base64."""

import base64
import gzip

from box_office import html_data
from boxes import Box
from zips import Member, zipped


def boxes(payload):
    """All of them."""
    inner = zipped(Member("eicar.com", payload))
    yield from pages(payload, inner)


def pages(payload, inner):
    """Pages and pictures whose script or link hands the reader a file."""
    text = base64.b64encode(inner).decode()

    def box(name, idea, data, file="page.html", steps=("base64", "zip"), **more):
        data = data if isinstance(data, bytes) else data.encode()
        return Box(f"page-{name}", idea, data, file, steps, **({"declared": "text/html"} | more))

    script = '<html><body><script>var d="%s";var b=atob(d),n=b.length,u=new Uint8Array(n);while(n--)u[n]=b.charCodeAt(n);var a=document.createElement("a");a.href=URL.createObjectURL(new Blob([u]));a.download="paper.zip";a.click();</script></body></html>'
    yield box("smuggled", "a script makes a file of base64 and hands it out", script % text)
    yield box(
        "smuggled-pieces",
        "the base64 in pieces that the script joins",
        script.replace('"%s"', " + ".join(f'"{text[at : at + 60]}"' for at in range(0, len(text), 60))),
        steps=("joined", "base64", "zip"),
    )
    yield box(
        "smuggled-array",
        "the base64 in a list that the script joins",
        script.replace('"%s"', "[" + ",".join(f"'{text[at : at + 40]}'" for at in range(0, len(text), 40)) + "].join('')"),
        steps=("joined", "base64", "zip"),
    )
    yield box(
        "smuggled-reversed",
        "the base64 from back to front",
        script.replace('"%s"', f'"{text[::-1]}".split("").reverse().join("")'),
        steps=("reversed", "base64", "zip"),
    )
    yield box(
        "smuggled-numbers",
        "the bytes as a list of numbers",
        "<html><script>var u=new Uint8Array(["
        + ",".join(map(str, inner))
        + "]);location=URL.createObjectURL(new Blob([u]));</script></html>",
        steps=("numbers", "zip"),
    )
    yield box(
        "smuggled-hex-numbers",
        "the bytes as a list of numbers in hex",
        "<html><script>var u=new Uint8Array(["
        + ",".join(map(hex, inner))
        + "]);location=URL.createObjectURL(new Blob([u]));</script></html>",
        steps=("numbers", "zip"),
    )
    escaped = "".join(f"\\x{byte:02x}" for byte in inner)
    yield box(
        "smuggled-escapes",
        "the bytes as escapes in a string",
        f'<html><script>var s="{escaped}";</script></html>',
        steps=("escapes", "zip"),
    )
    percent = "".join(f"%{byte:02x}" for byte in (b"<script>d='" + base64.b64encode(inner) + b"'</script>"))
    yield box(
        "smuggled-unescape",
        "a page written by unescape()",
        f'<html><script>document.write(unescape("{percent}"));</script></html>',
        steps=("percent", "base64", "zip"),
    )
    yield box("smuggled-hex", "the bytes in hex", f'<html><script>var h="{inner.hex()}";</script></html>', steps=("hex", "zip"))
    yield box("data-link", "a link with a data: URI", html_data(inner))
    hexed = "".join(f"%{byte:02X}" for byte in inner)
    yield box(
        "data-percent",
        "a data: URI without base64",
        f'<html><a href="data:application/zip,{hexed}">paper</a></html>',
        steps=("percent", "zip"),
    )
    yield box(
        "data-frame",
        "a page in a data: URI in a frame, a data: URI in it",
        '<html><iframe src="data:text/html;base64,' + base64.b64encode(html_data(inner)).decode() + '"></iframe></html>',
        steps=("base64", "base64", "zip"),
    )
    yield box(
        "data-entities",
        "a data: URI with entities",
        '<html><a href="' + "".join(f"&#{ord(letter)};" for letter in "data:application/zip;base64," + text) + '">paper</a></html>',
        steps=("entities", "base64", "zip"),
    )
    yield box(
        "srcdoc",
        "a page in an attribute",
        '<html><iframe srcdoc="' + (script % text).replace('"', "&quot;").replace("<", "&lt;") + '"></iframe></html>',
    )
    yield box("utf16", "a page in UTF-16", (script % text).encode("utf-16"), steps=("utf-16", "base64", "zip"))
    yield box("htm", "named htm, declared as nothing in particular", script % text, "page.htm", declared="application/octet-stream")
    yield box("xhtml", "named xhtml", script % text, "page.xhtml", declared="application/xhtml+xml")
    yield box("hta", "an HTML application", script % text, "page.hta", declared="application/octet-stream")
    svg = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">%s</svg>'
    yield box(
        "svg-link",
        "a picture with a data: URI",
        svg % f'<a xlink:href="data:application/zip;base64,{text}"><rect/></a>',
        "photo.svg",
        declared="image/svg+xml",
    )
    yield box(
        "svg-script",
        "a picture with a script that hands out a file",
        svg % f'<script><![CDATA[var d=atob("{text}");]]></script>',
        "photo.svg",
        declared="image/svg+xml",
    )
    yield box(
        "svg-object",
        "a picture with a foreign object",
        svg
        % f'<foreignObject><body xmlns="http://www.w3.org/1999/xhtml"><a download="a.zip" href="data:application/zip;base64,{text}">a</a></body></foreignObject>',
        "photo.svg",
        declared="image/svg+xml",
    )
    yield box(
        "svgz",
        "a compressed picture with a data: URI",
        gzip.compress((svg % f'<a xlink:href="data:application/zip;base64,{text}"><rect/></a>').encode(), mtime=0),
        "photo.svgz",
        ("gz", "base64", "zip"),
        declared="image/svg+xml",
    )
    yield box("js", "a script by itself", f'var d = "{text}";', "run.js", declared="text/javascript")
    yield box(
        "vbs",
        "a script in Basic",
        'd = "' + '" & _\r\n"'.join(text[at : at + 60] for at in range(0, len(text), 60)) + '"\r\n',
        "run.vbs",
        ("joined", "base64", "zip"),
        declared="text/plain",
    )
    yield box(
        "powershell",
        "a script for PowerShell",
        f"[IO.File]::WriteAllBytes('a.zip',[Convert]::FromBase64String('{text}'))",
        "run.ps1",
        declared="text/plain",
    )
    yield box(
        "batch",
        "a batch file with a certificate's armour",
        "@certutil -decode %0 a.zip & goto :eof\r\n-----BEGIN CERTIFICATE-----\r\n"
        + base64.encodebytes(inner).decode().replace("\n", "\r\n")
        + "-----END CERTIFICATE-----\r\n",
        "run.cmd",
        declared="text/plain",
    )
    yield box(
        "css", "a style sheet with a data: URI", f"body{{background:url(data:application/zip;base64,{text})}}", "a.css", declared="text/css"
    )
    yield box(
        "json",
        "JSON with base64",
        '{"name":"paper.zip","data":"' + text.replace("/", "\\/") + '"}',
        "a.json",
        ("slashes", "base64", "zip"),
        declared="application/json",
    )
    yield box(
        "markdown", "Markdown with a data: URI", f"[paper](data:application/zip;base64,{text})\n", "note.md", declared="text/markdown"
    )
