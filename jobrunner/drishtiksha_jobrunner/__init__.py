"""The runner: one process, one attempt, one result, an exit code.

It knows the internal door and the ML service, and nothing else: no database, no Redis, no Kubernetes, no storage.
Of the core it imports the standard-library part only, so that a thousand small pods start fast and stay small.
"""
