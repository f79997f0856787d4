"""A writer of compound files (OLE2, [MS-CFB]), small ones: up to 109 sectors of the table."""

import struct

END, FREE, FAT = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD


def compound(tree, version=3, cutoff=4096, scatter=False, root_id=bytes(16), ids=None):
    """A compound file of `tree`: names to bytes (streams) or to dicts (storages). Streams below the cutoff stand in mini-sectors.
    `scatter`: the sectors of each stream do not follow each other, and stand in reverse order. `ids`: class ids of storages by name."""
    size = 512 if version == 3 else 4096
    entries = []  # name, kind, class id, data, children

    def add(name, kind, content, class_id=bytes(16)):
        at = len(entries)
        entries.append([name, kind, class_id, content if kind == 2 else b"", FREE, FREE, FREE])
        if kind != 2:
            # Siblings as a chain to the right, in the order that the format sorts names: by length, then in capitals.
            names = sorted(content, key=lambda each: (len(each), each.upper()))
            last = None
            for each in names:
                inside = content[each]
                child = add(each, 1 if isinstance(inside, dict) else 2, inside, (ids or {}).get(each, bytes(16)))
                if last is None:
                    entries[at][6] = child
                else:
                    entries[last][5] = child
                last = child
        return at

    add("Root Entry", 5, tree, root_id)
    mini, mini_table, starts = b"", [], {}
    for at, entry in enumerate(entries):
        data = entry[3]
        if entry[1] == 2 and 0 < len(data) < cutoff:
            count = -(-len(data) // 64)
            first = len(mini_table)
            order = list(range(first, first + count))
            place = order[::-1] if scatter else order
            table = dict(zip(place, [*place[1:], END]))
            mini_table += [table[number] for number in order]
            pieces = dict(zip(place, (data[cut : cut + 64].ljust(64, b"\0") for cut in range(0, len(data), 64))))
            mini += b"".join(pieces[number] for number in order)
            starts[at] = place[0]
    sectors, table = [], []

    def store(data, kind=None):
        count = -(-len(data) // size)
        if not count:
            return END
        first = len(sectors)
        order = list(range(first, first + count))
        place = order[::-1] if scatter and kind is None else order
        after = dict(zip(place, [*place[1:], END]))
        pieces = dict(zip(place, (data[cut : cut + size].ljust(size, b"\0") for cut in range(0, len(data), size))))
        for number in order:
            sectors.append(pieces[number])
            table.append(after[number])
        return place[0]

    for at, entry in enumerate(entries):
        if entry[1] == 2 and len(entry[3]) >= cutoff:
            starts[at] = store(entry[3])
    starts[0] = store(mini)
    mini_first = store(b"".join(struct.pack("<I", value) for value in mini_table), "table")
    mini_count = -(-len(mini_table) * 4 // size)
    listing = b""
    for at, (name, kind, class_id, data, left, right, child) in enumerate(entries):
        words = name.encode("utf-16-le") + b"\0\0"
        length = len(mini) if at == 0 else len(data)
        listing += words.ljust(64, b"\0") + struct.pack("<HBBIII", len(words), kind, 1, left, right, child) + class_id
        listing += struct.pack("<IQQIQ", 0, 0, 0, starts.get(at, END if kind == 2 else 0), length)
    while len(listing) % size:
        listing += bytes(68) + struct.pack("<III", FREE, FREE, FREE) + bytes(48)
    folder_first = store(listing, "folder")
    fats = 1
    while fats * (size // 4) < len(sectors) + fats:
        fats += 1
    fat_first = len(sectors)
    table += [FAT] * fats
    table += [FREE] * (fats * (size // 4) - len(table))
    sectors += [b"".join(struct.pack("<I", value) for value in table[at : at + size // 4]) for at in range(0, len(table), size // 4)]
    head = struct.pack(
        "<8s16sHHHHHHIIIIIIIIII",
        bytes.fromhex("d0cf11e0a1b11ae1"),
        bytes(16),
        0x3E,
        version,
        0xFFFE,
        9 if version == 3 else 12,
        6,
        0,
        0,
        0 if version == 3 else len(listing) // size,
        fats,
        folder_first,
        0,
        cutoff,
        mini_first,
        mini_count,
        END,
        0,
    )
    fat_places = [fat_first + at for at in range(fats)]
    head += b"".join(struct.pack("<I", value) for value in fat_places + [FREE] * (109 - fats))
    return head.ljust(size, b"\0") + b"".join(sectors)


def package(name, data):
    """The stream `\\1Ole10Native` of a package object: a file as it was dragged into a document."""
    body = struct.pack("<H", 2) + name + b"\0" + b"C:\\" + name + b"\0" + struct.pack("<HHI", 0, 3, len(name) + 4) + b"C:\\" + name + b"\0"
    body += struct.pack("<I", len(data)) + data + bytes(2)
    return struct.pack("<I", len(body)) + body


PACKAGE = bytes.fromhex("0c00030000000000c000000000000046")
"""The class id of a package."""


def vba(source):
    """Compressed VBA source ([MS-OVBA] 2.4.1) that repeats what came before wherever it can."""
    out = b"\x01"
    for start in range(0, len(source), 4096):
        chunk = source[start : start + 4096]
        body, at = b"", 0
        while at < len(chunk):
            flags, group = 0, b""
            for bit in range(8):
                if at >= len(chunk):
                    break
                best, where = 0, 0
                width = max(4, (at - 1).bit_length() if at else 4)
                most = (0xFFFF >> width) + 3
                for back in range(1, at + 1):
                    length = 0
                    while at + length < len(chunk) and length < most and chunk[at - back + length] == chunk[at + length]:
                        length += 1
                    if length > best:
                        best, where = length, back
                if best >= 3:
                    flags |= 1 << bit
                    group += struct.pack("<H", (where - 1) << (16 - width) | best - 3)
                    at += best
                else:
                    group += chunk[at : at + 1]
                    at += 1
            body += bytes([flags]) + group
        out += struct.pack("<H", 0xB000 | (len(body) + 2 - 3)) + body
    return out


def macros(module, name=b"NewMacros"):
    """The storage of a VBA project with one module of this source."""

    def record(kind, data):
        return struct.pack("<HI", kind, len(data)) + data

    directory = (
        record(0x01, struct.pack("<I", 1))
        + record(0x02, struct.pack("<I", 1033))
        + record(0x14, struct.pack("<I", 1033))
        + record(0x03, struct.pack("<H", 1252))
        + record(0x04, b"Project")
        + record(0x05, b"")
        + record(0x40, b"")
        + record(0x06, b"")
        + record(0x3D, b"")
        + record(0x07, struct.pack("<I", 0))
        + record(0x08, struct.pack("<I", 0))
        + struct.pack("<HIIH", 0x09, 4, 1, 1)
        + record(0x0C, b"")
        + record(0x3C, b"")
        + record(0x0F, struct.pack("<H", 1))
        + record(0x13, struct.pack("<H", 0xFFFF))
        + record(0x19, name)
        + record(0x47, name.decode().encode("utf-16-le"))
        + record(0x1A, name)
        + record(0x32, name.decode().encode("utf-16-le"))
        + record(0x1C, b"")
        + record(0x48, b"")
        + record(0x31, struct.pack("<I", 0))
        + record(0x1E, struct.pack("<I", 0))
        + record(0x2C, struct.pack("<H", 0xFFFF))
        + record(0x21, b"")
        + record(0x2B, b"")
        + record(0x10, b"")
    )
    project = b'ID="{00000000-0000-0000-0000-000000000000}"\r\nModule=' + name + b'\r\nName="Project"\r\n'
    return {
        "PROJECT": project,
        "VBA": {"dir": vba(directory), name.decode(): vba(module), "_VBA_PROJECT": bytes.fromhex("cc61ffff00000001")},
    }
