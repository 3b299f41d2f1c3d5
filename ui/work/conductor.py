"""Carries a turn out: drives the state machine, and moves microphone, engine and voice as it commands.

Lives in the GUI thread. The widgets call `talk`, `release`, `ask` and `stop`, and listen to its signals;
every report of another thread comes in by the gate, with the number of its turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from PySide6.QtCore import QObject, Signal

from assistant import turn
from assistant.engine.windows import WINDOW_SAMPLES
from assistant.media.sound import RATE, Sound
from assistant.modes import CHAT, Mode
from assistant.settings import Settings
from assistant.timing import Times
from assistant.turn import Phase, State
from assistant.usage import Usage
from assistant.voice import audio_devices
from assistant.voice.dictation import dictate
from assistant.voice.ear import Ear
from assistant.voice.echo import Echo
from assistant.voice.endpoint import trimmed
from assistant.voice.microphone import BlockSource, Microphone
from models.errors import AsideError, ContextError, DeviceError
from ui.gate import Gate
from ui.work import brain
from ui.work.brain import Brain, BrainEvent
from ui.work.ear import Recording
from ui.work.mouth import Mouth, Performance, Speech
from ui.work.question import Question

OpenMicrophone = Callable[[str], BlockSource]
_RENEW: Final = 1.0  # s
_SILENCE, _LONG_SILENCE = 10.0, 180.0  # s without a word that end a recording, and hands-free
_DICTATION: Final = 2 * 3600.0  # s of speech
_BEHIND: Final = 900.0  # s of a dictation that wait in memory, 64 kB each
_ENOUGH: Final = DeviceError(
    "A dictation has two hours of speech at most.", "All of it is written down; begin another one."
)
_TOO_SLOW: Final = DeviceError(
    "The model is 15 minutes behind, so the dictation was ended.", "What was said is still written down."
)
_NOTHING: Final = DeviceError("Nothing was heard.", "Speak louder or closer to the microphone.")


class Conductor(QObject):
    """`close` ends everything in the order input, processing, output."""

    changed = Signal(State)
    level = Signal(float)
    """dBFS of the microphone, while it is open."""
    asked = Signal(int, Question)
    """The number of a turn and its question, before the answer."""
    understood = Signal(int, str)
    """The number of a turn and what was understood of its speech so far."""
    told = Signal(object)
    """Events of the brain: of its model, and of the present turn."""
    timed = Signal(int, Times)
    """The number of a turn and when its steps came, as soon as its first sound or last word did."""
    drafted = Signal(str)
    """What was understood so far of a piece of a dictation."""
    dictated = Signal(int, Sound)
    """The number of a turn and a piece of its dictation."""
    interrupted = Signal(int, str)
    """The number of a turn whose answer was spoken, and how much of it was heard."""
    problem = Signal(AsideError)

    def __init__(
        self,
        gate: Gate,
        settings: Settings,
        usage: Usage | None = None,
        open_microphone: OpenMicrophone | None = None,
    ) -> None:
        super().__init__()
        self._gate = gate
        self._told: AsideError | None = None  # of a lost microphone, which is told once
        self._barge_in = settings.sound.barge_in
        self._speaking = 0  # the turn that was spoken last
        echo = Echo()
        self.ear = Ear(
            open_microphone or (lambda name: Microphone(name, usage)),
            settings.sound.microphone,
            _preroll(settings),
            lost=lambda error: gate.post(lambda: self._lost(error)),
            interrupted=self._interrupted,
            echo=echo,
        )
        self._state = State()
        self._recordings: dict[int, Recording] = {}
        self.mouth = Mouth(lambda turn, at: gate.post(lambda: self._note(turn, "sound", at)), echo.played)
        self._times: dict[int, Times] = {}
        self.brain = Brain(lambda event: gate.post(lambda: self._tell(event)))
        self.companions: Callable[[], Question] = Question
        """Gives, and gives away, the pictures and documents that a spoken question is about."""
        self.mode = CHAT
        """What is done with what is spoken next."""
        self.wording: Callable[[Mode], str] = lambda mode: mode.name
        """What a dictation is called in the conversation."""
        self._dictations: dict[int, float] = {}  # turns, and how many seconds were said in them
        self._translations: dict[int, list[brain.Translated]] = {}  # of dictations
        self._unspoken: set[str] = set()  # languages of which it was said that there is no voice
        self._most: dict[int, int] = {}  # samples that a recording may have, where the model can't hear more
        self._spoken: dict[int, Sound] = {}  # questions whose words are not known for sure

    @property
    def state(self) -> State:
        """Where the present turn stands."""
        return self._state

    def talk(self) -> None:
        """The key was pressed: listen, or that was all."""
        now = time.monotonic()
        self._step(turn.Listen())
        if self._state.phase is Phase.LISTENING:
            self._note(self._state.turn, "ended" if self._state.closing else "pressed", now)
        if self._state.turn in self._recordings and not self._state.closing:
            self._recordings[self._state.turn].held.set()

    def release(self, held: float) -> None:
        """The key was let go after so many seconds."""
        recording = self._recordings.get(self._state.turn)
        if recording is not None:
            recording.held.clear()
        now = time.monotonic()
        self._step(turn.Release(held))
        if self._state.closing:
            self._note(self._state.turn, "ended", now)

    def tap(self) -> None:
        """A button or a command that can't be held."""
        self.talk()
        self.release(0.0)

    def ask(self, question: Question, aloud: bool = False) -> None:
        """Answer a question that needs no listening."""
        now = time.monotonic()
        self._step(turn.Ask(question, aloud))
        self._note(self._state.turn, "ended", now)

    def play(self, what: Performance) -> None:
        """Speak a text or play recordings, as a turn that can be interrupted like any other."""
        self._step(turn.Play(what))

    def apply(self, settings: Settings) -> None:
        """Follow settings that may have changed: the devices."""
        self.ear.set(settings.sound.microphone, _preroll(settings))
        self._barge_in = settings.sound.barge_in

    def renew_devices(self) -> bool:
        """Have the system look for devices; False while one is in use. Takes a second; in any thread."""
        device, preroll = self.ear.chosen
        self.ear.set(device, False)
        self.mouth.rest()
        until = time.monotonic() + _RENEW
        while not (renewed := audio_devices.renew()) and time.monotonic() < until:
            time.sleep(0.05)  # until the ear's thread has closed the microphone
        self.ear.set(device, preroll)
        return renewed

    def set_hands_free(self, on: bool) -> None:
        """Listen again after each answer; silence ends each question, minutes of it end hands-free."""
        self._step(turn.HandsFree(on))

    def toggle_hands_free(self) -> None:
        """On if it is off, and the other way round."""
        self.set_hands_free(not self._state.hands_free)

    def stop(self) -> None:
        """Silence, and nothing more is written."""
        self._step(turn.Stop())

    def close(self) -> None:
        """End recordings, then the engine, then the voice. Takes seconds at most."""
        for recording in list(self._recordings.values()):
            recording.drop()
        self.ear.close()
        self.mouth.hush(self._state.turn)
        self.brain.close()
        self.mouth.close()

    def _step(self, event: turn.Event) -> None:
        before = self._state
        self._state, commands = turn.step(before, event)
        for command in commands:
            self._carry_out(command)
        if self._state != before:
            speaking = self._state.phase is Phase.SPEAKING and self._state.voice
            self._speaking = self._state.turn if speaking else self._speaking
            self.ear.watch(speaking and self._barge_in)
            self.ear.hold(self._state.hands_free)
            self.changed.emit(self._state)

    def _carry_out(self, command: turn.Command) -> None:
        match command:
            case turn.Record(number):
                self._record(number)
            case turn.EndRecording(number, keep):
                recording = self._recordings.get(number)
                if recording is not None:
                    recording.finish() if keep else recording.drop()
                if not keep:
                    self._recordings.pop(number, None)
                    self.brain.drop(number)
            case turn.Answer(number, question, aloud):
                self._answer(number, question, aloud)
            case turn.Perform(number, what):
                self._gate.run(
                    partial(self.mouth.perform, number, what),
                    lambda _: self._step(turn.Silent(number)),
                    partial(self._mute, number),
                )
            case turn.Cancel(number):
                self.brain.stop(number)
            case turn.Hush(number):
                heard = self.mouth.hush(number)
                if heard is not None:
                    self.brain.heard(number, heard)
                    self.interrupted.emit(number, heard)
                self._gate.run(partial(self.mouth.end, number))

    def _dictate(self, number: int) -> None:
        """Write down what is said, until the person ends it: the pieces are written while others are said."""
        recording = self._recordings[number] = Recording()
        gate, source, mode = self._gate, self.ear.listen(), self.mode
        self._dictations[number] = 0.0
        self.asked.emit(number, Question(self.wording(mode), mode=mode))
        self.brain.begin_captions(number, mode)

        def listen() -> None:
            with source:
                dictate(
                    source,
                    recording.ended,
                    on_piece=lambda piece: gate.post(lambda: self._dictated(number, piece, mode)),
                    on_draft=lambda draft: self.brain.understand(number, draft, final=False),
                    on_level=lambda dbfs: gate.post(lambda: self._heard_level(number, dbfs)),
                )

        def lost(error: AsideError) -> None:
            self._not_heard(number, error)
            self.brain.end_captions(number)

        def ended(_: None) -> None:
            if not self._dictations[number] and number == self._state.turn:
                self.problem.emit(_NOTHING)
            self._recordings.pop(number, None)
            self.brain.end_captions(number)
            self._step(turn.HeardNothing(number))

        gate.run(listen, ended, lost)

    def _dictated(self, number: int, piece: Sound, mode: Mode) -> None:
        self._dictations[number] += piece.seconds
        self.dictated.emit(number, piece)
        self.brain.caption(number, piece, mode)
        recording = self._recordings.get(number)
        enough = _ENOUGH if self._dictations[number] >= _DICTATION else None
        enough = _TOO_SLOW if self.brain.behind >= _BEHIND else enough
        if enough is not None and recording is not None and not recording.ended.is_set():
            recording.finish()
            self.problem.emit(enough)

    def _record(self, number: int) -> None:
        if self.mode.name != "chat":
            self._dictate(number)
            return
        patience = _LONG_SILENCE if self._state.hands_free else _SILENCE
        recording = self._recordings[number] = Recording(patience)
        gate, source = self._gate, self.ear.listen()
        self.brain.listen(number)

        def listen() -> Sound:
            with source:
                return recording.listen(
                    source,
                    lambda dbfs: gate.post(lambda: self._heard_level(number, dbfs)),
                    lambda draft, later: self.brain.understand(number, draft, final=False, later=later),
                    lambda window: self.brain.hear(number, window),
                )

        gate.run(listen, partial(self._heard, number), partial(self._not_heard, number))

    def _heard_level(self, number: int, dbfs: float) -> None:
        self._note(number, "recording")
        self.level.emit(dbfs)

    def _note(self, number: int, step: str, at: float | None = None) -> None:
        """A step of a turn has come, now or at that time."""
        for old in [one for one in self._times if one < number - 2]:
            del self._times[old]
        times = self._times.setdefault(number, Times())
        times.note(step, time.monotonic() if at is None else at)
        if step in ("sound", "written"):
            self.timed.emit(number, times)

    def _heard(self, number: int, sound: Sound) -> None:
        self._recordings.pop(number, None)
        self._note(number, "ended")
        if sound.is_silent:
            self.brain.drop(number)
            if number == self._state.turn and not self._state.hands_free:
                self.problem.emit(_NOTHING)
            self._step(turn.HeardNothing(number))
        else:
            most = self._most.pop(number, None)
            long = sound.samples.size > WINDOW_SAMPLES  # its beginning is with the model already
            said = Sound(trimmed(sound.samples[:most], beginning=not long), sound.rate)
            self._step(turn.Heard(number, replace(self.companions(), sounds=(said,))))

    def _interrupted(self) -> None:
        """Called by the ear's thread: somebody speaks while the answer is spoken."""
        number = self._speaking
        self.mouth.hush(number)
        self._gate.post(lambda: self._step(turn.SpokenTo(number)))

    def _lost(self, error: AsideError) -> None:
        """The microphone stopped working."""
        self._told = error
        self.problem.emit(error)

    def _enough(self, number: int, samples: int) -> None:
        """The model can't hear more: what was said until here is the question."""
        recording = self._recordings.get(number)
        if recording is not None and number not in self._most:
            self._most[number] = samples
            recording.finish()
            minutes = f"{samples / RATE / 60:.0f}"
            self.problem.emit(
                ContextError(
                    f"The model has no room for more than {minutes} min of speech, so these are answered.",
                    "To have more written down, choose that before you speak.",
                )
            )

    def _not_heard(self, number: int, error: AsideError) -> None:
        self._recordings.pop(number, None)
        self.brain.drop(number)
        if number == self._state.turn and error is not self._told:
            self.problem.emit(error)
        self._step(turn.HeardNothing(number))

    def _answer(self, number: int, question: Question, aloud: bool) -> None:
        self._note(number, "asked")
        self.asked.emit(number, question)
        if question.mode.name != "chat" and question.sounds:
            self.brain.ask(number, question)
            return
        if aloud:
            self._gate.run(
                partial(self.mouth.begin, number),
                lambda _: self.brain.ask(number, question),
                partial(self._voiceless, number, question),
            )
        else:
            self.brain.ask(number, question)
        if question.sounds and not question.text:
            self._spoken[number] = question.sounds[-1]

    def _voiceless(self, number: int, question: Question, error: AsideError) -> None:
        """There is no voice: the answer is written all the same."""
        self.problem.emit(error)
        self.brain.ask(number, question)
        self._step(turn.Silent(number))

    def _tell(self, event: BrainEvent) -> None:
        """An event of the brain's thread, in the GUI thread."""
        match event:
            case (
                brain.Loading()
                | brain.Loaded()
                | brain.LoadFailed()
                | brain.Forgot()
                | brain.Prepared()
                | brain.Sized()
            ):
                if isinstance(event, brain.Loaded):
                    self._gate.run(self.mouth.prepare)  # the first answer needn't wait for voice and speaker
                self.told.emit(event)
                return
            case brain.Enough(number, samples):
                self._enough(number, samples)
                return
            case brain.Understood(number, text, final):
                if number in self._dictations:
                    self.drafted.emit(text)
                elif number == self._state.turn or final:
                    self.understood.emit(number, text)
                return
            case brain.Translated(number):
                self._translations.setdefault(number, []).append(event)
                return
            case brain.Wrote(number) if number in self._dictations:
                self.drafted.emit("")
                self.told.emit(event)
                return
            case brain.Answered(number) | brain.Failed(number):
                self._dictations.pop(number, None)
                self._finish(number)
                self._note(number, "written")
                self.told.emit(event)
                self._step(turn.Written(number))
                self._speak_translation(number)
                return
        late = event.turn != self._state.turn or not self._state.writing
        if late and not isinstance(event, brain.Called | brain.Limited):
            return  # words of a turn that was stopped; what was done in it, a person must know
        if isinstance(event, brain.Wrote | brain.Asks | brain.Called):
            self._note(event.turn, "token")
            self._step(turn.Began(event.turn))
        if isinstance(event, brain.Wrote):
            self.mouth.push(event.turn, event.text)
        elif isinstance(event, brain.Asks):
            self.mouth.push(event.turn, f"{event.intent}\n")
        elif isinstance(event, brain.Called):
            self.mouth.push(event.turn, f"{event.result}\n")
        self.told.emit(event)

    def _speak_translation(self, number: int) -> None:
        """What was said in a dictation, in the other language, if there is a voice for it."""
        pieces = self._translations.pop(number, [])
        if not pieces:
            return
        speech = Speech(" ".join(one.text for one in pieces), pieces[0].language)

        def speak(can: bool) -> None:
            if can and self._state == State(Phase.IDLE, number):
                self.play(speech)
            elif not can and speech.language not in self._unspoken:
                self._unspoken.add(speech.language)
                self.problem.emit(
                    DeviceError(f"There is no voice for {speech.language}.", "The translation is only shown.")
                )

        self._gate.run(partial(self.mouth.speaks, speech.language), speak, self.problem.emit)

    def _finish(self, number: int) -> None:
        """All is written: wait for the voice, and find out what the question was."""
        if self._state.turn == number and self._state.voice:
            self._gate.run(
                partial(self.mouth.wait, number),
                lambda _: self._step(turn.Silent(number)),
                partial(self._mute, number),
            )
        sound = self._spoken.pop(number, None)
        if sound is not None:
            self.brain.understand(number, sound, final=True)

    def _mute(self, number: int, error: AsideError) -> None:
        if number == self._state.turn:
            self.problem.emit(error)
        self._step(turn.Silent(number))


def _preroll(settings: Settings) -> bool:
    """Not before the person has read that the microphone is kept open, and could say no."""
    return settings.privacy.preroll and settings.interface.welcomed
