"""The stream between a client and the server: frames, tensors in chunks, sessions and connections."""
