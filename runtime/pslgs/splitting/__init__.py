"""A network cut in two at any named layer: the client part and the server part."""
