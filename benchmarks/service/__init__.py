"""What the model service as a whole gives: from the start to ready, and requests per second of many clients.

`run.py` is the command, `stage.py` the served process, `clients.py` those who ask, `page.py` a part of docs/performance.md.
"""
