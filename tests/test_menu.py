"""The desktop entry: what it starts is really there."""

from __future__ import annotations

import configparser
import shlex
import subprocess
from xml.etree import ElementTree

from command import Aside


def test_the_entry_and_its_actions_start_aside(aside: Aside) -> None:
    done = aside("desktop", "--install")
    assert done.code == 0, done.err
    icon = aside.path("data/icons/hicolor/scalable/apps/aside.svg")
    file = aside.path("data/applications/aside.desktop")
    assert done.out.split() == [str(icon), str(file)]
    assert aside.names() == {path.relative_to(aside.folder).as_posix() for path in (icon, file)}
    assert ElementTree.parse(icon).getroot().tag.endswith("svg")
    entry = configparser.ConfigParser(interpolation=None)
    entry.optionxform = str  # type: ignore[assignment,method-assign] # keys are told apart by their case
    entry.read(file)
    main = entry["Desktop Entry"]
    actions = [f"Desktop Action {word}" for word in main["Actions"].strip(";").split(";")]
    assert set(actions) == set(entry.sections()) - {"Desktop Entry"}
    for section in ("Desktop Entry", *actions):
        words = [*shlex.split(entry[section]["Exec"]), "--help"]
        subprocess.run(words, check=True, capture_output=True, timeout=60)
    assert aside("desktop", "--install").code == 0  # again
