"""Rows to JSON, purely: what clients see of users, media, runs, analyses and events."""
