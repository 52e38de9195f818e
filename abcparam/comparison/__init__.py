"""Two parametrizations beside each other: gauges, differences, the plane between them."""
