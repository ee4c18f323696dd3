"""The text of a PDF document, read from its bytes as far as ours go: embedded fonts, two bytes a glyph.

Written against the format, not against the library that writes our documents: what is read is what a reader sees.
"""

import re
import zlib

ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


def texts(document: bytes) -> list[str]:
    """Every string that is shown, in order."""
    objects = {int(number): body for number, body in re.findall(rb"(\d+) 0 obj\n(.*?)\nendobj", document, re.DOTALL)}
    fonts = {name: letters_of(objects, int(number)) for name, number in re.findall(rb"/(F\d+) (\d+) 0 R", document)}
    found = []
    for body in objects.values():
        letters: dict[int, str] = {}
        shown = rb"/(F\d+) [\d.]+ Tf|\(((?:\\.|[^\\)])*)\) Tj"
        for font, raw in re.findall(shown, stream(body), re.DOTALL):
            if font:
                letters = fonts[font]
                continue
            glyphs = re.sub(rb"\\(.)", lambda match: ESCAPES.get(match[1], match[1]), raw, flags=re.DOTALL)
            pairs = [int.from_bytes(glyphs[place : place + 2]) for place in range(0, len(glyphs), 2)]
            found.append("".join(letters[pair] for pair in pairs))
    return found


def letters_of(objects: dict[int, bytes], font: int) -> dict[int, str]:
    """What each glyph of a font stands for, by its own table."""
    [reference] = re.findall(rb"/ToUnicode (\d+) 0 R", objects[font])
    table = stream(objects[int(reference)])
    pairs = re.findall(rb"<([0-9A-F]{4})> <([0-9A-F]+)>\n", table)
    return {int(glyph, 16): bytes.fromhex(letters.decode()).decode("utf-16-be") for glyph, letters in pairs}


def stream(body: bytes) -> bytes:
    """What an object's stream holds; nothing for those without."""
    found = re.search(rb"stream\n(.*)\nendstream", body, re.DOTALL)
    if found is None or b"/FontFile" in body:
        return b""
    try:
        return zlib.decompress(found[1]) if b"/FlateDecode" in body else found[1]
    except zlib.error:
        return b""
