"""Whether SSH answers with the host key that the machine reported.

OpenSSH's own `ssh-keyscan` asks, so the answer is one that people's clients will get too.
"""

import subprocess

from forebay.compute.base import Instance

TIMEOUT_SECONDS = 3


def answers(instance: Instance) -> bool:
    """True if one of the instance's host keys is offered on its SSH port."""
    kinds = {key.split()[0] for key in instance.host_keys}
    kind = "ssh-ed25519" if "ssh-ed25519" in kinds else sorted(kinds)[0]
    command = ["ssh-keyscan", "-T", str(TIMEOUT_SECONDS), "-p", str(instance.ssh_port), "-t", kind.removeprefix("ssh-")]
    try:
        found = subprocess.run(
            [*command, instance.probe_address or instance.address or ""],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS + 2,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return False
    offered = {" ".join(line.split()[1:3]) for line in found.stdout.splitlines() if not line.startswith("#")}
    return any(" ".join(key.split()[:2]) in offered for key in instance.host_keys)
