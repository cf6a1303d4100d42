"""Who is who: certificates that name the server and every client of a job."""
