"""Evaluation of detectors on labelled files: `dataset` → `examiner` (child) → `study` → `figures` → `page`, `cards`."""
