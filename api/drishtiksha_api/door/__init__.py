"""The internal door: how runners get their work and hand in what they found. Never exposed outside the cluster."""
