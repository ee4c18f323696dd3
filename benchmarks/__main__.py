"""`python -m benchmarks [NAME …]`: see the package."""

import sys
from importlib import import_module

BENCHMARKS = {
    "list": "deployments_list",
    "dstack": "dstack_list",
    "start": "start",
    "launch": "launch",
    "observe": "observing",
    "cycle": "deduction",
    "access": "access",
    "usage": "usage",
    "top-ups": "auto_top_ups",
    "pages": "pages",
    "lighthouse": "lighthouse",
}
"""What can be asked for, and the module whose `run` measures it."""


def main(names: list[str]) -> None:
    """Run these, or all."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise SystemExit(f"there is no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}")
    for name in names or BENCHMARKS:
        print(f"{name} …", file=sys.stderr, flush=True)
        for figure in import_module(f"benchmarks.{BENCHMARKS[name]}").run():
            print(figure, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
