"""Containers: files that have to be opened before the payload is seen, each as an attachment of an ordinary message."""

import importlib
import sys

import boxes

MAKERS = (
    "zip",
    "zip_lies",
    "passwords",
    "streams",
    "archives",
    "packed",
    "disks",
    "ole",
    "office",
    "pdf",
    "rtf",
    "pages",
    "coded",
    "behind",
    "tailed",
    "sealed",
    "mail",
    "held",
    "honest",
)
"""The modules `box_NAME.py` beside this one."""


def disguises(payload):
    """All of them, with this payload."""
    for maker in MAKERS:
        for box in importlib.import_module(f"box_{maker}").boxes(payload):
            if not box.clear and payload in box.data:
                sys.exit(f"{box.name}: the payload stands in it in the clear")
            yield boxes.disguise(box)
