"""The coordinator: who trains on what, and what happens when someone is lost; decided without any I/O."""
