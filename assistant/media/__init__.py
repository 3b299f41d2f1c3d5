"""Files from anywhere, checked and turned into what the model takes: mono 16 kHz sound, RGB pictures."""
