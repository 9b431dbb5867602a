"""What the service costs, measured: `make bench`. One file per noun; each has `rows(place)`, which yields `Row`s."""
