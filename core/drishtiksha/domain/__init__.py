"""The product's knowledge as pure values and functions: standard library only, no clock, no I/O."""
