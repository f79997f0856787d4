"""Formats that are known by their first bytes and that few can open: what they hold is anyone's guess, so they are held.

Most are a header with noise behind it, made after the formats' descriptions; what tools could write is in the other modules."""

import gzip
import struct
import uuid

from boxes import Box, made, noise
from zips import Member, zipped


def boxes(payload):
    """All of them."""
    inner = zipped(Member("eicar.com", payload))
    rest = noise(900)

    def box(name, idea, data, file, **more):
        return Box(f"held-{name}", idea, data, file, more.pop("steps", ("none",)), "held", **more)

    rar = b"Rar!\x1a\x07\x00\xcf\x90\x73\x00\x00\x0d\x00\x00\x00\x00\x00\x00\x00"
    yield box("rar4", "rar 4, compressed", rar + rest, "papers.rar")
    yield box(
        "rar4-locked",
        "rar 4 with its headers encrypted",
        b"Rar!\x1a\x07\x00\xce\x99\x73\x80\x00\x0d\x00\x00\x00\x00\x00\x00\x00" + rest,
        "papers.rar",
    )
    yield box(
        "rar5-locked",
        "rar 5 with its headers encrypted",
        b"Rar!\x1a\x07\x01\x00" + b"\x01\x02\x03\x04\x21\x04\x00\x00\x01\x0f" + rest,
        "papers.rar",
    )
    yield box("rar-old", "rar of the oldest form", b"RE~^\x07\x00\x00" + rest, "papers.rar")
    yield box("rar-as-jpg", "rar named as a picture", rar + rest, "photo.jpg", declared="image/jpeg")
    yield box("ace", "ACE", b"\x12\x34\x2c\x00\x00\x00\x90**ACE**\x14\x14\x02\x00" + rest, "papers.ace")
    yield box("alz", "ALZip", b"ALZ\x01\x0a\x00\x00\x00BLZ\x01" + rest, "papers.alz")
    yield box("egg", "EGG", b"EGGA\x00\x01" + rest, "papers.egg")
    yield box("zoo", "zoo", b"ZOO 2.10 Archive.\x1a\x00\x00\xdc\xa7\xc4\xfd" + rest, "papers.zoo")
    yield box("arc", "arc", b"\x1a\x08EICAR.COM\0\0\0\0" + struct.pack("<IHHHI", 800, 0x5C62, 0x4A00, 1, 900) + rest, "papers.arc")
    yield box("sit", "StuffIt", b"SIT!\x00\x01" + struct.pack(">I", 900) + b"rLau\x01" + rest, "papers.sit")
    yield box(
        "sit5", "StuffIt 5", b"StuffIt (c)1997-2002 Aladdin Systems, Inc., http://www.aladdinsys.com/StuffIt/\r\n" + rest, "papers.sit"
    )
    yield box("sitx", "StuffIt X", b"StuffIt!" + rest, "papers.sitx")
    yield box("chm", "compiled help", b"ITSF\x03\x00\x00\x00\x60\x00\x00\x00\x01\x00\x00\x00" + rest, "help.chm")
    one = (
        uuid.UUID("7B5C52E4-D88C-4DA7-AEB1-5378D02996D3").bytes_le + uuid.UUID("109ADD3F-911B-49F5-A5D0-1791EDC8AED8").bytes_le + bytes(900)
    )
    file = uuid.UUID("BDE316E7-2665-4511-A4C4-8D4D0B7A9EAC").bytes_le + struct.pack("<QIQ", len(inner), 0, 0) + inner
    yield box(
        "onenote", "a OneNote section with a zip as an embedded file", one + file + bytes(200), "notes.one", steps=("package-loose", "zip")
    )
    yield box(
        "onenote-clear",
        "a OneNote section with an embedded file in the clear",
        one + uuid.UUID("BDE316E7-2665-4511-A4C4-8D4D0B7A9EAC").bytes_le + struct.pack("<QIQ", len(payload), 0, 0) + payload + bytes(90),
        "notes.one",
        clear=True,
    )
    cabinet = b"MSCF" + struct.pack("<I", 0) + made(["gcab", "-c", "-z", "a.cab", "e.com"], {"e.com": payload}, "a.cab")[8:]
    yield box("onepkg", "a OneNote package", cabinet, "notes.onepkg")
    yield box("vmdk", "a virtual disk of VMware", b"KDMV" + struct.pack("<II", 1, 3) + rest, "disk.vmdk")
    yield box(
        "vdi",
        "a virtual disk of VirtualBox",
        b"<<< Oracle VM VirtualBox Disk Image >>>\n".ljust(64, b"\0") + b"\x7f\x10\xda\xbe" + rest,
        "disk.vdi",
    )
    yield box("vhdx", "a virtual disk of Hyper-V", b"vhdxfile" + "Windows".encode("utf-16-le") + rest, "disk.vhdx")
    yield box("vhd-growing", "a growing virtual disk", b"conectix" + bytes(504) + b"cxsparse" + rest, "disk.vhd")
    yield box("qcow", "a virtual disk of QEMU", b"QFI\xfb\x00\x00\x00\x03" + rest, "disk.qcow2")
    yield box("dmg-locked", "an encrypted image of macOS", b"encrcdsa\x00\x00\x00\x02" + rest, "disk.dmg")
    yield box("squashfs", "squashfs", b"hsqs" + struct.pack("<IIIIHHHHHH", 2, 0, 131072, 0, 1, 17, 0, 1, 4, 0) + rest, "disk.sqfs")
    yield box("cramfs", "cramfs", b"\x45\x3d\xcd\x28" + struct.pack("<II", 4096, 3) + b"\0\0\0\0Compressed ROMFS" + rest, "disk.img")
    yield box("wim", "wim, compressed", b"MSWIM\0\0\0" + struct.pack("<IIIIH", 208, 0x10D00, 0x20082, 32768, 1) + rest, "disk.wim")
    yield box("esd", "wim of solid blocks", b"WLPWM\0\0\0" + struct.pack("<I", 208) + rest, "disk.esd")
    yield box("nsis", "an installer by NSIS", b"MZ" + bytes(510) + b"\x00\x00\x00\x00\xef\xbe\xad\xdeNullsoftInst" + rest, "setup.exe")
    yield box(
        "inno",
        "an installer by Inno Setup",
        b"MZ" + bytes(510) + b"Inno Setup Setup Data (6.2.0)".ljust(64, b"\0") + b"zlb\x1a" + rest,
        "setup.exe",
    )
    yield box("lrzip", "lrzip", b"LRZI\x00\x06" + rest, "papers.lrz")
    yield box("zpaq", "zpaq", b"7kSt\xa01\x83\xd3\x8c\xb2\x28\xb0\xd3zPQ\x02\x01" + rest, "papers.zpaq")
    yield box("lzop", "lzop", b"\x89LZO\x00\x0d\x0a\x1a\x0a\x10\x40" + rest, "paper.lzo")
    yield box("snappy", "snappy in frames", b"\xff\x06\x00\x00sNaPpY\x00" + struct.pack("<I", 900)[:3] + rest, "paper.sz")
    yield box("lzfse", "lzfse", b"bvx2" + rest, "paper.lzfse")
    yield box("kwaj", "KWAJ (compress.exe)", b"KWAJ\x88\xf0\x27\xd1\x03\x00\x0e\x00\x00\x00" + rest, "paper.co_")
    yield box("pack", "pack (.z)", b"\x1f\x1e" + rest, "paper.z")
    yield box("rzip", "rzip", b"RZIP\x02\x01" + rest, "paper.rz")
    yield box("pea", "PeaZip", b"\xea\x01\x03\x00\x00" + rest, "papers.pea")
    yield box("bzip3", "bzip3", b"BZ3v1" + rest, "paper.bz3")
    yield box("hxs", "compiled help of another kind", b"ITOLITLS\x01\x00\x00\x00\x28\x00\x00\x00" + rest, "help.hxs")
    yield box("pst", "a mailbox of Outlook", b"!BDN" + noise(4) + b"SM\x17\x00\x13\x00\x01\x01" + rest, "mail.pst")
    yield box("dbx", "a mailbox of Outlook Express", bytes.fromhex("cfad12fec5fd746f66e3d11e9a4e00c04fa309d4") + rest, "mail.dbx")
    yield box("luks", "an encrypted disk", b"LUKS\xba\xbe\x00\x02" + rest, "disk.img")
    yield box("age", "a file encrypted by age", b"age-encryption.org/v1\n-> scrypt " + rest[:40].hex().encode() + b"\n" + rest, "paper.age")
    yield box("axcrypt", "a file encrypted by AxCrypt", bytes.fromhex("c0b9072e4f93f146a015792ca1d9e821") + rest, "paper.axx")
    yield box("aescrypt", "a file encrypted by AES Crypt", b"AES\x02\x00\x00\x1bCREATED_BY\0aescrypt 3.10\0\x00\x00" + rest, "paper.aes")
    whole = made(["7z", "a", "-t7z", "a.7z", "e.com"], {"e.com": noise(3000).hex().encode() + payload}, "a.7z")
    yield box("7z-volume-first", "the first volume of a 7z", whole[:1200], "papers.7z.001")
    yield box("7z-volumes", "both volumes of a 7z", whole[:1200], "papers.7z.001", beside=("papers.7z.002", whole[1200:]))
    parts = zipped(Member("eicar.com", noise(3000).hex().encode() + payload))
    yield box("zip-volume-last", "the last volume of a split zip", parts[2000:], "papers.zip")
    yield box("zip-volumes", "both volumes of a split zip", parts[:2000], "papers.zip.001", beside=("papers.zip.002", parts[2000:]))
    yield box(
        "zip-cut-in-half",
        "the payload's deflate stream in two attachments",
        inner[:60],
        "papers.zip.001",
        beside=("papers.zip.002", inner[60:]),
    )
    packed = gzip.compress(noise(3000).hex().encode() + payload, mtime=0)
    yield box("gz-volumes", "a gzip in two attachments", packed[:1500], "paper.gz.aa", beside=("paper.gz.ab", packed[1500:]))
    yield box(
        "cab-volume",
        "a cabinet that goes on in the next",
        b"MSCF\0\0\0\0" + struct.pack("<IIIIIBBHHHHH", 400, 0, 44, 0, 0, 3, 1, 1, 1, 2, 7731, 0)[:28] + b"next.cab\0Disk 2\0" + rest,
        "papers.cab",
    )
    yield box(
        "rar-volume",
        "a later volume of a rar",
        b"Rar!\x1a\x07\x00" + bytes.fromhex("f1fb7301000d0000000000000000") + rest,
        "papers.part2.rar",
    )
    yield box("arj-volume", "a later volume of an arj", b"\x60\xea\x2a\x00\x1e\x0b\x01\x00\x04\x02" + rest, "papers.a01")
