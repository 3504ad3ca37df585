"""Every external call of the platform, and what happens when it goes wrong.

`wire` records calls and injects one fault; `postgres`, `kubernetes`, `objects`, `redis`, `http` and `child` wrap the
clients; `house` puts a whole platform together in one process; `stories` are what is done with it; `points` repeats
them once per call and kind of fault.
"""
