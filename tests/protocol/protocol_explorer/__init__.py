"""An explicit-state explorer of the protocol: every order of steps of small worlds, on the platform's own decisions.

`state` is what a world looks like; `rows` are the database's verbs over it, `cluster` is Kubernetes, `people` are
users, pods and time. `program` runs the operator's and the dispatcher's production coroutines one call at a time,
`operator_side` and `dispatcher_side` build them over this world. `worlds` say what may happen, `invariants` what must
hold, `search` explores, `mutants` break one thing each.
"""
