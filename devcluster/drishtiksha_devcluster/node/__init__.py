"""A process node: a Kubernetes Node whose pods are local processes (no containers, no root).

It registers itself, keeps its lease, takes the pods that the real scheduler binds to it, runs them as processes of
this machine and reports their status as a kubelet would. It honours exactly the fields that the platform's own
manifests use (`fields`); any other field makes the pod fail by name. It is a tool for one machine and for tests:
it isolates nothing, and its pods run as the user of the node, whatever their security context says.

Read `node` for the whole, `pod` for the life of one pod.
"""
