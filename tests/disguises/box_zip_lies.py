"""Zip files whose headers disagree: programs that go by the directory and programs that go by the members see different things."""

import struct

from box_zip import box
from boxes import noise, prose
from zips import Member, end, zipped


def boxes(payload):
    """All of them."""
    yield from lying_fields(payload)
    yield from lying_directory(payload)
    yield from lying_end(payload)
    yield from falsely_encrypted(payload)


def lying_fields(payload):
    """One field of one header says something else."""
    one = "eicar.com"
    clean = prose(120)
    for where in ("local", "central"):
        lies = {
            "name": {"name": b"note.txt"},
            "method-stored": {"method": 0},
            "method-unknown": {"method": 77},
            "method-bzip2": {"method": 12},
            "size-zero": {"size": 0},
            "size-one": {"size": 1},
            "size-huge": {"size": 0x7FFFFFFF},
            "packed-zero": {"packed": 0},
            "packed-short": {"packed": 9},
            "packed-huge": {"packed": 0x7FFFFFFF},
            "sum": {"crc": 0x12345678},
            "sum-zero": {"crc": 0},
            "version": {"version": 255},
            "version-99": {"version": 99},
            "name-folder": {"name": b"folder/"},
            "name-empty": {"name": b""},
            "flags-descriptor": {"flags": 8},
            "flags-patch": {"flags": 0x20},
            "flags-strong": {"flags": 0x40},
            "flags-masked": {"flags": 0x2000},
            "flags-all": {"flags": 0xFFFE & ~0x2041},
        }
        for lie, fields in lies.items():
            data = zipped(Member("note.txt", clean), Member(one, payload, **{where: fields}), Member("last.txt", clean[:50]))
            yield box(f"{where}-{lie}", f"the {where} header lies: {lie}", data, steps=("zip|zip-at",))
    wrong = {"method": 99}
    yield box("both-unknown", "an unknown method", zipped(Member(one, payload, local=wrong, central=wrong)), want="held", steps=("zip-at",))


def lying_directory(payload):
    """The directory and the members are not the same set."""
    clean, evil = Member("note.txt", prose(200)), Member("eicar.com", payload)
    yield box("local-only", "a member that the directory does not list", zipped(clean, evil, listed=[clean]), steps=("zip|zip-at",))
    yield box("local-only-first", "the first member, not listed", zipped(evil, clean, listed=[clean]), steps=("zip|zip-at",))
    yield box("local-only-all", "members, and an empty directory", zipped(evil, listed=[]), steps=("zip|zip-at",))
    hidden = Member("note.txt", prose(200), central={"offset": 0})
    yield box("offset-other", "an entry whose offset is another member's", zipped(evil, hidden, listed=[hidden]), steps=("zip|zip-at",))
    for by in (-1, 1, 4):
        off = Member("eicar.com", payload, central={"offset": 300 + by})
        yield box(f"offset-by{by}", f"an offset wrong by {by}", zipped(off, prefix=noise(300)), steps=("zip|zip-at",))
    yield box(
        "offset-beyond", "an offset beyond the end", zipped(Member("eicar.com", payload, central={"offset": 99_999})), steps=("zip|zip-at",)
    )
    same = Member("note.txt", payload)
    yield box("twin-names-second", "two members of one name, the second the one", zipped(clean, same), steps=("zip",))
    yield box("twin-names-first", "two members of one name, the first the one", zipped(same, clean), steps=("zip",))
    yield box("twin-entries", "two entries for one member", zipped(evil, listed=[evil, evil]))
    yield box("reversed", "a directory in another order", zipped(clean, evil, listed=[evil, clean]))
    whole = zipped(clean, evil)
    directory = whole.index(b"PK\x01\x02")
    yield box("no-directory", "cut off before the directory", whole[:directory], steps=("zip|zip-at",))
    yield box("no-end", "cut off before the end record", whole[: whole.index(b"PK\x05\x06")], steps=("zip|zip-at",))
    yield box("cut-in-directory", "cut off in the directory", whole[: directory + 30], steps=("zip|zip-at",))
    yield box(
        "cut-in-member",
        "cut off in the member, after the payload",
        zipped(Member("eicar.com", payload + noise(3000).hex().encode()))[:1500],
        steps=("zip|zip-at",),
    )
    yield box(
        "directory-damaged", "the mark of the directory overwritten", whole.replace(b"PK\x01\x02", b"PK\x01\x03"), steps=("zip|zip-at",)
    )
    first, second = zipped(clean, evil, listed=[clean]), zipped(clean, evil)
    entries = second[second.index(b"PK\x01\x02") : second.index(b"PK\x05\x06")]
    yield box(
        "two-directories",
        "two directories, the last end record lists less",
        second[: second.index(b"PK\x05\x06")] + end(2, len(entries), directory) + first[first.index(b"PK\x01\x02") :],
        steps=("zip|zip-at",),
    )
    inside = Member("eicar.com", payload)
    carrier = Member("carrier.bin", noise(40) + inside.local_bytes() + noise(40), 0)
    shift = len(carrier.local_bytes()) - len(carrier.data) + 40
    inside.central["offset"] = shift
    yield box("overlap", "a member that lies within another's data", zipped(carrier, listed=[carrier, inside]), steps=("zip|zip-at",))
    strange = Member("eicar.com", payload, local={"name": b"x" * 200 + b".txt"})
    yield box("local-name-long", "a much longer name in the local header", zipped(clean, strange), steps=("zip|zip-at",))
    yield box("folder-with-data", "a folder entry with data", zipped(Member("folder/", payload)), steps=("zip|zip-at",))


def lying_end(payload):
    """The end record lies."""
    members = (Member("note.txt", prose(200)), Member("eicar.com", payload))
    for lie, fields in {
        "count-one": {"count": 1},
        "count-zero": {"count": 0},
        "count-many": {"count": 60_000},
        "total-zero": {"count": 2, "total": 0},
        "size-zero": {"size": 0},
        "size-short": {"size": 46 + 8},
        "size-huge": {"size": 0x7FFFFFFF},
        "offset-zero": {"offset": 0},
        "offset-huge": {"offset": 0x7FFFFFFF},
        "disk": {"disk": 1},
        "disk-many": {"disk": 0xFFFE},
        "comment-long": {"length": 500},
        "comment-max": {"length": 0xFFFF},
    }.items():
        yield box(f"end-{lie}", f"the end record lies: {lie}", zipped(*members, **fields), steps=("zip|zip-at",))
    yield box("end-comment-unsaid", "a comment that the end record does not count", zipped(*members, comment=prose(90), length=0))
    fake = end(0, 0, 0, b"", length=22)
    yield box(
        "end-fake-before",
        "an empty end record whose comment is the real one",
        zipped(*members).replace(b"PK\x05\x06", fake + b"PK\x05\x06"),
        steps=("zip|zip-at",),
    )
    spanned = zipped(*members, prefix=b"PK\x07\x08")
    yield box(
        "spanned-last",
        "the mark of a spanned archive, disk numbers of a second part",
        spanned.replace(struct.pack("<HHHH", 0, 0, 2, 2), struct.pack("<HHHH", 1, 1, 2, 2)),
        steps=("zip|zip-at",),
    )


def falsely_encrypted(payload):
    """The mark of encryption where nothing is encrypted."""
    one = "eicar.com"
    flag = {"flags": 1}
    yield box(
        "encrypted-central", "marked encrypted in the directory only", zipped(Member(one, payload, central=flag)), steps=("zip|zip-at",)
    )
    yield box(
        "encrypted-local", "marked encrypted in the local header only", zipped(Member(one, payload, local=flag)), steps=("zip|zip-at",)
    )
    yield box(
        "encrypted-both",
        "marked encrypted, and it is not",
        zipped(Member(one, payload, local=flag, central=flag)),
        steps=("zip-at",),
        want="held",
    )
    strong = {"flags": 0x41}
    yield box(
        "encrypted-strong",
        "marked strongly encrypted, and it is not",
        zipped(Member(one, payload, local=strong, central=strong)),
        steps=("zip-at",),
        want="held",
    )
