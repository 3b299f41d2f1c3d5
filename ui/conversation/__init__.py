"""The conversation as it is read, and what can be done with a message."""
