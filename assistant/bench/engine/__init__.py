"""`aside bench engine`: the engine beside onnxruntime-genai and llama.cpp, and the limits of the machine.

`prepare` builds what is measured, `run` measures it round by round with each contender in a process of its
own (`worker`, `contenders`), `findings` draws ratios from it, `chart` a picture.
"""
