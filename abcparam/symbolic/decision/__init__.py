"""Whether linear conditions can hold together: clause learning over an exact simplex."""
