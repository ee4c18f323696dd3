"""The local provider: machines are containers of Podman on the machine that runs Forebay.

`provider` is the door. `service` and `podman` speak to Podman; `image` builds the base image; `container` says what one
machine is, `placement` where it goes, `first_boot` what it starts with (`machine/` has those files), `starting` how it
comes up even where Podman was cut off; `networks` and `walls` keep teams apart; `gpus` and `offers` say what there is
to launch, `doctor` what the surroundings lack.

What always holds: everything of one installation carries its cloud id as a label or in its name, so that several
installations share a machine without seeing each other; whatever the provider must remember is in Podman itself.
"""

from forebay.compute.local.provider import LocalProvider

__all__ = ["LocalProvider"]
