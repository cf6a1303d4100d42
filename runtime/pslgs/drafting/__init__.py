"""Drafts of manifests: what a data folder contains, what to choose for it, and the text of a manifest."""
