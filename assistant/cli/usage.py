"""`aside usage`: what of the machine was used, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from assistant import usage as log
from assistant.cli import options
from assistant.cli.console import Output
from assistant.packages import data_folder


def usage(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    words = options.parser(
        "usage",
        "Show when microphone, camera, screen and network were used.",
        "  aside usage\n  aside usage --json",
    )
    options.add_json(words)
    given = words.parse_args(list(arguments))
    uses = list(log.read(data_folder() / log.FILE))
    output = Output(given.json)
    output.json([asdict(use) for use in uses])
    for use in uses:
        began = datetime.fromtimestamp(use.began).astimezone()
        lasted = f"{use.ended - use.began:.1f} s"
        output.line(f"{began:%Y-%m-%d %H:%M:%S}  {lasted:>9}  {use.kind:<10}  {use.name}".rstrip())
    if not uses:
        output.line("Nothing was used yet.")
    return 0
