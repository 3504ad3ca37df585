"""Way in 1: REST, Socket.IO and the dispatcher in one process, the internal door of the runners in another."""
