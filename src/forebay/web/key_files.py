"""A public key in a form: pasted, or taken from the `.pub` file that ssh-keygen made."""

from forebay.domain.machines import ssh_keys
from forebay.domain.machines.ssh_keys import refusal
from forebay.web.visits import Visit

BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
"""What files begin with that some editors and shells have written, and how they are to be read."""


def key_of(visit: Visit, pasted: str, chosen: str) -> str:
    """The text of the key, by the names of both fields. Raises BadRequest."""
    text, file = visit.form.get(pasted, ""), visit.files.get(chosen)
    if file is None:
        return text
    if text.strip():
        raise refusal("it was both pasted and taken from a file. Keep one of them.")
    called = f"the file {file.name}".strip()
    if file.is_too_large or len(file.content) > ssh_keys.MOST_CHARACTERS:
        raise refusal(f"{called} is too large for one. Choose the file that ends in .pub.")
    try:
        text = file.content.decode(BOMS.get(file.content[:3]) or BOMS.get(file.content[:2], "utf-8"))
    except UnicodeDecodeError:
        raise refusal(f"{called} holds no text. Choose the file that ends in .pub.") from None
    if not text.strip():
        raise refusal(f"{called} is empty.")
    ssh_keys.parse(text)
    # A good key stays when something else is to be mended: a file would have to be chosen again.
    visit.form[pasted] = text.strip()
    del visit.files[chosen]
    return text


def field_of(visit: Visit, pasted: str, chosen: str) -> str:
    """Beside which field it is said what is wrong with the key."""
    return chosen if chosen in visit.files else pasted
