"""The routes: each turns the caller's words into ours, makes one call, and answers."""
