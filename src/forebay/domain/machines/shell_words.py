"""Words of commands that are shown to be pasted into a shell: whatever they say, they stay words."""

import shlex


def is_plain(letter: str) -> bool:
    """Whether it looks like what it is, and no terminal does anything at it."""
    return letter.isprintable() or letter == "\n"


def quoted(word: str) -> str:
    """The word for a shell. What can't be seen is spelled out: it could end a paste and have the rest carried out."""
    if word.isprintable() or all(map(is_plain, word)):
        return shlex.quote(word)
    known = {"\\": "\\\\", "'": "\\'"}
    letters = (letter if is_plain(letter) else "".join(f"\\x{byte:02x}" for byte in letter.encode()) for letter in word)
    return "$'" + "".join(known.get(letter, letter) for letter in letters) + "'"


def ssh_command(user: str, host: str, port: int) -> str:
    """`ssh -p 22 root@203.0.113.7`, whatever a provider calls user and host."""
    place = f"{user}@{host}"
    end_of_options = "-- " if place.startswith("-") else ""
    return f"ssh -p {port} {end_of_options}{quoted(place)}"
