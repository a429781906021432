"""Hand-written answers per kind of fault, with labels decided before the scorer read them."""
