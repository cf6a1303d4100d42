"""The cluster's API, by Kubernetes' own asynchronous client."""
