"""What a run tells about itself: journal, metrics, status and the port that shows them."""
