"""The layers of the gate, cheapest first; each judges the same sources in its own way."""
