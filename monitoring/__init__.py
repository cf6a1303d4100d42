"""What makes the dashboards and the list of metrics; none of it is shipped but what it writes."""
