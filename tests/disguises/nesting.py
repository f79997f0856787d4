"""Disguises by nesting: messages in messages, multiparts in multiparts, pieces of messages, mailboxes."""

from boundaries import uu
from frame import CRLF, b64, head
from pieces import ATTACHED, B, BASE64, MIXED, QP, TEXT, VERSION, Shelf, body, leaf, multi, quoted, ragged, single


def nests(payload):
    """All of them."""
    shelf = Shelf("nest", "nesting")
    add = shelf.add
    inner = multi(TEXT, leaf(payload), field=MIXED.replace(B, b"in"), b=b"in")
    flat = single(leaf(payload))
    message = b"Content-Type: message/rfc822\r\n"

    def mail(part):
        return multi(TEXT, part)

    add("message", "message/rfc822", mail(message + CRLF + inner))
    add("message-8bit", "message/rfc822 as 8bit", mail(message + b"Content-Transfer-Encoding: 8bit\r\n\r\n" + inner))
    add("message-flat", "message/rfc822 of one part", mail(message + CRLF + flat))
    add("message-base64", "message/rfc822 in base64", mail(message + BASE64 + CRLF + b64(inner)), ("message",))
    add("message-base64-ragged", "message/rfc822 in ragged base64", mail(message + BASE64 + CRLF + ragged(inner)), ("message",))
    add("message-qp", "message/rfc822 in quoted-printable", mail(message + QP + CRLF + quoted(inner)), ("raw", "quopri", "message"))
    add("message-base64-named", "message/rfc822 in base64, attached as .eml",
        mail(b'Content-Type: message/rfc822; name="a.eml"\r\nContent-Disposition: attachment; filename="a.eml"\r\n' + BASE64 + CRLF + b64(inner)), ("message",))
    add("message-octets", "a message as application/octet-stream named .eml",
        mail(leaf(b"", kind=b'Content-Type: application/octet-stream; name="a.eml"\r\n', body=b64(inner))), ("message",))
    add("message-text", "a message as text/plain in base64", mail(leaf(b"", kind=b'Content-Type: text/plain; name="a.txt"\r\n', body=b64(inner))), ("message",))
    add("message-global", "message/global", mail(b"Content-Type: message/global\r\n\r\n" + inner), ("message",))
    add("message-global-base64", "message/global in base64", mail(b"Content-Type: message/global\r\n" + BASE64 + CRLF + b64(inner)), ("message",))
    add("message-news", "message/news", mail(b"Content-Type: message/news\r\n\r\n" + inner), ("message",))
    add("message-unknown", "message/x-secret", mail(b"Content-Type: message/x-secret\r\n\r\n" + inner), ("message",))
    add("message-http", "message/http with the attachment as its body", mail(b"Content-Type: message/http\r\n\r\nHTTP/1.1 200 OK\r\n" + leaf(payload)), ("http",))
    add("message-top", "the whole message is message/rfc822", head() + VERSION + message + CRLF + inner)
    add("message-top-base64", "the whole message is message/rfc822 in base64", head() + VERSION + message + BASE64 + CRLF + b64(inner), ("message",))
    add("message-empty-line", "empty lines before the inner header", mail(message + CRLF * 4 + inner), ("message",))
    add("message-from-line", "a From_ line before the inner header", mail(message + CRLF + b"From ann@partner.example Mon Mar  2 09:12:44 2026\r\n" + inner))
    add("message-bom", "a byte order mark before the inner header", mail(message + CRLF + b"\xef\xbb\xbf" + inner), ("message",))
    add("message-no-header", "message/rfc822 with no header but the type", mail(message + CRLF + MIXED.replace(B, b"in") + CRLF + body(TEXT, leaf(payload), b=b"in")))
    add("message-text-only", "message/rfc822 that holds uuencode",
        mail(message + CRLF + head() + CRLF + uu(payload)), ("uudecode",))
    for depth in (5, 12, 25):
        deep = inner
        for level in range(depth):
            name = b"d%d" % level
            deep = head() + VERSION + b'Content-Type: multipart/mixed; boundary="' + name + b'"\r\n\r\n' + body(message + CRLF + deep, b=name)
        add(f"message-deep-{depth}", f"{depth} messages in one another", deep)
    deep = inner
    for level in range(4):
        name = b"d%d" % level
        deep = head() + VERSION + b'Content-Type: multipart/mixed; boundary="' + name + b'"\r\n\r\n' + body(message + BASE64 + CRLF + b64(deep), b=name)
    add("message-deep-base64", "four messages in one another, each in base64", deep, ("message",) * 4)
    for depth in (8, 20, 60):
        entity = leaf(payload)
        for level in range(depth):
            name = b"m%d" % level
            entity = b'Content-Type: multipart/mixed; boundary="' + name + b'"\r\n\r\n' + body(TEXT, entity, b=name)
        add(f"multiparts-{depth}", f"{depth} multiparts in one another", mail(entity))
    digest = b'Content-Type: multipart/digest; boundary="dig"\r\n\r\n'
    add("digest", "a message in a digest, with no type of its own", mail(digest + body(CRLF + inner, b=b"dig")))
    add("digest-no-empty-line", "a message in a digest, with no empty line before its header", mail(digest + body(inner, b=b"dig")), ("message",))
    add("digest-second", "the second message of a digest", mail(digest + body(CRLF + single(TEXT), CRLF + inner, b=b"dig")))
    add("digest-base64", "a message in a digest, in base64", mail(digest + body(BASE64 + CRLF + b64(inner), b=b"dig")), ("message",))
    add("digest-top", "the whole message is a digest",
        head() + VERSION + MIXED.replace(b"mixed", b"digest") + CRLF + body(CRLF + inner))
    add("headers-only", "text/rfc822-headers that goes on with a body", mail(b"Content-Type: text/rfc822-headers\r\n\r\n" + inner), ("message",))
    add("report", "the returned message of a report",
        multi(TEXT, b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.partner.example\r\n\r\nFinal-Recipient: rfc822;x@y.example\r\nAction: failed\r\nStatus: 5.0.0\r\n",
              message + CRLF + inner, field=MIXED.replace(b"mixed", b"report")))
    add("delivery-status", "in message/delivery-status, in base64",
        multi(TEXT, b"Content-Type: message/delivery-status\r\n" + BASE64 + CRLF + b64(b"Reporting-MTA: dns; a.example\r\n\r\n" + payload)), ("base64",))
    box = b"From ann@partner.example Mon Mar  2 09:12:44 2026\r\n"
    mbox = b"Content-Type: application/mbox; name=\"old.mbox\"\r\n"
    two = box + single(TEXT) + CRLF + box + inner + CRLF
    add("mbox", "the second message of a mailbox", mail(mbox + CRLF + two), ("mbox",))
    add("mbox-base64", "the second message of a mailbox, in base64", mail(mbox + BASE64 + CRLF + b64(two)), ("mbox",))
    add("mbox-octets", "a mailbox as application/octet-stream", mail(leaf(b"", body=b64(two))), ("mbox",))
    add("mbox-quoted", "a mailbox of >From lines with a message that a mailbox quoted",
        mail(mbox + BASE64 + CRLF + b64(box + head() + CRLF + b">From the start:\r\n\r\n" + box + flat)), ("mbox",))
    add("mbox-lf", "a mailbox with Unix line ends", mail(mbox + BASE64 + CRLF + b64(two.replace(CRLF, b"\n"))), ("mbox",))
    add("mbox-text", "a mailbox as text/plain", mail(b"Content-Type: text/plain\r\n\r\n" + two), ("mbox",))
    add("forwarded-text", "a message pasted below a line of dashes", single(
        b"Content-Type: text/plain\r\n\r\nSee below.\r\n\r\n----- Forwarded message -----\r\n" + inner + b"----- End -----\r\n"), ("pasted",))
    part = b'Content-Type: message/partial; id="7731@partner.example"; number=%d; total=2\r\n\r\n'
    add("partial-first", "the first half of message/partial", head() + VERSION + part % 1 + inner[: inner.index(b"\r\n", len(inner) // 2) + 2], want="held")
    add("partial-second", "the second half of message/partial", head() + VERSION + part % 2 + ragged(payload)[20:], want="held")
    add("partial-whole", "message/partial, one of one", head() + VERSION + part.replace(b"total=2", b"total=1") % 1 + inner, ("message",))
    add("partial-inside", "message/partial as a part, one of one", mail(part.replace(b"total=2", b"total=1") % 1 + inner), ("message",))
    add("partial-twice", "message/partial inside message/rfc822", mail(message + CRLF + head() + VERSION + part % 1 + inner), want="held")
    external = b"Content-Type: message/external-body; access-type=%s\r\n\r\n"
    add("external-local", "message/external-body with the content in its phantom body", mail(external % b'local-file; name="/tmp/p"' + leaf(payload)), ("entity",))
    add("external-mail", "message/external-body by mail server, the content in the phantom body",
        mail(external % b'mail-server; server="x@partner.example"' + leaf(payload)), ("entity",))
    related = (b"From: <Saved by hand>\r\nSubject: page\r\n" + VERSION + MIXED.replace(b"mixed", b"related") + CRLF +
               body(b"Content-Type: text/html\r\nContent-Location: http://partner.example/\r\n\r\n<p>page\r\n",
                    b"Content-Location: http://partner.example/paper.com\r\n" + leaf(payload)))
    add("mhtml", "a saved web page (MHTML) as an attachment",
        mail(leaf(b"", kind=b'Content-Type: multipart/related; name="page.mht"\r\n'.replace(b"multipart/related", b"application/octet-stream"), body=b64(related))), ("message",))
    add("mhtml-html", "a saved web page (MHTML) as text/html", mail(leaf(b"", kind=b'Content-Type: text/html; name="page.mht"\r\n', body=b64(related))), ("message",))
    add("mhtml-doc", "a saved web page (MHTML) as a Word file", mail(leaf(b"", kind=b'Content-Type: application/msword; name="page.doc"\r\n', body=b64(related))), ("message",))
    add("mhtml-lead", "a saved web page (MHTML) behind empty lines and a comment", mail(leaf(b"", kind=b'Content-Type: application/msword; name="page.doc"\r\n', body=b64(CRLF * 5 + related))), ("message",))
    lf = inner.replace(CRLF, b"\n")
    add("message-base64-lf", "a message with Unix line ends in base64", mail(message + BASE64 + CRLF + b64(lf)), ("message",))
    add("message-base64-cr", "a message with old Macintosh line ends in base64", mail(message + BASE64 + CRLF + b64(inner.replace(CRLF, b"\r"))), ("cr", "message"))
    add("message-utf16", "a message as UTF-16 text in base64", mail(leaf(b"", kind=b'Content-Type: text/plain; name="a.eml"\r\n', body=b64(b"\xff\xfe" + inner.decode("latin-1").encode("utf-16-le")))),
        ("codec:utf-16", "message"))
    add("message-in-uu", "a message in uuencode in a text", single(b"Content-Type: text/plain\r\n\r\n" + uu(inner, b"a.eml")), ("uudecode", "message"))
    for name, coding in (("uu", uu(inner, b"a.eml")), ("qp-soft", b"=\r\n".join(b"=%02X" % byte for byte in inner) + CRLF)):
        field = b"x-uuencode" if name == "uu" else b"quoted-printable"
        step = ("raw", "uudecode", "message") if name == "uu" else ("raw", "quopri", "message")
        idea = f"message/rfc822 as {field.decode()}" + ("" if name == "uu" else " with a soft break behind each byte")
        add(f"message-{name}", idea, mail(message + b"Content-Transfer-Encoding: " + field + CRLF * 2 + coding), step)
    add("multipart-uu", "an inner multipart as x-uuencode",
        mail(b"Content-Type: multipart/mixed; boundary=in\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\n" + uu(body(leaf(payload), b=b"in"))), ("raw", "uudecode", "parts-in"))
    add("message-twice-base64", "message/rfc822 in base64 of base64", mail(message + BASE64 + CRLF + b64(b64(inner))), ("base64", "message"))
    add("message-html", "a message as text/html", mail(leaf(b"", kind=b'Content-Type: text/html; name="a.html"\r\n', body=b64(inner))), ("message",))
    add("message-lead", "a message behind two lines of words", mail(leaf(b"", body=b64(b"Original message follows\r\n\r\n" + inner))), ("after-words", "message"))
    add("content-length", "a Content-Length that ends before the attachment", multi(TEXT, leaf(payload), version=VERSION + b"Content-Length: 20\r\nLines: 1\r\n"))
    deep = leaf(payload)
    for level in range(150):
        name = b"v%d" % level
        deep = b'Content-Type: multipart/mixed; boundary="' + name + b'"\r\n\r\n' + body(deep, b=name)
    add("multiparts-150", "150 multiparts in one another", mail(deep))
    return shelf.made

