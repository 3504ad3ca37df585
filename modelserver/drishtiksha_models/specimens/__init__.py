"""Media made by code, for the demo and the detectors' cards: what each is, how it was made, what an honest detector says of it."""
