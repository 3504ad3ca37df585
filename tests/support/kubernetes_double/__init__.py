"""A Kubernetes API server that tells the truth and can be made to misbehave: the double of tests that make faults.

It speaks what our clients and Kopf speak, over real sockets, and makes pods and ends of Jobs as the controllers do. What it
says is pinned by one contract suite (tests/double/test_contract*.py) that the real API server passes too. `faults` says
how it may misbehave; it never does so by itself.
"""

from .faults import KINDS, Fault, Schedule
from .server import KubernetesDouble

__all__ = ["KINDS", "Fault", "KubernetesDouble", "Schedule"]
