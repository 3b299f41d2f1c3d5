"""Aside without a screen: the engine, media, voice and the `aside` command."""

__version__ = "0.1.0"
