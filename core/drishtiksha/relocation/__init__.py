"""Moving the bytes of a platform from one object store to another: `copying` tells the story, `command` is its door."""
