"""What detectors see and hear with: weights, faces, landmarks, motion, speech, sound and its picture; one noun each.

Modules here take arrays and return arrays or plain values. They know nothing of results, findings or the service;
`detectors/` puts them together, `decode/` feeds them.
"""
