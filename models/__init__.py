"""Phi-4-multimodal as files: checkpoints, packages, the exporter, the front end and the nano model."""
