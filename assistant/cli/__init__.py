"""The `aside` command: everything that the engine can do, without a screen."""
