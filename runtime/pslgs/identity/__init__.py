"""Certificates that identify the server and the clients of a job."""
