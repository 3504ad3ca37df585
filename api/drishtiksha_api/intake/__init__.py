"""Taking in a file: parse the form, sniff, store and hash in one pass, then look inside in a sandboxed child."""
