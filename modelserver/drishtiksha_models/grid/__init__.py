"""What JPEG-GRID-V1 stands on: votes for grids (`votes`), their significance (`nfa`), places (`regions`), the last
save (`lastsave`) and the picture for the analyst (`picture`). Arrays in, values out; no files.
"""
