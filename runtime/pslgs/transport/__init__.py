"""Transport between clients and the server: frames, tensors in chunks, and sessions over gRPC."""
