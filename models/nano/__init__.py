"""The nano model: how the embedded demonstration model is made, measured and published."""
