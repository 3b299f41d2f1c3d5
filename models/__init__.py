"""Phi-4-multimodal as files: checkpoints, packages, the exporter, the front end and the nano model."""

import os

# onnxruntime and genai keep a device id and events in the home folder, to be sent, unless this is set before
# they are imported. genai's disable_telemetry_events comes too late.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
