"""Proves disguises: something that shares no code with the gateway must get the payload out of each.

Mail decoders: Python's email, munpack, reformime, ripmime, Perl's MIME::Parser. Where a decoder hands out something that a person's
program would open in one more step, the disguise names that step (see `steps.py`), and the proof names decoder and step.
npm's postal-mime is asked too where `DISGUISES_NODE` names a folder in which it is installed.
"""

import email
import email.policy
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import frame
import steps

HERE = Path(__file__).resolve().parent


def python_email(paths, undecoded=False):
    """Every leaf that Python's email hands out, twice: its strict reading of line ends, and as a client stores it (LF)."""
    for name, path in paths.items():
        raw = path.read_bytes()
        for policy in (email.policy.compat32, email.policy.default):
            for form in (raw, raw.replace(b"\r\n", b"\n")):
                try:
                    message = email.message_from_bytes(form, policy=policy)
                    for part in message.walk():
                        for around in (part.preamble, part.epilogue):
                            if around:
                                yield name, around.encode("utf-8", "surrogateescape")
                        if part.is_multipart():
                            continue
                        body = part.get_payload(decode=not undecoded)
                        if body:
                            yield name, body if isinstance(body, bytes) else body.encode("utf-8", "surrogateescape")
                except Exception:  # What it cannot read it does not prove.
                    continue


def put_together(paths):
    """What `cat` and `copy /b` make of the attachments in the order of their names, and of the texts in theirs."""
    for name, path in paths.items():
        leaves = [part for part in email.message_from_bytes(path.read_bytes()).walk() if not part.is_multipart()]
        named = sorted((part for part in leaves if part.get_filename()), key=lambda part: part.get_filename())
        for those in (named, [part for part in leaves if not part.get_filename()]):
            yield name, (b"" if those is named else b"\r\n").join(part.get_payload(decode=True) or b"" for part in those)


def in_one_process(words):
    """A decoder that is given the paths of all messages on its standard input."""
    return lambda paths: read_batch(words(), paths)


def read_batch(words, paths):
    """What such a decoder wrote: for each file it got out, a line "PATH LENGTH" and the bytes."""
    if words is None:
        return
    by_path = {str(path): name for name, path in paths.items()}
    run = subprocess.run(words, input="\n".join(by_path).encode(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=300)
    at, out = 0, run.stdout
    while at < len(out):
        end = out.index(b"\n", at)
        path, length = out[at:end].decode().rsplit(" ", 1)
        yield by_path[path], out[end + 1 : end + 1 + int(length)]
        at = end + 1 + int(length)


def each_file(folder):
    """Every file below a folder."""
    for root, _, files in os.walk(folder):
        for file in files:
            path = os.path.join(root, file)
            if os.path.isfile(path) and not os.path.islink(path):
                yield Path(path).read_bytes()


def side_by_side(decode):
    """A decoder that is run once for each message, two at a time; what it cannot read within ten seconds it does not prove."""

    def one(item):
        name, path = item
        try:
            return [(name, body) for body in decode(path)]
        except (OSError, subprocess.TimeoutExpired):
            return []

    def all_of_them(paths):
        with ThreadPoolExecutor(2) as pool:
            for found in pool.map(one, paths.items()):
                yield from found

    return all_of_them


def unpacks(command):
    """A program that writes files; `command` gives its words for a message and a folder."""

    def decode(path):
        with tempfile.TemporaryDirectory() as folder:
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            subprocess.run(command(str(path), folder), cwd=folder, timeout=10, **quiet)
            yield from each_file(folder)

    return side_by_side(decode)


def reformime(path):
    """Every section that reformime decodes, one behind the other. (Its -x, files by name, is not sound in every version.)"""
    message = path.read_bytes().replace(b"\r\n", b"\n")
    ask = {"input": message, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "timeout": 10}
    listed = subprocess.run(["reformime", "-i"], **ask).stdout.decode("latin-1")
    sections = ",".join(line[9:] for line in listed.split("\n") if line.startswith("section: "))
    yield subprocess.run(["reformime", "-s", sections, "-X", "/bin/cat"], **ask).stdout


def postal_mime():
    """How npm's postal-mime is run, where somebody says where it is."""
    folder = os.environ.get("DISGUISES_NODE")
    return ["node", str(HERE / "decode.mjs"), folder] if folder else None


DECODERS = {
    "python": (python_email, "python3"),
    "python-raw": (lambda paths: python_email(paths, undecoded=True), "python3"),
    "python-joined": (put_together, "python3"),
    "perl": (in_one_process(lambda: ["perl", str(HERE / "decode.pl")]), "perl"),
    "munpack": (unpacks(lambda path, folder: ["munpack", "-q", "-f", "-t", "-C", folder, path]), "munpack"),
    "ripmime": (unpacks(lambda path, folder: ["ripmime", "-i", path, "-d", folder, "--overwrite"]), "ripmime"),
    "reformime": (side_by_side(reformime), "reformime"),
    "postal-mime": (in_one_process(postal_mime), "node"),
}


def prove(disguises, folder, containers=None):
    """`name` to what proved it (`decoder` or `decoder + step`); what is not proved is missing or empty.

    `containers`, the module prove_containers, gets `prove(those, parts, payload) -> {name: proof}`, where `parts[name][decoder]` is the
    list of files which that decoder got out of the message.
    """
    wanted = frame.payload()
    paths = {disguise.name: Path(folder).resolve() / f"{disguise.name}.eml" for disguise in disguises if disguise.want != "delivered"}
    parts = {name: {} for name in paths}
    for decoder, (decode, program) in DECODERS.items():
        if shutil.which(program) is None:
            continue
        for name, body in decode(paths):
            parts[name].setdefault(decoder, []).append(body)
    proofs = {}
    for disguise in disguises:
        if disguise.group != "mime" or disguise.want == "delivered":
            continue
        by = []
        for decoder, bodies in parts[disguise.name].items():
            # Bodies whose transfer encoding nobody decoded count only where a step says that it decodes them.
            if (decoder == "python-raw") != (disguise.steps[:1] == ("raw",)):
                continue
            # So do pieces that nobody put together.
            if (decoder == "python-joined") != (disguise.steps[:1] == ("joined",)):
                continue
            bodies = list(dict.fromkeys(bodies))
            for step in disguise.steps:
                bodies = list(dict.fromkeys(result for body in bodies for result in stepped(step, body)))
            if any(wanted in body for body in bodies):
                by.append(decoder)
        if by:
            proofs[disguise.name] = " + ".join([",".join(by), *disguise.steps])
    if containers is not None:
        those = [disguise for disguise in disguises if disguise.group == "container" and disguise.want != "delivered"]
        proofs.update(containers.prove(those, parts, wanted))
    return proofs


def stepped(step, body):
    """What one step gets out of one file; nothing where it cannot read it."""
    out = []
    try:
        for result in steps.find(step)(body):
            out.append(bytes(result))
    except Exception:  # Not for this step, or no further.
        pass
    return [result for result in out if result]
