"""The reference ML service: real detectors behind the ML contract, as a shared service or as a sidecar in a Job's pod.

`main` the command · `app` the HTTP door · `pool` and `worker` the processes that examine · `registry` the detectors.
It stands on the core and knows no other process.
"""
