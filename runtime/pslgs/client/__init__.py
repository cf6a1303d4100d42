"""The client process: executes the server's orders on its own data, and keeps no state between steps."""
