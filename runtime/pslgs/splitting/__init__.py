"""Splitting of a network at a named layer into a client part and a server part."""
