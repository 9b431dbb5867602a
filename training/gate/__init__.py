"""The gate: what refuses to be published, and why, each cause with its number.

Looked at before training: the data, beside what the version in production was made from. After the evaluation: the
order, beside the recipe in production, and whether a list is more its own customer's than another's. Before publishing:
the arrays. Being behind popularity is warned of and not refused, since popularity then orders the lists.

Why a version whose data was always old is not refused: a shop may load a history that ended long ago. Only a feed that
was fresh and has stopped is.
"""
