"""The settings while the window is open, and their own window."""
