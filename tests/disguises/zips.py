"""A writer of zip files in which every field can say something else than what is so (APPNOTE 6.3)."""

import bz2
import lzma
import struct
import zlib

from boxes import run


def deflated(raw: bytes) -> bytes:
    """Raw deflate."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(raw) + packer.flush()


def shrunk(raw: bytes) -> bytes:
    """Method 1 with literals only: codes of nine bits."""
    return bits([(byte, 9) for byte in raw])


def imploded(raw: bytes) -> bytes:
    """Method 6 with literals only: two trees of 64 codes of six bits, then a bit 1 and eight bits each."""
    tree = b"\x03" + b"\xf5" * 4
    return tree + tree + bits([pair for byte in raw for pair in ((1, 1), (byte, 8))])


def bits(pairs) -> bytes:
    """Values of so many bits each, lowest bit first."""
    value = at = 0
    for bit, width in pairs:
        value |= bit << at
        at += width
    return value.to_bytes((at + 7) // 8, "little")


def lzma_alone(raw: bytes) -> bytes:
    """Method 14: a version, the size of the properties, the properties, the stream with an end marker."""
    alone = lzma.compress(raw, format=lzma.FORMAT_ALONE)
    return b"\x09\x14\x05\x00" + alone[:5] + alone[13:]


METHODS = {
    0: bytes,
    1: shrunk,
    6: imploded,
    8: deflated,
    12: bz2.compress,
    14: lzma_alone,
    20: lambda raw: run(["zstd", "-qc19"], raw),
    93: lambda raw: run(["zstd", "-qc19"], raw),
    95: lambda raw: lzma.compress(raw),
}


class Member:
    """One member. `local` and `central` replace fields in one of the two headers, `data` what is stored, `tail` follows it."""

    def __init__(self, name, raw, method=8, local=None, central=None, data=None, flags=0, tail=b"", attributes=0):
        self.name = name if isinstance(name, bytes) else name.encode()
        self.raw = raw
        self.data = METHODS[method](raw) if data is None else data
        both = {
            "version": 20,
            "flags": flags | (2 if method == 14 else 0),
            "method": method,
            "crc": zlib.crc32(raw),
            "packed": len(self.data),
            "size": len(raw),
            "name": self.name,
            "extra": b"",
            "time": 0x4A00,
            "date": 0x5C62,
        }
        self.local = both | (local or {})
        self.central = both | {"made": 20, "comment": b"", "disk": 0, "attributes": attributes, "offset": None} | (central or {})
        self.tail = tail

    def local_bytes(self) -> bytes:
        """The local header, the data and what follows."""
        f = self.local
        head = struct.pack(
            "<4sHHHHHIIIHH",
            b"PK\x03\x04",
            f["version"],
            f["flags"],
            f["method"],
            f["time"],
            f["date"],
            f["crc"],
            f["packed"],
            f["size"],
            len(f["name"]),
            len(f["extra"]),
        )
        return head + f["name"] + f["extra"] + self.data + self.tail

    def central_bytes(self, offset: int) -> bytes:
        """The entry of the central directory."""
        f = self.central
        offset = offset if f["offset"] is None else f["offset"]
        head = struct.pack(
            "<4sHHHHHHIIIHHHHHII",
            b"PK\x01\x02",
            f["made"],
            f["version"],
            f["flags"],
            f["method"],
            f["time"],
            f["date"],
            f["crc"],
            f["packed"],
            f["size"],
            len(f["name"]),
            len(f["extra"]),
            len(f["comment"]),
            f["disk"],
            0,
            f["attributes"],
            offset,
        )
        return head + f["name"] + f["extra"] + f["comment"]


def end(count, size, offset, comment=b"", disk=0, total=None, length=None) -> bytes:
    """The end record."""
    total = count if total is None else total
    length = len(comment) if length is None else length
    return struct.pack("<4sHHHHIIH", b"PK\x05\x06", disk, disk, count, total, size, offset, length) + comment


def zipped(*members, prefix=b"", suffix=b"", comment=b"", counted=True, listed=None, between=b"", **ends) -> bytes:
    """A zip file of these members. `counted`: offsets count the prefix. `listed`: the members of the central directory.
    `between` stands before the central directory, `ends` replaces fields of the end record."""
    out = prefix
    offsets = {}
    for member in members:
        offsets[id(member)] = len(out) - (0 if counted else len(prefix))
        out += member.local_bytes()
    out += between
    listed = members if listed is None else listed
    start = len(out) - (0 if counted else len(prefix))
    directory = b"".join(member.central_bytes(offsets.get(id(member), 0)) for member in listed)
    fields = {"count": len(listed), "size": len(directory), "offset": start, "comment": comment} | ends
    return out + directory + end(**fields) + suffix
