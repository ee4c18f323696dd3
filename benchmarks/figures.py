"""A figure, its goal, and the one line that says both."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from operator import ge, le
from typing import Literal

Unit = Literal["x", "s", "MB", "us", "%", "/s", "/100"]
COMPARISONS: dict[str, Callable[[float, float], bool]] = {">=": ge, "<=": le}


@dataclass(frozen=True)
class Figure:
    """What was measured, and what it should be."""

    name: str
    value: float
    unit: Unit
    comparison: Literal[">=", "<="]
    goal: float

    @property
    def is_reached(self) -> bool:
        """Whether the goal is met by the value as measured, not as rounded."""
        return COMPARISONS[self.comparison](self.value, self.goal)

    def __str__(self) -> str:
        verdict = "ok" if self.is_reached else "short"
        return f"{self.name} {shortly(self.value)}{self.unit} goal {self.comparison} {shortly(self.goal)} {verdict}"


def shortly(number: float) -> str:
    """At least two digits behind the point below ten, fewer above: 0.63, 5.00, 14.2, 1234."""
    if abs(number) >= 100:
        return f"{number:.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"


def note(text: str) -> None:
    """Say what a figure was reckoned from."""
    print(f"  {text}", file=sys.stderr, flush=True)
