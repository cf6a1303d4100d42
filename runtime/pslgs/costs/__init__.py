"""Traffic and time of a step, and the plan of a job: what it will do and cost before it runs."""
