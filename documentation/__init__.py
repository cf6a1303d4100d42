"""Builds the documentation: the site, and the pages and pictures that are made from the code."""
