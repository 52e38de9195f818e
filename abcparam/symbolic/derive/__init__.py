"""Laws and regions in the symbols of a spec."""
