"""Where a package is written before it is finished: all of it appears at its destination, or nothing.

Beside the destination lies a hidden folder ``.NAME.????????.part`` with ``new``, the package in the making,
and, while an older package is being replaced, ``old``. Its builder holds a lock on it. A builder that was
killed holds none: the next one for the same destination removes what is left, and puts an older package back
that had been moved aside.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from models.errors import PackageError

if sys.platform != "win32":
    import fcntl

_REASONS: Final = {
    errno.ENOSPC: ("the disk is full", "Free some space and try again."),
    errno.EDQUOT: ("your quota of disk space is used up", "Free some space and try again."),
    errno.EACCES: ("you may not write there", "Choose another folder."),
    errno.EPERM: ("you may not write there", "Choose another folder."),
    errno.EROFS: ("the disk is read-only", "Choose another folder."),
    errno.EFBIG: ("a file is too large for this disk", "Choose another disk: FAT32 takes 4 GB a file."),
    errno.EEXIST: ("something else is in the way", "Choose another folder."),
    errno.ENOTDIR: ("something else is in the way", "Choose another folder."),
    errno.ENAMETOOLONG: ("the name is too long", "Choose a shorter one."),
}


def unwritable(folder: Path, error: OSError) -> PackageError:
    """The error that ``folder`` can't be written, with the reason in words."""
    reason, remedy = _REASONS.get(error.errno or 0, (error.strerror or str(error), "Check the disk."))
    return PackageError(f"{folder} can't be written: {reason}.", remedy)


class Staging:
    """A context manager: write into ``package``, then call ``publish``; without that nothing is left.

    Raises PackageError when ``out`` exists (unless ``replace``, and only a package is replaced), and OSError.
    """

    def __init__(self, out: Path, replace: bool) -> None:
        self.out = out
        self.replace = replace
        self._folder: Path | None = None
        self._lock: int | None = None
        self._check_destination()

    def __enter__(self) -> Staging:
        self.out.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(self.out)
        self._check_destination()
        try:
            self._make_folder()
        except BaseException:  # Ctrl-C too: nobody else would remove the folder
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder:
            _discard(self._folder, self._lock)

    def _make_folder(self) -> None:
        """Make the hidden folder, lock it, and make ``package`` in it."""
        while True:
            folder = self._folder = self.out.parent / f".{self.out.name}.{secrets.token_hex(4)}.part"
            folder.mkdir(mode=0o700)
            try:
                self._lock = _lock(folder)
            except (BlockingIOError, FileNotFoundError):
                continue  # another builder took it for a leftover before it was locked
            if self._lock is None or _is(folder, self._lock):
                break
            os.close(self._lock)
            self._lock = None
        self.package = folder / "new"
        self.package.mkdir()

    def _check_destination(self) -> None:
        if not os.path.lexists(self.out):
            return
        if not self.replace:
            raise PackageError(
                f"{self.out} exists already.", "Choose another folder or ask for it to be replaced."
            )
        if not (self.out / "aside.json").is_file():
            raise PackageError(
                f"{self.out} is no package that Aside has built, so it is not replaced.",
                "Choose another folder.",
            )

    def publish(self, check: Callable[[], None] = lambda: None) -> None:
        """Write everything through to the disk, calling ``check`` for each file, and rename it to ``out``."""
        for path in sorted(self.package.iterdir()):
            check()
            with path.open("r+b") as file:
                os.fsync(file.fileno())
        _sync_folder(self.package)
        check()
        self._check_destination()
        if not self.out.exists():
            self.package.rename(self.out)
        else:
            kept = self.out.rename(self.package.with_name("old"))
            try:
                self.package.rename(self.out)
            except OSError:
                kept.rename(self.out)
                raise
        _sync_folder(self.out.parent)


def _is(folder: Path, lock: int) -> bool:
    """Whether a locked number is the folder of that name."""
    return folder.exists() and os.fstat(lock).st_ino == folder.stat().st_ino


def _lock(folder: Path) -> int | None:
    """Lock a folder until the number is closed or this process ends; None where there are no locks.

    Raises BlockingIOError when another process holds it.
    """
    if sys.platform == "win32":
        return None
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(number)
        if isinstance(error, BlockingIOError):
            raise
        return None
    return number


def _remove_leftovers(out: Path) -> None:
    """Remove the hidden folders of killed builders; without locks nobody can tell, and they stay."""
    name = re.compile(re.escape(f".{out.name}.") + r"[a-z0-9_]{8}\.part")
    for folder in [f for f in out.parent.iterdir() if name.fullmatch(f.name)]:
        try:
            lock = _lock(folder)
        except OSError:
            continue
        if lock is None:
            continue
        if (folder / "old").is_dir() and not os.path.lexists(out):
            (folder / "old").rename(out)
        _discard(folder, lock)


def _discard(folder: Path, lock: int | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if lock is not None:
        os.close(lock)


def _sync_folder(folder: Path) -> None:
    """Write a folder's list of names through to the disk, where the system can."""
    if sys.platform == "win32":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems
            raise
    finally:
        os.close(number)
