"""What is to be said of a job: from what was observed to its status, and from two statuses to a story."""
