"""Whether two mathematical answers are equivalent, without SymPy."""
