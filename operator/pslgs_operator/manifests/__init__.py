"""The objects that the operator makes for a job, as the API server is given them."""
