"""Disk images: iso9660 (Joliet, Rock Ridge, UDF), FAT, ext2, HFS, squashfs, VHD, dmg, partition tables."""

import base64
import gzip
import struct
import zlib

from boxes import Box, made, noise, prose
from zips import Member, zipped


def boxes(payload):
    """All of them. What stands in them is compressed, so that they have to be opened."""
    inner = gzip.compress(payload, mtime=0)
    archive = zipped(Member("eicar.com", payload))

    def iso(*options, files=None):
        files = {f"d/{name}": data for name, data in (files or {"eicar.gz": inner, "note.txt": prose(50)}).items()}
        return made(["genisoimage", "-quiet", "-no-pad", *options, "-o", "box.iso", "d"], files, "box.iso")

    def box(name, idea, data, file="disk.iso", steps=("iso", "gz"), **more):
        return Box(f"disk-{name}", idea, data, file, steps, **more)

    plain = iso()
    yield box("iso", "iso9660", plain)
    yield box("iso-joliet", "iso9660 with Joliet names", iso("-J"))
    yield box("iso-rock-ridge", "iso9660 with Rock Ridge names", iso("-R", "-J"))
    yield box("iso-joliet-only", "a file that only the Joliet tree has", iso("-J", "-hide", "eicar.gz"))
    yield box("iso-plain-only", "a file that the Joliet tree has not", iso("-J", "-hide-joliet", "eicar.gz"))
    yield box("iso-zip", "iso9660 with a zip in it", iso("-J", files={"paper.zip": archive}), steps=("iso", "zip"))
    yield box("iso-deep", "in the sixth folder of an iso9660", iso("-R", "-D", files={"a/b/c/d/e/f/eicar.gz": inner}))
    yield box("iso-udf", "iso9660 and UDF", iso("-udf"))
    udf = bytearray(iso("-udf"))
    udf[32768 : 32768 + 2048] = bytes(2048)
    first = bytes(udf).find(b"BEA01") - 1
    udf[32768:first] = bytes(first - 32768)
    shifted = bytes(udf[:32768]) + bytes(udf[first : first + 3 * 2048]) + bytes(udf[32768 + 3 * 2048 :]) if first != 32768 else bytes(udf)
    yield box("udf", "UDF alone", shifted, "disk.img")
    yield box("iso-as-img", "named img", plain, "disk.img")
    yield box("iso-as-pdf", "named pdf", plain, "paper.pdf")
    yield box("iso-in-gzip", "iso9660 in gzip", gzip.compress(plain, mtime=0), "disk.iso.gz", ("gz", "iso", "gz"))
    yield box("iso-in-zip", "iso9660 in zip", zipped(Member("disk.iso", plain)), "papers.zip", ("zip", "iso", "gz"))
    yield box("iso-clear", "iso9660, a plain file", iso(files={"eicar.com": payload}), steps=("iso",), clear=True)
    yield box("iso-extra", "iso9660, two sessions' worth of junk behind it", plain + noise(4096))
    fat = fat12(b"EICAR   GZ ", inner)
    yield box("fat", "FAT12", fat, "disk.img", ("7z", "gz"))
    yield box(
        "fat-split",
        "FAT12, the payload across two clusters that do not follow",
        fat12(b"EICAR   COM", prose(512 - 34) + payload, apart=True),
        "disk.img",
        ("7z",),
    )
    vhd = fat + vhd_footer(len(fat))
    yield box("vhd", "VHD with FAT12", vhd, "disk.vhd", ("7z", "7z|fat", "gz"))
    mbr = (
        bytes(446)
        + struct.pack("<B3sB3sII", 0x80, b"\1\1\0", 1, b"\1\1\1", 8, len(fat) // 512)
        + bytes(48)
        + b"\x55\xaa"
        + bytes(7 * 512)
        + fat
    )
    yield box("mbr", "a partition table with FAT12", mbr, "disk.img", ("7z-mbr", "7z", "gz"))
    yield box("dmg", "dmg, zlib, with FAT12", dmg(fat), "disk.dmg", ("7z", "7z", "gz"))
    ext = made(
        ["sh", "-c", "/sbin/mke2fs -q -t ext2 -N 32 -d d -U 00000000-0000-0000-0000-000000000001 box.img 128k"],
        {"d/eicar.gz": inner},
        "box.img",
    )
    yield box("ext2", "ext2", ext, "disk.img", ("7z", "gz"))


def fat12(name, data, apart=False):
    """A small FAT12 disk with one file. `apart`: its clusters do not follow each other."""
    sectors, reserved, roots = 64, 1, 16
    boot = b"\xeb\x3c\x90MSDOS5.0" + struct.pack("<HBHBHHBHHHII", 512, 1, reserved, 2, roots, sectors, 0xF8, 1, 32, 2, 0, 0)
    boot += struct.pack("<BBBI11s8s", 0x80, 0, 0x29, 7731, b"NO NAME    ", b"FAT12   ")
    boot = boot.ljust(510, b"\0") + b"\x55\xaa"
    count = -(-len(data) // 512)
    clusters = [2 + at * (2 if apart else 1) for at in range(count)]
    table = {0: 0xFF8, 1: 0xFFF} | {cluster: after for cluster, after in zip(clusters, [*clusters[1:], 0xFFF])}
    fat = bytearray(512)
    for cluster, value in table.items():
        at = cluster * 3 // 2
        pair = fat[at] | fat[at + 1] << 8
        pair |= value << 4 if cluster % 2 else value
        fat[at], fat[at + 1] = pair & 0xFF, pair >> 8 & 0xFF
    entry = name + struct.pack("<BBBHHHHHHHI", 0x20, 0, 0, 0, 0x5C62, 0x5C62, 0, 0x4A00, 0x5C62, 2, len(data))
    area = bytearray((sectors - 4) * 512)
    for at, cluster in enumerate(clusters):
        piece = data[at * 512 : at * 512 + 512]
        area[(cluster - 2) * 512 : (cluster - 2) * 512 + len(piece)] = piece
    return boot + bytes(fat) * 2 + entry.ljust(512, b"\0") + bytes(area)


def vhd_footer(size):
    """The footer of a fixed virtual disk."""
    footer = struct.pack(
        ">8sIIQI4sI4sQQHBBI",
        b"conectix",
        2,
        0x10000,
        0xFFFFFFFFFFFFFFFF,
        0,
        b"vpc ",
        0x50003,
        b"Wi2k",
        size,
        size,
        size // 512 // 64 or 1,
        4,
        16,
        2,
    )
    footer += bytes(4) + bytes(range(16)) + b"\0"
    footer = footer.ljust(512, b"\0")
    return footer[:64] + struct.pack(">I", ~sum(footer) & 0xFFFFFFFF) + footer[68:]


def dmg(disk):
    """An image of macOS: the disk in zlib, a property list of its blocks, and the trailer `koly`."""
    packed = zlib.compress(disk)
    sectors = len(disk) // 512
    runs = struct.pack(">IIQQQQ", 0x80000005, 0, 0, sectors, 0, len(packed)) + struct.pack(
        ">IIQQQQ", 0xFFFFFFFF, 0, sectors, 0, len(packed), 0
    )
    sums = struct.pack(">II", 2, 32) + bytes(128)
    mish = struct.pack(">4sIQQQII", b"mish", 1, 0, sectors, 0, 520, 0) + bytes(24) + sums + struct.pack(">I", 2) + runs
    plist = (
        '<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "x"><plist version="1.0"><dict><key>resource-fork</key><dict>'
        "<key>blkx</key><array><dict><key>Attributes</key><string>0x0050</string><key>CFName</key><string>disk</string><key>Data</key><data>"
        + base64.b64encode(mish).decode()
        + "</data><key>ID</key><string>0</string><key>Name</key><string>disk</string></dict></array></dict></dict></plist>"
    ).encode()
    koly = struct.pack(">4sIIIQQQQQII", b"koly", 4, 512, 1, 0, 0, len(packed), 0, 0, 1, 1) + bytes(range(16)) + sums
    koly += struct.pack(">QQ", len(packed), len(plist)) + bytes(120) + sums + struct.pack(">IQ", 1, sectors)
    return packed + plist + koly.ljust(512, b"\0")
