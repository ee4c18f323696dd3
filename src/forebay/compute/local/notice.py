"""The word to a machine that it will be ended: a file, a line on every terminal, and, if that is final, SIGTERM.

The file is `/run/forebay/notice`, one line of JSON: `at`, when the machine ends (UTC), and `message`, why. It is in
memory, so a full disk doesn't keep it out and the next start doesn't find it. SIGTERM goes to what people run; SSH and
the init live on, so that who is logged in can save what there is to save.
"""

import json
from datetime import UTC, datetime

from forebay.compute.local.podman import Podman
from forebay.compute.local.shell import run_in

FOLDER = "/run/forebay"
FILE = f"{FOLDER}/notice"
SECONDS = 15

SCRIPT = f"""
set -e
umask 022
mkdir -p {FOLDER}
[ "$(cat {FILE} 2>/dev/null)" != "$NOTICE" ] || exit 0
printf '%s\\n' "$NOTICE" >{FILE}.new
for terminal in /dev/pts/[0-9]*; do
    printf '\\r\\n%s\\r\\n' "$SENTENCE" | timeout 1 tee "$terminal" >/dev/null 2>&1 || true
done
[ "$IS_FINAL" ] || {{ mv {FILE}.new {FILE}; exit 0; }}
name_of() {{ cat "/proc/$1/comm" 2>/dev/null || true; }}
for folder in /proc/[0-9]*; do
    process=${{folder#/proc/}}
    [ "$process" -gt 1 ] && [ "$process" != $$ ] || continue
    parent=$(sed -n 's/^PPid:[^0-9]*//p' "$folder/status" 2>/dev/null || true)
    case "$(name_of "$process") of $(name_of "${{parent:-0}}")" in
        sshd*" of "*|init" of "*|sleep" of "init) continue ;;
    esac
    kill -TERM "$process" 2>/dev/null || true
done
mv {FILE}.new {FILE}
"""
"""The file appears when all is done: a notice that was cut off is given again, one that was given isn't."""


def give(podman: Podman, name: str, message: str, at: datetime, *, is_final: bool) -> None:
    """Tell a running machine; with SIGTERM if it is final. Fine if it is stopped or gone.

    Raises ProviderUnavailable if it can't be told.
    """
    moment = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    notice = json.dumps({"at": moment, "message": message})
    variables = {
        "NOTICE": notice,
        "SENTENCE": f"{printable(message)} ({moment})",
        "IS_FINAL": "yes" if is_final else "",
    }
    run_in(podman, name, SCRIPT, variables, SECONDS)


def printable(message: str) -> str:
    """The message on one line, without what a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in message)
