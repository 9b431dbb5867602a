"""The gate: what refuses to be published, and why, each cause with its number.

Looked at before training: the data, beside what the version in production was made from. After the evaluation: the
order, beside popularity, other customers' lists and the recipe in production. Before publishing: the arrays.

Why a version whose data was always old is not refused: a shop may load a history that ended long ago. Only a feed that
was fresh and has stopped is.
"""
