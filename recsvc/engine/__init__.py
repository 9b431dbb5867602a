"""Pure judgement: which items, which order, which offer. Arrays in, arrays out; time is an argument."""
