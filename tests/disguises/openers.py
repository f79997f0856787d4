"""What opens containers: tools from their packages, and where none serves, a few lines of Python after the formats' descriptions."""

import base64
import binascii
import bz2
import email
import email.policy
import html
import io
import lzma
import mailbox
import os
import plistlib
import quopri
import re
import shutil
import struct
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path
from xml.etree import ElementTree


def files_by(words, data, name="box"):
    """What a tool unpacks into the folder it runs in. `FILE` in its words is the file."""
    if shutil.which(words[0]) is None:
        return []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        out = Path(folder, "out")
        out.mkdir()
        path.write_bytes(data)
        words = [word.replace("FILE", str(path)).replace("OUT", str(out)) for word in words]
        try:
            subprocess.run(words, cwd=out, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            pass
        found = []
        for root, folders, files in os.walk(out):
            for each in [*folders, *files]:
                inside = Path(root, each)
                if inside.is_symlink():
                    found.append(os.readlink(inside).encode())
                elif inside.is_file():
                    try:
                        inside.chmod(0o600)
                        found.append(inside.read_bytes())
                    except OSError:
                        pass
                else:
                    try:
                        inside.chmod(0o700)
                    except OSError:
                        pass
        return found


def output_of(words, data):
    """What a tool prints for the bytes on its standard input."""
    if shutil.which(words[0]) is None:
        return []
    try:
        done = subprocess.run(words, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [done.stdout] if done.stdout else []


def seven(kind=""):
    """7-Zip; `kind` is a format where it must not guess."""

    def opens(data, password):
        kinds = [f"-t{kind}"] if kind else []
        return files_by(["7z", "x", "-y", *kinds, f"-p{password}", "-oOUT", "FILE"], data)

    return opens


def zipfile_opens(data, password):
    """Python's zipfile."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [archive.read(member, password.encode() or None) for member in archive.infolist()]


def zip_at(data, password):
    """Each member that a local header announces, wherever it stands: what a tool that repairs archives takes out."""
    found = []
    for mark in re.finditer(rb"PK\x03\x04", data):
        at = mark.start()
        name, extra = struct.unpack_from("<HH", data, at + 26)
        found.append(zlib.decompressobj(-15).decompress(data[at + 30 + name + extra :]))
    return found


def gzip_at(data, password):
    """The stream behind each gzip header without fields, wherever it stands."""
    found = []
    for mark in re.finditer(rb"\x1f\x8b\x08", data):
        at = mark.start() + 10 + (2 if data[mark.start() + 3] & 2 else 0)
        found.append(zlib.decompressobj(-15).decompress(data[at:]))
    return found


def gpg_opens(data, password):
    """What gpg takes out without any key."""
    with tempfile.TemporaryDirectory() as folder:
        return output_of(["gpg", "--homedir", folder, "--batch", "--quiet", "--decrypt"], data)


def tool(*words, name="box"):
    """A tool that unpacks a file into its folder."""
    return lambda data, password: files_by(list(words), data, name)


def pipe(*words):
    """A tool that decompresses its standard input."""
    return lambda data, password: output_of(list(words), data)


def tarfile_opens(data, password):
    """Python's tarfile."""
    with tarfile.open(fileobj=io.BytesIO(data), ignore_zeros=True) as archive:
        return [archive.extractfile(member).read() for member in archive if member.isreg()]


def xml_opens(data, password):
    """All text and all attributes, as Python's reader of XML (expat) hands them out."""
    root = ElementTree.fromstring(data)
    return ["\n".join([*("".join(each.itertext()) for each in root.iter()), *(value for each in root.iter() for value in each.attrib.values())]).encode()]


def mail_opens(data, password):
    """Every leaf of a message, by Python's email."""
    message = email.message_from_bytes(data, policy=email.policy.compat32)
    return [part.get_payload(decode=True) or b"" for part in message.walk() if not part.is_multipart()]


def mbox_opens(data, password):
    """Every leaf of every message of a mailbox file, by Python's mailbox."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data.replace(b"\r\n", b"\n"))
        file.flush()
        return [leaf for message in mailbox.mbox(file.name) for leaf in mail_opens(message.as_bytes(), "")]


def base64_runs(data, password):
    """Every long run of base64 in a text: what a script, an XML reader or a browser takes out of it."""
    runs = re.findall(rb"[A-Za-z0-9+/\s]{60,}={0,2}", data)
    found = []
    for run in runs:
        packed = re.sub(rb"\s", b"", run)
        try:
            found.append(base64.b64decode(packed + b"=" * (-len(packed) % 4)))
        except binascii.Error:
            continue
    return found


def olefile_opens(data, password):
    """Every stream of a compound file, by olefile where it is installed (Debian's Python has it)."""
    script = (
        "import olefile,sys,struct\n"
        "o=olefile.OleFileIO(sys.stdin.buffer.read())\n"
        "for s in o.listdir():\n b=o.openstream(s).read(); sys.stdout.buffer.write(struct.pack('<I',len(b))+b)\n"
    )
    found = []
    for out in output_of(["/usr/bin/python3", "-c", script], data):
        at = 0
        while at + 4 <= len(out):
            size = struct.unpack_from("<I", out, at)[0]
            found.append(out[at + 4 : at + 4 + size])
            at += 4 + size
    return found


def package_opens(data, password):
    """The file in a stream `\\1Ole10Native`."""
    at = data.index(b"\0", 6) + 1
    at = data.index(b"\0", at) + 1 + 4
    at += 4 + struct.unpack_from("<I", data, at)[0]
    size = struct.unpack_from("<I", data, at)[0]
    return [data[at + 4 : at + 4 + size]]


def vba_opens(data, password):
    """Compressed VBA source, wherever a container of it may begin ([MS-OVBA] 2.4.1.3)."""
    found = []
    for start in [mark.start() for mark in re.finditer(rb"\x01.[\xb0-\xbf]", data, re.DOTALL)]:
        out, at = bytearray(), start + 1
        try:
            while at + 2 <= len(data):
                header = struct.unpack_from("<H", data, at)[0]
                if header >> 12 & 7 != 3:
                    break
                end = at + (header & 0xFFF) + 3
                at += 2
                chunk = len(out)
                while at < end:
                    flags = data[at]
                    at += 1
                    for bit in range(8):
                        if at >= end:
                            break
                        if flags >> bit & 1:
                            token = struct.unpack_from("<H", data, at)[0]
                            at += 2
                            width = 4
                            while 1 << width < len(out) - chunk:
                                width += 1
                            for _ in range((token & 0xFFFF >> width) + 3):
                                out.append(out[-((token >> 16 - width) + 1)])
                        else:
                            out.append(data[at])
                            at += 1
        except (IndexError, struct.error):
            pass
        found.append(bytes(out))
    return found


def qpdf_opens(data, password):
    """Every attachment of a PDF, by qpdf."""
    found = []
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        words = ["qpdf", *([f"--password={password}"] if password else [])]
        for listed in output_of([*words, "--list-attachments", file.name], b""):
            for line in listed.decode(errors="replace").splitlines():
                found += output_of([*words, f"--show-attachment={line.split(' -> ')[0].strip()}", file.name], b"")
    return found


def qpdf_streams(data, password):
    """The whole of a PDF with its streams decoded, by qpdf, also of objects that nothing refers to; and its strings."""
    found = [
        each
        for out in files_by(["qpdf", "--qdf", "--preserve-unreferenced", "--decode-level=all", "FILE", "OUT/a.pdf"], data)
        for each in [out]
    ]
    texts = [re.sub(rb"\\([()\\])", rb"\1", out) for out in found]
    hexes = [bytes.fromhex(mark.decode()) for out in found for mark in re.findall(rb"<((?:[0-9a-fA-F]{2}){20,})>", out)]
    for part in re.findall(rb"stream\r?\n(.*?)endstream", data, re.DOTALL):
        try:
            found.append(zlib.decompressobj().decompress(part))
        except zlib.error:
            continue
    wide = [each.decode("utf-16", "replace").encode() for each in hexes if each.startswith(b"\xfe\xff")]
    return found + texts + hexes + wide


def rtf_opens(data, password):
    """The hex and binary data of each group of an RTF that has any, as Word takes it: other words and groups that are ignorable left out."""
    found, stack, at, skip = [], [bytearray()], 0, [False]
    while at < len(data):
        byte = data[at : at + 1]
        if byte == b"{":
            # What stands in a group within is part of the data around it, unless the group is ignorable.
            ignorable = re.match(rb"\\\*\\(?!objdata|datastore|pict|blip)", data[at + 1 : at + 20]) is not None
            starts = re.match(rb"(\\\*)?\\(objdata|datastore|pict)", data[at + 1 : at + 20]) is not None
            stack.append(bytearray() if ignorable or starts or not stack else stack[-1])
            skip.append(ignorable)
            at += 1
        elif byte == b"}":
            if len(stack) > 1:
                ended = stack.pop()
                skip.pop()
                if all(ended is not each for each in stack):
                    found.append(ended)
            at += 1
        elif byte == b"\\":
            word = re.match(rb"\\(?:bin(\d+) ?|'[0-9a-fA-F]{2}|[a-zA-Z]+(?:-?\d+)? ?|.)", data[at:], re.DOTALL)
            at += word.end()
            if word[1]:
                stack[-1].extend(b"\0" + data[at : at + int(word[1])].hex().encode())
                at += int(word[1])
        else:
            if byte in b"0123456789abcdefABCDEF":
                stack[-1].extend(byte)
            at += 1
    found += stack
    return [
        bytes.fromhex(re.sub(rb"[^0-9a-fA-F]", b"", each)[: len(re.sub(rb"[^0-9a-fA-F]", b"", each)) // 2 * 2].decode()) for each in found
    ]


def rtfobj_opens(data, password):
    """The objects of an RTF, by oletools where it is installed."""
    from oletools.rtfobj import RtfObjParser

    parser = RtfObjParser(data)
    parser.parse()
    return [each for item in parser.objects for each in (item.oledata, item.olepkgdata, item.rawdata) if each]


def olevba_opens(data, password):
    """A stream of VBA source, by oletools where it is installed."""
    from oletools.olevba import decompress_stream

    return [bytes(decompress_stream(bytearray(data)))]


def office_opens(data, password):
    """An encrypted document, by msoffcrypto where it is installed."""
    import msoffcrypto

    file, out = msoffcrypto.OfficeFile(io.BytesIO(data)), io.BytesIO()
    file.load_key(password=password)
    file.decrypt(out)
    return [out.getvalue()]


def rtf_body_opens(data, password):
    """Compressed RTF, wherever it stands ([MS-OXRTFCP] 3.1.2)."""
    initial = (
        rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans SerifSymbolArialTimes New RomanCourier"
        + rb"{\colortbl\red0\green0\blue0"
        + b"\r\n"
        + rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
    )
    at = data.index(b"LZFu") + 8
    window, write, out = bytearray(initial.ljust(4096)), len(initial), b""
    while at < len(data):
        flags = data[at]
        at += 1
        for bit in range(8):
            if at >= len(data):
                break
            if flags >> bit & 1:
                token = struct.unpack_from(">H", data, at)[0]
                at += 2
                if token >> 4 == write % 4096:
                    return [out]
                piece = []
                for step in range((token & 15) + 2):
                    byte = window[((token >> 4) + step) % 4096]
                    window[write % 4096] = byte
                    write += 1
                    piece.append(byte)
                out += bytes(piece)
            else:
                window[write % 4096] = data[at]
                out += data[at : at + 1]
                write += 1
                at += 1
    return [out]


# What can be opened, and the tools that do: name to function from bytes and password to the files inside.
OPENERS = {
    "zip": {
        "zipfile": zipfile_opens,
        "7z": seven(),
        "unzip": lambda data, password: files_by(["unzip", "-o", "-P", password or "none", "FILE"], data),
        "bsdtar": lambda data, password: files_by(
            ["bsdtar", *(["--passphrase", password] if password else []), "-xf", "FILE"], data, "box.zip"
        ),
        "bsdtar-stream": lambda data, password: [] if password else output_of(["bsdtar", "-xOf", "-"], data),
        "unar": lambda data, password: files_by(["unar", "-q", *(["-p", password] if password else []), "FILE"], data, "box.zip"),
    },
    "zip-at": {"python": zip_at},
    "7z": {"7z": seven()},
    "gz": {"gzip": pipe("gzip", "-dcq"), "7z": seven("gzip"), "bsdtar": pipe("bsdcat")},
    "bz2": {"bzip2": pipe("bzip2", "-dcq"), "7z": seven("bzip2"), "python": lambda data, _: [bz2.decompress(data)]},
    "xz": {"xz": pipe("xz", "-dcq"), "7z": seven("xz"), "python": lambda data, _: [lzma.decompress(data)]},
    "lzma": {"xz": pipe("xz", "--format=lzma", "-dcq"), "7z": seven("lzma")},
    "lzip": {"lzip": pipe("lzip", "-dcq"), "bsdtar": pipe("bsdcat")},
    "zstd": {"zstd": pipe("zstd", "-dcq"), "7z": seven("zstd")},
    "Z": {"compress": pipe("compress", "-dc"), "gzip": pipe("gzip", "-dcq"), "7z": seven("Z")},
    "lz4": {"lz4": pipe("lz4", "-dcq"), "bsdtar": pipe("bsdcat")},
    "lzop": {"lzop": pipe("lzop", "-dcq")},
    "zlib": {"python": lambda data, _: [zlib.decompressobj().decompress(data)]},
    "deflate": {"python": lambda data, _: [zlib.decompressobj(-15).decompress(data)]},
    "deflate-at": {"python": gzip_at},
    "tar-at": {"python": lambda data, _: [data[at + 512 :] for at in range(0, len(data), 512) if data[at + 257 : at + 262] == b"ustar"]},
    "bz2-cut": {"python": lambda data, _: [bz2.BZ2Decompressor().decompress(data)]},
    "tar": {"tar": tool("tar", "-xf", "FILE"), "7z": seven("tar"), "bsdtar": tool("bsdtar", "-xf", "FILE"), "tarfile": tarfile_opens},
    "cab": {"7z": seven(), "cabextract": tool("cabextract", "-q", "FILE"), "bsdtar": tool("bsdtar", "-xf", "FILE")},
    "ar": {"ar": tool("ar", "x", "FILE"), "7z": seven("ar"), "bsdtar": tool("bsdtar", "-xf", "FILE")},
    "cpio": {
        "7z": seven(),
        "bsdtar": tool("bsdtar", "-xf", "FILE"),
        "cpio": lambda data, _: output_of(["cpio", "-i", "--to-stdout"], data),
    },
    "rpm": {
        "rpm2cpio": lambda data, _: [
            each for cpio in output_of(["rpm2cpio", "-"], data) for each in output_of(["cpio", "-i", "--quiet", "--to-stdout"], cpio)
        ],
        "bsdtar": tool("bsdtar", "-xf", "FILE"),
    },
    "iso": {
        "7z": seven(),
        "bsdtar-plain": tool("bsdtar", "--options", "iso9660:!joliet", "-xf", "FILE"),
        "bsdtar": tool("bsdtar", "-xf", "FILE"),
    },
    "7z-mbr": {"7z": seven("MBR")},
    "fat": {"7z": seven("FAT")},
    "arj": {
        "7z": seven(),
        "arj": lambda data, password: files_by(["arj", "e", "-y", *([f"-g{password}"] if password else []), "FILE"], data, "box.arj"),
    },
    "lzh": {"7z": seven(), "lha": tool("lha", "xq", "FILE", name="box.lzh"), "bsdtar": tool("bsdtar", "-xf", "FILE")},
    "rar": {
        "7z": seven(),
        "7z-rar5": seven("Rar5"),
        "bsdtar": tool("bsdtar", "-xf", "FILE"),
        "unar": tool("unar", "-q", "FILE", name="box.rar"),
    },
    "unar": {"unar": tool("unar", "-q", "FILE")},
    "ole": {
        "7z": seven("Compound"),
        "olefile": olefile_opens,
        "7z-at": lambda data, password: seven("Compound")(data[data.index(b"\xd0\xcf\x11\xe0") :], password),
    },
    "package": {"python": package_opens},
    "ppt": {"python": lambda data, _: [zlib.decompress(data[mark.end() + 8 :]) for mark in re.finditer(rb"\x10\x00\x11\x10", data)]},
    "vba": {"python": vba_opens, "olevba": olevba_opens},
    "rtf": {"python": rtf_opens, "rtfobj": rtfobj_opens},
    "rtf-text": {"python": lambda data, _: [re.sub(rb"\\'([0-9a-f]{2})", lambda mark: bytes.fromhex(mark[1].decode()), data)]},
    "package-loose": {"python": lambda data, _: [data[mark.start() :] for mark in re.finditer(rb"PK\x03\x04", data)]},
    "package-in": {"python": lambda data, _: package_opens(data[data.index(b"Package\0") + 8 + 12 - 4 :], "")},
    "active-mime": {"python": lambda data, _: [zlib.decompress(data[50:])] if data.startswith(b"ActiveMime") else []},
    "utf-16": {"python": lambda data, _: [data.decode("utf-16").encode()]},
    "office": {"msoffcrypto": office_opens},
    "rtf-body": {"python": rtf_body_opens},
    "tnef-raw": {"python": lambda data, _: [data[mark.start() :] for mark in re.finditer(rb"PK\x03\x04|x\x9f\x3e\x22", data)]},
    "tnef-body": {"python": lambda data, _: [data, rtf_body_opens(data, "")[0]] if b"LZFu" in data else [data]},
    "pdf": {
        "pdfdetach": lambda data, password: files_by(["pdfdetach", *(["-upw", password] if password else []), "-saveall", "FILE"], data),
        "qpdf": lambda data, password: qpdf_opens(data, password),
    },
    "pdf-streams": {"qpdf": qpdf_streams},
    "pdf-script": {"pdfinfo": lambda data, _: output_of(["pdfinfo", "-js", "-"], data)},
    "tnef": {"tnef": tool("tnef", "--save-body", "FILE"), "unar": tool("unar", "-q", "FILE", name="winmail.dat")},
    "mail": {"python": mail_opens},
    "none": {},
    "uu": {
        "python": lambda data, _: [
            b"".join(
                binascii.a2b_uu(line)
                for line in re.search(rb"begin \d+ .*?\r?\n(.*?)`?\r?\nend", data, re.DOTALL)[1].split(b"\r\n")
                if line
            )
        ]
    },
    "uu-all": {"python": lambda data, _: [b"".join(map(binascii.a2b_uu, body.split(b"\r\n"))) for body in re.findall(rb"begin 644 \S+\r\n(.*?)\r\n`", data, re.DOTALL)]},
    "yenc-all": {
        "python": lambda data, _: [
            bytes((byte - 42) & 255 for byte in re.sub(rb"=(.)", lambda mark: bytes([(mark[1][0] - 64) & 255]), body, flags=re.DOTALL))
            for body in re.findall(rb"=ybegin [^\n]*\n(.*?)\r\n=yend", data, re.DOTALL)
        ]
    },
    "xml": {"python": xml_opens},
    "data-attributes": {"python": lambda data, _: [b"".join(re.findall(rb'data-p="([^"]*)"', data))]},
    "joined": {"python": lambda data, _: [re.sub(rb"(\"|')[\s+,&_]+(\"|')", b"", data)]},
    "reversed": {"python": lambda data, _: [data[::-1]]},
    "numbers": {
        "python": lambda data, _: [bytes(int(each, 0) for each in re.search(rb"\[([0-9a-fx,]{40,})\]", data)[1].decode().split(","))]
    },
    "escapes": {"python": lambda data, _: [bytes.fromhex("".join(each.decode() for each in re.findall(rb"\\x([0-9a-f]{2})", data)))]},
    "percent": {"python": lambda data, _: [bytes.fromhex("".join(each.decode() for each in re.findall(rb"%([0-9a-fA-F]{2})", data)))]},
    "hex": {"python": lambda data, _: [bytes.fromhex(re.search(rb"[0-9a-f]{60,}", data)[0].decode())]},
    "entities": {"python": lambda data, _: [html.unescape(data.decode()).encode()]},
    "slashes": {"python": lambda data, _: [data.replace(b"\\/", b"/")]},
    "unfolded": {"python": lambda data, _: [data.replace(b"\r\n ", b"")]},
    "quoted": {"python": lambda data, _: [quopri.decodestring(data)]},
    "base64-url": {"python": lambda data, _: [base64.urlsafe_b64decode(data)]},
    "base64-begin": {"python": lambda data, _: base64_runs(data.split(b"\n", 1)[1], "")},
    "hqx-at": {"unar": lambda data, _: files_by(["unar", "-q", "FILE"], data[data.index(b"(This file") :], "box.hqx")},
    "single": {"python": lambda data, _: [data[struct.unpack_from(">I", data, 30)[0] :]]},
    "7z-ihex": {"7z": seven("IHex")},
    "zlib-8": {"python": lambda data, _: [zlib.decompress(data[8:])]},
    "yenc": {
        "python": lambda data, _: [
            bytes(
                (byte - 42) & 255
                for byte in re.sub(
                    rb"=(.)",
                    lambda mark: bytes([(mark[1][0] - 64) & 255]),
                    data.split(b"\r\n", 1)[1].rsplit(b"\r\n=yend", 1)[0],
                    flags=re.DOTALL,
                )
            )
        ]
    },
    "cms": {"openssl": pipe("openssl", "cms", "-verify", "-noverify", "-binary", "-inform", "DER")},
    "cms-pem": {"openssl": pipe("openssl", "cms", "-verify", "-noverify", "-binary", "-inform", "PEM")},
    "cms-data": {"openssl": pipe("openssl", "cms", "-data_out", "-inform", "DER")},
    "cms-compressed": {
        "openssl": pipe("openssl", "cms", "-uncompress", "-inform", "DER"),
        "openssl asn1parse": lambda data, _: [
            zlib.decompress(out)
            for out in output_of(["openssl", "asn1parse", "-inform", "DER", "-strparse", "64", "-noout", "-out", "/dev/stdout"], data)
        ],
        "python": lambda data, _: [zlib.decompress(data[data.index(b"x\x9c") :])],
    },
    "gpg": {"gpg": gpg_opens},
    "mbox": {"python": mbox_opens},
    "mail-at": {"python": lambda data, _: mail_opens(data[data.index(b"From: " if b"From: " in data else b"MIME-Version:") :], "")},
    "mail-binary": {"python": lambda data, _: [data[data.index(b"PK\x03\x04") :]]},
    "plist": {"python": lambda data, _: [plistlib.loads(data)["WebMainResource"]["WebResourceData"]]},
    "base64": {"python": base64_runs},
}
