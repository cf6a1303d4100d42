"""The client process: computes the client part on its own data, and keeps nothing between two steps."""
