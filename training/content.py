"""Content: what the catalogue says of items, where nobody has said anything with their money yet.

An item that nobody bought has no customers to be like, but it has categories and a brand, and those have items that
people know. So it stands, in the factors, where the items with its words stand on average.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from recsvc.artifact import Array

_SHRINK = 5.0


@dataclass(frozen=True, slots=True)
class Content:
    """What the catalogue says of the items of a log.

    words: (items, w) float32 matrix of ones: their categories and brand. group: (items,) int32, the narrowest
    category, −1 for none. new: (x,) int32 codes of the items that nobody did anything with.
    """

    words: sparse.csr_matrix
    group: Array
    new: Array


def of_catalogue(item_ids: list[str], rows: Iterable[Any], since: float) -> tuple[list[str], Content]:
    """Return the ids with those of new items behind them, and the content of all.

    Args:
        item_ids: of a log, in the order of its codes.
        rows: of the catalogue, with item_id, categories, brand, active and created_at (microseconds).
        since: epoch seconds; an item that nobody bought is new when it was created then or later and has a word.
    """
    code = {item_id: n for n, item_id in enumerate(item_ids)}
    ids, words, found, groups = list(item_ids), dict[str, int](), list[tuple[int, int]](), dict[int, int]()
    for row in sorted(rows, key=lambda row: row.item_id):
        said = [f"c:{name}" for name in row.categories or []] + ([f"b:{row.brand}"] if row.brand else [])
        at = code.get(row.item_id)
        if at is None:
            if not (said and row.active and row.created_at is not None and row.created_at / 1e6 >= since):
                continue
            at = len(ids)
            ids.append(row.item_id)
        marks = [words.setdefault(word, len(words)) for word in dict.fromkeys(said)]
        found += [(at, mark) for mark in marks]
        if row.categories:
            groups[at] = words[f"c:{row.categories[-1]}"]
    where = np.array(found, np.int64).reshape(-1, 2)
    shape = (len(ids), max(len(words), 1))
    matrix = sparse.csr_matrix((np.ones(len(where), np.float32), (where[:, 0], where[:, 1])), shape=shape)
    group = np.full(len(ids), -1, np.int32)
    group[list(groups)] = list(groups.values())
    return ids, Content(matrix, group, np.arange(len(item_ids), len(ids), dtype=np.int32))


def filled(factors: Array, words: sparse.csr_matrix, known: Array) -> Array:
    """Return (n, k) factors in which the items that nobody knows stand where the items with their words stand.

    A word's place is the sum of its items' factors over their number and five more, so a word of one item says
    little; an item's is the mean of its words' places, the rarer of which count more.

    Args:
        words: (n, w) of ones.
        known: (n,) bool; the factors of the others are taken from their words, zeros where they have none.

    Source:
        Gantner et al. 2010, Learning Attribute-to-Feature Mappings, https://doi.org/10.1109/ICDM.2010.129, its mapping
        by neighbours with words in the place of neighbours
    """
    out = np.where(known[:, None], factors, np.float32(0.0))
    count = np.asarray(words[known].sum(axis=0)).ravel()
    place = (words[known].T @ factors[known]) / (count + _SHRINK)[:, None]
    rare = sparse.diags(np.log1p(known.sum() / (count + 1.0)))
    weighted = words[~known] @ rare
    whole = np.maximum(np.asarray(weighted.sum(axis=1)).ravel(), 1e-9)
    out[~known] = (weighted @ place) / whole[:, None]
    return np.asarray(out, np.float32)
