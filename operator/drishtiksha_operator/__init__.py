"""The operator: Kopf as the ear, one `reconcile` as the story, `decide` and `manifests` pure."""

from . import lean_kopf  # noqa: F401  before any other module imports what it leaves out
