"""A seeded stateful test of the whole platform. `plan` draws what happens, `hands` does it, `company` keeps what was
promised, `weather` what was done to whom, `judge` compares both with what is there, `rounds` tells the story.

Not hypothesis: its replay and its shrinking run a history again and again and want each run to end alike. A round takes
minutes, and whether a kill comes before or after a commit is the machine's business: it would call every find flaky.
Here the plan is a pure function of the seed, printed line by line; `DRISHTIKSHA_SOAK_TRACE` runs a printed plan again,
also one from which a person has taken lines away.
"""
