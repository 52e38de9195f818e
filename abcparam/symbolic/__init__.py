"""The scaling calculus with symbols in its exponents: the same rounds over max-plus polynomials."""
