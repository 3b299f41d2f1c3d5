"""The tools that the model may call, run on this machine: checked, and with an effect confirmed."""
