"""The microphone, the speaker, and the voice that reads replies aloud."""
