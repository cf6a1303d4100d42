"""The coordinator: decides what clients and server do, and how to react to lost clients, without any I/O."""
