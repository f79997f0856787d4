"""Containers: files that have to be opened before the payload is seen, each as an attachment of an ordinary message."""

import importlib
import sys
from pathlib import Path

import boxes

MAKERS = ("zip", "zip_lies", "passwords", "streams", "archives", "packed", "disks", "ole", "office", "pdf", "text", "mail", "held", "honest")
"""The modules `box_NAME.py` beside this one."""


def disguises(payload):
    """All of them, with this payload."""
    here = Path(__file__).resolve().parent
    for maker in MAKERS:
        if not (here / f"box_{maker}.py").exists():
            continue
        for box in importlib.import_module(f"box_{maker}").boxes(payload):
            if not box.clear and payload in box.data:
                sys.exit(f"{box.name}: the payload stands in it in the clear")
            yield boxes.disguise(box)
