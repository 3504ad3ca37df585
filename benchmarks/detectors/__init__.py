"""What each detector costs on media made on the spot: CPU seconds and peak memory, one process per measurement.

`run.py` is the command, `made.py` draws the media, `one.py` is the measured process, `page.py` writes docs/detectors/cost.md.
"""
