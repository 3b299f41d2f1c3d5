"""For those who work on Aside: the gallery and the benchmark of the window."""
