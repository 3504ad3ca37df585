"""The orchestration benchmark: N runs of three models through the platform beside the same runner as plain Jobs.

`story` tells it; `stage` is the cluster and the platform on it; `bare` and `through` are the two sides; `meters`,
`audit`, `live` and `first_request` measure; `targets` and `report` judge and write (pure).
"""
