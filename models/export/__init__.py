"""Turns a checkpoint into a package for ONNX Runtime: four graphs, streamed, without torch."""

from models.export.build import Card, build
from models.export.plan import PLANS, PrecisionPlan
from models.export.quantize import Precision
from models.export.text import TextPrecision

__all__ = ["PLANS", "Card", "Precision", "PrecisionPlan", "TextPrecision", "build"]
