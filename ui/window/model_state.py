"""How the model is: being loaded, ready or not there, and how fast its last answers were."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QObject, Signal

from models.errors import AsideError
from ui.work import brain
from ui.work.brain import BrainEvent
from ui.work.conductor import Conductor

_TURNS: Final = 10


@dataclass(frozen=True)
class Speed:
    """Of one answer: seconds to its first word, and tokens a second after it (0: too few to tell)."""

    first: float
    tokens: float


class ModelState(QObject):
    """Follows what the brain tells."""

    changed = Signal()

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self.loading = self.ready = False
        self.name = ""
        self.seconds = 0.0
        """That loading took."""
        self.device = ""
        """What computes, as in the settings; "" until a model is loaded."""
        self.device_problem: AsideError | None = None
        """Why that isn't the one that was chosen."""
        self.error: AsideError | None = None
        """Why the last one couldn't be loaded."""
        self.speeds: deque[Speed] = deque(maxlen=_TURNS)
        conductor.told.connect(self._told)

    @property
    def usual(self) -> Speed | None:
        """The middle of the last answers."""
        if not self.speeds:
            return None
        middle = len(self.speeds) // 2
        firsts = sorted(one.first for one in self.speeds)
        tokens = sorted(one.tokens for one in self.speeds)
        return Speed(firsts[middle], tokens[middle])

    def _told(self, event: BrainEvent) -> None:
        match event:
            case brain.Loading(name):
                self.loading, self.ready, self.name, self.error = True, False, name, None
            case brain.Loaded(name, seconds, device, problem):
                if (name, device) != (self.name, self.device):
                    self.speeds.clear()
                self.loading, self.ready, self.name, self.seconds = False, True, name, seconds
                self.device, self.device_problem = device, problem
            case brain.LoadFailed(error):
                self.loading, self.ready, self.error = False, False, error
            case brain.Answered(_, _, statistics, first) if first is not None:
                decode = statistics.seconds.get("decode", 0.0)
                self.speeds.append(Speed(first, statistics.generated / decode if decode > 0 else 0.0))
            case _:
                return
        self.changed.emit()
