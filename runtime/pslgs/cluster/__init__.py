"""Jobs on a cluster as the command line sees them: status, logs, and the files of their runs."""
