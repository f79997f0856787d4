"""Proves containers: tools that share nothing with the gateway open them, step by step, until the payload is in hand.

A container names its steps from the outside in. Each step is one kind of thing to open, for which one or more tools are tried; what they
get out goes on to the next step. The proof names the mail decoder and, per step, the tools that got on.
"""

from concurrent.futures import ThreadPoolExecutor

from openers import OPENERS


def stepped(step, bodies, enough):
    """What the tools of one step get out of these files: tool to list of files. No more tools are tried once `enough(found)`."""
    found = {}
    for kind in step.split("|"):
        kind, _, password = kind.partition(":")
        for name, opens in OPENERS[kind].items():
            for body in bodies:
                try:
                    results = [bytes(result) for result in opens(body, password) if result]
                except Exception:  # Not for this tool.
                    continue
                if results:
                    found.setdefault(name, []).extend(results)
            if enough(found):
                return found
    return found


def chain(steps, bodies, payload, first):
    """The words of a proof, from these files through these steps; empty where it does not come to the payload.
    `first`: on the way, the first tool that gets anything is enough; at the end, two that get the payload are."""

    def with_payload(found):
        return {name: files for name, files in found.items() if any(payload in file for file in files)}

    words = []
    for at, step in enumerate(steps):
        if at + 1 == len(steps):
            found = with_payload(stepped(step, bodies, lambda found: len(with_payload(found)) >= 2))
        else:
            found = stepped(step, bodies, lambda found: first and found)
        if not found:
            return []
        words.append(",".join(found))
        bodies = list(dict.fromkeys(file for files in found.values() for file in files))
    return words


def proof(disguise, parts, payload):
    """What opened it, in words; empty where nothing did."""
    for decoder, bodies in parts.items():
        bodies = list(dict.fromkeys(bodies))
        words = chain(disguise.steps, bodies, payload, True) or (len(disguise.steps) > 1 and chain(disguise.steps, bodies, payload, False))
        if words:
            return " > ".join([decoder, *words])
    return ""


def prove(those, parts, payload):
    """Name to proof, for the containers that tools could open."""
    with ThreadPoolExecutor(2) as workers:
        answers = workers.map(lambda each: proof(each, parts.get(each.name, {}), payload), those)
        return {each.name: answer for each, answer in zip(those, answers) if answer}
