"""The witness: asks Postgres, Kubernetes and the object store whether every invariant holds, and changes nothing.

`audit` tells the story (look, and look again at what may heal); `catalogue` names the checks; `rows`, `attempts`, `told`,
`wishes`, `cluster` and `stored` are the checks, pure but for the reading of bytes; `report` says what was found.
"""
