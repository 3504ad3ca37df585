"""One module here is one detector, which it offers as `DETECTOR`; `registry.py` finds it, nothing else names it."""
