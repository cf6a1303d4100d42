"""How a process of a job is asked to stop, and how it tells its errors."""
