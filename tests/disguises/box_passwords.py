"""Encrypted archives: with the password in the message a person would open them, without it nobody judges them."""

from boxes import Box, broken_up, made


def archive(payload, password, kind="zip", *options):
    """An encrypted archive by 7-Zip."""
    return made(
        ["7z", "a", f"-t{kind}", f"-p{password}", *options, f"box.{kind}", "eicar.com"], {"eicar.com": broken_up(payload)}, f"box.{kind}"
    )


WORDINGS = {
    "colon": ("winter26", "Please see the attached file.\r\nPassword: winter26\r\n"),
    "is": ("Winter-26", "The password is Winter-26."),
    "quoted": ("a b c 9", 'Open it with the password "a b c 9", please.'),
    "curly": ("Winter26!", "The password for the archive is \u201cWinter26!\u201d."),
    "own-line": ("Xk4-99q", "The archive is protected, the password is:\r\n\r\nXk4-99q\r\n\r\nKind regards\r\nAnn"),
    "pw": ("1234", "pw 1234"),
    "pwd": ("inv/2026", "Invoice attached (pwd=inv/2026)"),
    "code": ("887341", "Your access code 887341 opens the document."),
    "german": ("Geheim#1", "Das Passwort lautet Geheim#1"),
    "kennwort": ("mueller7", "Kennwort: mueller7"),
    "french": ("hiver26", "Le mot de passe est hiver26."),
    "spanish": ("invierno26", "Contrase\u00f1a: invierno26"),
    "italian": ("inverno26", "La password per aprire il file \u00e8 inverno26"),
    "dutch": ("winter_26", "Het wachtwoord is winter_26"),
    "polish": ("zima26", "Has\u0142o: zima26"),
    "russian": ("zima-2026", "\u041f\u0430\u0440\u043e\u043b\u044c \u043a \u0430\u0440\u0445\u0438\u0432\u0443: zima-2026"),
    "chinese": ("8842", "\u89e3\u538b\u5bc6\u7801\uff1a8842"),
    "japanese": ("fuyu26", "\u30d1\u30b9\u30ef\u30fc\u30c9\u306ffuyu26\u3067\u3059"),
    "no-word": ("Zx81-k", "Zx81-k"),
    "brackets": ("winter26", "See the file [winter26] and sign it."),
    "full-stop": ("winter26.", "Password: winter26."),
}
"""How people write a password into a message: the password and the text."""


def boxes(payload):
    """All of them."""
    for name, (password, text) in WORDINGS.items():
        data = archive(payload, password, "zip", "-mem=AES256")
        yield Box(f"password-{name}", f"AES-256 zip, the password in the text: {name}", data, "papers.zip", (f"zip:{password}",), text=text)
    word = "winter26"
    said = "The password is winter26\r\n"
    for method in ("ZipCrypto", "AES128", "AES192", "AES256"):
        data = archive(payload, word, "zip", f"-mem={method}")
        yield Box(
            f"password-{method.lower()}", f"zip by {method}, the password in the text", data, "papers.zip", (f"zip:{word}",), text=said
        )
        yield Box(f"locked-{method.lower()}", f"zip by {method}, no password in the message", data, "papers.zip", (f"zip:{word}",), "held")
    for method in ("Deflate64", "BZip2", "LZMA", "Copy"):
        data = archive(payload, word, "zip", "-mem=AES256", f"-mm={method}")
        yield Box(
            f"password-aes-{method.lower()}",
            f"AES-256 zip of {method}, the password in the text",
            data,
            "papers.zip",
            (f"zip:{word}",),
            text=said,
        )
    data = archive(payload, word, "zip", "-mem=ZipCrypto")
    steps = (f"zip:{word}",)
    html = "<html><body><p>Please sign.</p><p>Password: <b>win</b>ter<span>26</span></p></body></html>"
    yield Box("password-html", "the password in HTML, in pieces", data, "papers.zip", steps, html=html)
    html = "<html><body><p>Password:</p><table><tr><td>win&#116;er26</td></tr></table></body></html>"
    yield Box("password-html-escaped", "the password in a cell of HTML, a letter escaped", data, "papers.zip", steps, html=html)
    yield Box("password-subject", "the password in the subject", data, "papers.zip", steps, subject="Invoice, password winter26")
    yield Box("password-file-name", "the password in the name of the file", data, "invoice pw winter26.zip", steps)
    yield Box("password-name-itself", "the name of the file is the password", data, "winter26.zip", steps)
    yield Box(
        "password-beside",
        "the password in a second attachment",
        data,
        "papers.zip",
        steps,
        beside=("password.txt", b"The password is winter26\r\n"),
    )
    yield Box(
        "password-infected",
        "the password that samples are sent with, not in the message",
        archive(payload, "infected"),
        "sample.zip",
        ("zip:infected",),
        "held",
    )
    seven = archive(payload, word, "7z")
    yield Box("password-7z", "7z by AES-256, the password in the text", seven, "papers.7z", (f"7z:{word}",), text=said)
    yield Box("locked-7z", "7z by AES-256, no password", seven, "papers.7z", (f"7z:{word}",), "held")
    seven = archive(payload, word, "7z", "-mhe=on")
    yield Box(
        "password-7z-header", "7z with its header encrypted, the password in the text", seven, "papers.7z", (f"7z:{word}",), text=said
    )
    yield Box("locked-7z-header", "7z with its header encrypted, no password", seven, "papers.7z", (f"7z:{word}",), "held")
    outer = made(["7z", "a", "-tzip", "box.zip", "inner.zip"], {"inner.zip": data}, "box.zip")
    yield Box(
        "password-inner",
        "an encrypted zip in a plain one, the password in the text",
        outer,
        "papers.zip",
        ("zip", f"zip:{word}"),
        text=said,
    )
    yield Box("locked-inner", "an encrypted zip in a plain one, no password", outer, "papers.zip", ("zip", f"zip:{word}"), "held")
    files = {"note.txt": b"The password of the other file is winter26\r\n", "inner.zip": data}
    outer = made(["7z", "a", "-tzip", "box.zip", "note.txt", "inner.zip"], files, "box.zip")
    yield Box(
        "password-in-member",
        "an encrypted zip in a plain one, the password in a text beside it",
        outer,
        "papers.zip",
        ("zip", f"zip:{word}"),
    )
