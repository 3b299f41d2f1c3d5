"""The engine: a conversation goes in, tokens come out, from a child process that owns the model."""
