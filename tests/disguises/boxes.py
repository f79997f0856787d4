"""What the makers of containers share: the record of one container, the message around it, and running a tool."""

import random
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import frame
from frame import Disguise


@dataclass(frozen=True)
class Box:
    """One container with the payload in it."""

    name: str
    idea: str
    data: bytes
    file: str
    """The name the attachment goes by."""
    steps: tuple
    """What opens it, from the outside in: names that `prove_containers.py` knows; `a|b` either, `a:secret` with a password."""
    want: str = "payload"
    declared: str = "application/octet-stream"
    text: str = "See the attachment."
    html: str = ""
    """Where not empty: the text is in HTML, and this is it."""
    subject: str = "Papers"
    clear: bool = False
    """The payload may stand in the clear in the attachment (or in what it holds in base64 or hex)."""
    beside: tuple = field(default=())
    """A second attachment: file name and bytes."""


def message(box: Box) -> bytes:
    """The ordinary message that carries it."""
    kind, body = (b"text/html", box.html) if box.html else (b"text/plain", box.text)
    line = b"--=_part_7731"
    parts = [
        b"Content-Type: " + kind + b"; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + body.encode(),
        attached(box.file, box.data, box.declared),
    ]
    if box.beside:
        parts.append(attached(box.beside[0], box.beside[1], "application/octet-stream"))
    return (
        frame.head(box.subject)
        + b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="=_part_7731"\r\n\r\n'
        + b"".join(line + b"\r\n" + part.rstrip(b"\r\n") + b"\r\n" for part in parts)
        + line
        + b"--\r\n"
    )


def attached(file: str, data: bytes, declared: str) -> bytes:
    """One base64 attachment."""
    name = file.encode()
    return (
        b"Content-Type: " + declared.encode() + b'; name="' + name + b'"\r\nContent-Transfer-Encoding: base64\r\n'
        b'Content-Disposition: attachment; filename="' + name + b'"\r\n\r\n' + frame.b64(data)
    )


def disguise(box: Box) -> Disguise:
    """The message of a container, as the frame takes it."""
    return Disguise(box.name, "container", box.idea, message(box), box.want, box.steps)


def run(words, data=None, folder=None) -> bytes:
    """What a tool prints. A tool that fails is an error: what cannot be built must not be passed over."""
    done = subprocess.run(words, input=data, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
    if done.returncode:
        raise RuntimeError(f"{words}: {done.returncode}: {done.stderr.decode(errors='replace')[-400:]}")
    return done.stdout


def made(words, files, out) -> bytes:
    """The file `out` that a tool makes in a folder where these `files` (name to bytes) stand."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        run(words, folder=folder)
        return Path(folder, out).read_bytes()


def prose(length: int, seed: int = 7) -> bytes:
    """Harmless text of some length, always the same: what compressors find something to do with."""
    words = b"the paper on shelf four was read by nobody but the clerk who had put it there in spring".split()
    dice = random.Random(seed)
    page = b"".join(dice.choice(words) + (b"\n" if dice.random() < 0.1 else b" ") for _ in range(min(length, 4_000) // 3 + 2))
    return (page * (length // len(page) + 1))[:length]


def noise(length: int, seed: int = 7) -> bytes:
    """Bytes without sense, always the same."""
    return random.Random(seed).randbytes(length)


def broken_up(payload: bytes) -> bytes:
    """A text with the payload at the end, after its two halves: a compressor that only copies never writes it whole."""
    half = len(payload) // 2
    return prose(300) + payload[:half] + prose(40, 8) + payload[half:] + prose(40, 9) + payload + b"\n"
