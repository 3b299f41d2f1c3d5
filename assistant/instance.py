"""One Aside for each person: whoever takes the lock is the instance, everyone else talks to it.

The lock is the operating system's (`flock`), so a killed instance leaves none behind. The socket is in a
folder that only its owner may enter, and may be used by its owner alone. A request is one line, a word; so is
the answer. No Qt in here: the command line talks to the window without loading it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final, Literal, Self, cast, get_args

from models.errors import DeviceError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

Request = Literal[
    "show",
    "listen",
    "listen-transcribe",
    "listen-translate",
    "handsfree",
    "screenshot",
    "camera",
    "stop",
    "quit",
    "preferences",
]
REQUESTS: Final[tuple[Request, ...]] = get_args(Request)

_LONGEST: Final = 64  # bytes of a request or an answer
_PATIENCE: Final = 10.0  # s, for an instance that is just starting, or busy
_ACCEPT: Final = 0.2  # s between looks whether to end


def folder() -> Path:
    """Where lock and socket lie: the session's runtime folder, or one of the person's own. Makes it.

    Raises DeviceError if somebody else owns it.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    path = Path(runtime) / "aside" if runtime else Path(tempfile.gettempdir()) / f"aside-{_user()}"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
        if path.is_symlink() or found.st_uid != _user():
            raise DeviceError(f"The folder {path} belongs to somebody else.", "Remove it.")
        if found.st_mode & 0o077:
            path.chmod(0o700)
    except OSError as error:
        raise DeviceError(
            f"The folder {path} can't be used: {error.strerror or error}.", "Set XDG_RUNTIME_DIR to another."
        ) from error
    return path


class Instance:
    """This process is the one. `serve` lets others talk to it; `close` gives the place up."""

    def __init__(self, where: Path, lock: IO[bytes]) -> None:
        self._where = where
        self._lock = lock
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path = where / "socket"
        path.unlink(missing_ok=True)  # of one that was killed; the lock is ours
        before = os.umask(0o177)
        try:
            self._socket.bind(str(path))
        finally:
            os.umask(before)
        self._socket.listen(64)
        self._socket.settimeout(_ACCEPT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def serve(self, handle: Callable[[Request], None]) -> None:
        """Answer requests from now on; ``handle`` is called by a thread of this instance."""
        self._thread = threading.Thread(target=self._serve, args=(handle,), name="instance")
        self._thread.start()

    def close(self) -> None:
        """Answer no more, and let another be the one. Takes half a second at most."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(2 * _ACCEPT + 1.0)
        self._socket.close()
        with contextlib.suppress(OSError):
            (self._where / "socket").unlink(missing_ok=True)
        self._lock.close()

    def _serve(self, handle: Callable[[Request], None]) -> None:
        while not self._closed.is_set():
            try:
                caller, _ = self._socket.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            with caller, contextlib.suppress(OSError):  # a caller that hung up
                caller.settimeout(1.0)
                word = _line(caller)
                known = word in REQUESTS
                if known:
                    handle(cast("Request", word))
                caller.sendall(b"ok\n" if known else b"unknown\n")


def claim() -> Instance | None:
    """Become the instance; None if there is one already. Raises DeviceError."""
    where = folder()
    lock = (where / "lock").open("ab")
    if _locked(lock):
        try:
            return Instance(where, lock)
        except OSError as error:
            lock.close()
            raise DeviceError(f"The socket in {where} can't be made: {error.strerror or error}.") from error
    lock.close()
    return None


def tell(request: Request, patience: float = _PATIENCE) -> bool:
    """Ask the running instance for something; False if none runs. Raises DeviceError if it doesn't answer.

    An instance that is just starting has the lock before it has its socket: it is waited for.
    """
    where = folder()
    until = time.monotonic() + patience
    while True:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(max(0.1, until - time.monotonic()))
            try:
                connection.connect(str(where / "socket"))
                connection.sendall(request.encode() + b"\n")
                if _line(connection) == "ok":
                    return True
            except OSError:
                pass
        if not _held(where):
            return False
        if time.monotonic() > until:
            raise DeviceError("Aside is running but doesn't answer.", "End it and start it again.")
        time.sleep(0.05)


def _line(connection: socket.socket) -> str:
    """What stands before the end of the line; "" if it never comes."""
    data = b""
    while not data.endswith(b"\n") and len(data) <= _LONGEST:
        part = connection.recv(_LONGEST)
        if not part:
            break
        data += part
    return data.decode("ascii", "replace").strip()


def _held(where: Path) -> bool:
    """Whether somebody has the lock."""
    try:
        with (where / "lock").open("rb") as lock:
            return not _locked(lock)
    except FileNotFoundError:
        return False


if sys.platform == "win32":  # not tried; Python has no Unix sockets there, so `Instance` says what is missing

    def _user() -> int:
        return 0

    def _locked(lock: IO[bytes]) -> bool:
        try:
            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:

    def _user() -> int:
        return os.getuid()

    def _locked(lock: IO[bytes]) -> bool:
        """Take the lock, which lasts until the file is closed."""
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
