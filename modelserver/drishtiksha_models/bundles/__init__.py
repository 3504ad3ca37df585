"""Other people's trained networks without code: a folder with an ONNX graph and a manifest becomes a detector.

`manifest` says what a bundle is, `folder` reads one safely, `graph` looks at the network before it runs, `network` runs
it, `sampling` and `steps` make its input, `detector` is what the registry gets, `golden` proves that it computes here
what it computed where it was made. `staging` copies whole bundles for the service; `scaffold`, `calibrating` and
`command` serve the person who makes one.
"""
