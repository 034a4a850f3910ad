"""The table that the matrix prints, and what it counts."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock

from tests.faults.traffic import HANDSHAKES, KINDS, Fault

WORDS = {0: "healed", -9: "killed"}
UNMET = "faults not met, for want of another check"
COUNTS = (
    "faults",
    UNMET,
    "runs",
    "keys left over",
    "secrets lost",
    "records left over",
    "sessions of killed runs, held by nobody",
    "leaks",
)
"""``secrets lost``: faults after which the Secret, good before, holds no working key even after the next run."""


@dataclass(frozen=True)
class Cell:
    """One fault at one request of one scenario."""

    scenario: str
    step: str
    occurrence: int
    kind: str

    @property
    def fault(self) -> Fault:
        return (self.step, self.occurrence, self.kind)

    def __str__(self) -> str:
        return f"{self.scenario}: {self.kind} at {self.step} ({self.occurrence})"


@dataclass
class Tally:
    """What the table says at its end; ``wrong`` must stay empty."""

    outcomes: dict[tuple[str, str, int], dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def ended(self, cell: Cell, code: int, counts: dict[str, int], problems: Iterable[str]) -> None:
        with self._lock:  # cells are worked off by several threads
            self.outcomes[cell.scenario, cell.step, cell.occurrence][cell.kind] = WORDS.get(code, str(code))
            self.counts.update(counts)
            self.wrong += [f"{cell}: {problem}" for problem in problems]

    def unmet(self, cell: Cell) -> None:
        """Note a fault that waits for a request that did not come."""
        with self._lock:
            self.outcomes[cell.scenario, cell.step, cell.occurrence][cell.kind] = "not met"
            self.counts[UNMET] += 1

    def table(self) -> str:
        lines = []
        for (scenario, step, occurrence), kinds in sorted(self.outcomes.items()):
            lines.append(f"{scenario:9} {step}{f' ({occurrence})' if occurrence > 1 else ''}")
            met = (f"{kind}:{kinds[kind]}" for kind in (*KINDS, *HANDSHAKES) if kind in kinds)
            lines.append("          " + "  ".join(met))
        lines.append(", ".join(f"{name}: {self.counts[name]}" for name in COUNTS))
        return "\n".join(lines)
