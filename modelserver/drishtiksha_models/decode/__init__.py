"""Reading untrusted media under limits: pictures, sound and frames, one module each; used by detectors only."""
