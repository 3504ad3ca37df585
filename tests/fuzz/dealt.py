"""`python tests/fuzz/dealt.py FOLDER INPUTS SEED [BOMB…]`: inputs dealt by a seed, the same each time, with no guidance and no library.

First each seed as it is and the bombs that are named, then changed ones. The default tests run a few hundred of them.
"""

from __future__ import annotations

import faulthandler
import random
import sys
import warnings
from pathlib import Path

import booking
import mutation
import seeds
import target


def main() -> None:
    """Deal; the record lies in FOLDER."""
    folder, inputs, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    faulthandler.enable()
    warnings.simplefilter("ignore")
    target.PROVENANCE.load()
    book, drawn = booking.Book(folder), list(seeds.seeds().values())
    dealer = random.Random(seed)
    for data in (*drawn, *(seeds.bomb(name) for name in sys.argv[4:])):
        book.look(data)
    while book.inputs < inputs:
        book.look(mutation.mutated(dealer, dealer.choice(drawn), drawn))
    book.write()


if __name__ == "__main__":
    main()
