"""What runs behind the window: engine, microphone, voice and history, each in a thread of its own."""
