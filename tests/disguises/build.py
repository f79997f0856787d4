#!/usr/bin/env python3
"""Builds every disguise, proves each by independent decoders, and writes them down.

Usage: build.py OUT      writes OUT/NAME.eml and OUT/list.tsv (name, group, want, potent_by, idea)

Python's standard library only. The proofs call the decoders that `prove.py` names; those that are not installed prove nothing.
"""

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

import frame  # noqa: E402
import prove  # noqa: E402


def load(name):
    """The module of this name beside us, or None where there is none."""
    path = HERE / f"{name}.py"
    if not path.exists():
        return None
    spec = importlib.util.spec_from_file_location(f"disguises_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    found = []
    for name in ("mime", "containers"):
        maker = load(name)
        if maker is None:
            continue
        found.extend(maker.disguises(frame.payload()))
        twins = set(getattr(maker, "TWINS", ()))
        for plain in maker.disguises(frame.HARMLESS) if twins else ():
            if plain.name in twins:
                twins.discard(plain.name)
                found.append(frame.Disguise(f"twin-{plain.name}", plain.group, f"clean twin: {plain.idea}", plain.message, "delivered"))
        assert not twins, f"twins of what is not there: {twins}"
    names = [disguise.name for disguise in found]
    again = sorted({name for name in names if names.count(name) > 1})
    assert not again, f"the same name twice: {again}"
    for disguise in found:
        assert disguise.name.replace("-", "").replace("_", "").replace(".", "").isalnum(), disguise.name
        assert "\t" not in disguise.idea and "\n" not in disguise.idea, disguise.name
        (out / f"{disguise.name}.eml").write_bytes(disguise.message)
    proofs = prove.prove(found, out, load("prove_containers"))
    with open(out / "list.tsv", "w", encoding="utf-8") as table:
        print("name", "group", "want", "potent_by", "idea", sep="\t", file=table)
        for disguise in found:
            print(disguise.name, disguise.group, disguise.want, proofs.get(disguise.name, ""), disguise.idea, sep="\t", file=table)
    for group in ("mime", "container"):
        those = [d for d in found if d.group == group and d.want != "delivered"]
        potent = [d for d in those if proofs.get(d.name)]
        print(f"{group}: {len(those)} disguises, {len(potent)} potent")
        for disguise in those:
            if not proofs.get(disguise.name) and disguise.want == "payload":
                print(f"  not proved: {disguise.name}: {disguise.idea}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
