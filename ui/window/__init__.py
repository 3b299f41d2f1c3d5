"""The main window: conversations at the left, the composer below, cards and the camera above it."""
