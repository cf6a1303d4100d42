"""The server process: carries out what the coordinator decides, with torch and gRPC."""
