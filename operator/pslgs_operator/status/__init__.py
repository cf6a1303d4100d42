"""The status of a job: what is said of it, and how that is found out."""
