"""The Kubernetes operator of pslgs."""
