"""A client's samples: formats, transforms, local batches and their order."""
