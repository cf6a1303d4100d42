"""Reading the API's objects, as lists and watches show them, into the operator's values."""
