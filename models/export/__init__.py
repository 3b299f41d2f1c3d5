"""Turns a checkpoint into a package for ONNX Runtime: four graphs, streamed, without torch."""
