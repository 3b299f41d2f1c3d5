"""When the steps of a turn came, and how long a person waited for each."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass
class Times:
    """Seconds of `time.monotonic`; None: it has not come, or never does in such a turn.

    pressed      the key or button to speak; of a typed question, there is none.
    recording    the microphone gave its first sound.
    ended        the key was let go, silence was noticed, or the question was sent: from here on they wait.
    asked        the recording is closed and everything is on its way to the model.
    token        the first word of the answer.
    sound        the first sound of the answer went to the speaker.
    written      the last word.
    """

    pressed: float | None = None
    recording: float | None = None
    ended: float | None = None
    asked: float | None = None
    token: float | None = None
    sound: float | None = None
    written: float | None = None

    def note(self, step: str, now: float) -> None:
        """``step`` has come; only its first time counts."""
        if getattr(self, step) is None:
            setattr(self, step, now)

    def waited(self, step: str) -> float | None:
        """Seconds from `ended` to a step; None if either has not come."""
        at: float | None = getattr(self, step)
        return None if at is None or self.ended is None else max(0.0, at - self.ended)

    def known(self) -> dict[str, float]:
        """What has come."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
