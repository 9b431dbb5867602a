"""How each library is asked: from a task and settings to what recommends.

Every function here fits one model as its library documents it and is started in that library's environment, hence the
imports inside. `rivals_tuning.py` holds the settings. Of a next basket nothing that was bought is filtered out: all of
these libraries offer that, and filtering loses most of the hits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.benchmarks.rivals_data import Ids, Recommend, Task, best

Settings = dict[str, Any]
_BLOCK = 512


def rp3beta(task: Task, settings: Settings) -> Recommend:
    from irspack import RP3betaRecommender

    values = dict(settings)
    matrix = task.matrix(values.pop("weight")).astype(np.float64)
    return _by_score(task, RP3betaRecommender(matrix, alpha=1, **values).learn())


def ials(task: Task, settings: Settings) -> Recommend:
    from irspack import IALSRecommender

    values = dict(settings)
    matrix = task.matrix(values.pop("weight")).astype(np.float64)
    return _by_score(task, IALSRecommender(matrix, train_epochs=16, random_seed=1, **values).learn())


def _by_score(task: Task, model: Any) -> Recommend:
    scores = model.get_score_remove_seen if task.masked else model.get_score

    def recommend(customers: Ids) -> Ids:
        blocks = np.array_split(customers, len(customers) // _BLOCK + 1)
        return np.concatenate([best(np.asarray(scores(block)), task.k) for block in blocks])

    return recommend


def implicit_als(task: Task, settings: Settings) -> Recommend:
    return _of_implicit(task, _als(settings), settings["weight"])


def implicit_knn(task: Task, settings: Settings) -> Recommend:
    return _of_implicit(task, _knn(settings), settings["weight"])


def _of_implicit(task: Task, model: Any, weight: str) -> Recommend:
    from threadpoolctl import threadpool_limits

    matrix = task.matrix(weight)
    # implicit has threads of its own and warns that those of the linear algebra get in their way.
    with threadpool_limits(1, "blas"):
        model.fit(matrix, show_progress=False)

    def recommend(customers: Ids) -> Ids:
        lists, scores = model.recommend(customers, matrix[customers], N=task.k, filter_already_liked_items=task.masked)
        # Where too few are left, filtered items stand at the end with the lowest number there is.
        return np.where(scores > np.finfo(np.float32).min, lists, -1)

    return recommend


def _als(settings: Settings) -> Any:
    from implicit.als import AlternatingLeastSquares

    values = {name: value for name, value in settings.items() if name != "weight"}
    return AlternatingLeastSquares(iterations=10, random_state=1, **values)


def _knn(settings: Settings) -> Any:
    from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender

    kinds = {"cosine": CosineRecommender, "tfidf": TFIDFRecommender, "bm25": BM25Recommender}
    values = {name: value for name, value in settings.items() if name not in {"weight", "kind"}}
    return kinds[settings["kind"]](**values)


def rectools_als(task: Task, settings: Settings) -> Recommend:
    from rectools.models import ImplicitALSWrapperModel

    return _of_rectools(task, ImplicitALSWrapperModel(_als(settings)), settings["weight"])


def rectools_knn(task: Task, settings: Settings) -> Recommend:
    from rectools.models import ImplicitItemKNNWrapperModel

    return _of_rectools(task, ImplicitItemKNNWrapperModel(_knn(settings)), settings["weight"])


def _of_rectools(task: Task, model: Any, weight: str) -> Recommend:
    import pandas as pd
    from rectools import Columns
    from rectools.dataset import Dataset
    from threadpoolctl import threadpool_limits

    matrix = task.matrix(weight).tocoo()
    columns = {Columns.User: matrix.row, Columns.Item: matrix.col, Columns.Weight: matrix.data}
    dataset = Dataset.construct(pd.DataFrame({**columns, Columns.Datetime: pd.Timestamp(2020, 1, 1)}))
    with threadpool_limits(1, "blas"):
        model.fit(dataset)

    def recommend(customers: Ids) -> Ids:
        found = model.recommend(
            customers, dataset, k=task.k, filter_viewed=task.masked, on_unsupported_targets="ignore"
        )
        row = np.searchsorted(customers, found[Columns.User].to_numpy())
        lists = np.full((len(customers), task.k), -1)
        lists[row, found[Columns.Rank].to_numpy() - 1] = found[Columns.Item].to_numpy()
        return lists

    return recommend


def gp_top(task: Task, settings: Settings) -> Recommend:
    from cornac.models import GPTop

    return _of_cornac(task, GPTop(**settings))


def up_cf(task: Task, settings: Settings) -> Recommend:
    import similaripy
    from cornac.models import UPCF
    from scipy import sparse

    cosine = getattr(similaripy.asymmetric_cosine, "inner", similaripy.asymmetric_cosine)

    # cornac takes row 0 of the result as a matrix of one row, as sparse matrices give it; the similaripy that installs
    # today returns sparse arrays, whose row 0 has one dimension, and ends the process on being given it.
    def as_matrix(*given: Any, **named: Any) -> Any:
        return sparse.csr_matrix(cosine(*given, **named))

    as_matrix.inner = cosine  # type: ignore[attr-defined]

    class OfSets(UPCF):  # type: ignore[misc]
        """UP-CF that looks items up in sets, not in arrays: the same lists, sooner where baskets are many."""

        def _get_user_wise_popularity(self, basket_items: Any) -> Any:
            return super()._get_user_wise_popularity([set(np.asarray(one).tolist()) for one in basket_items])

    similaripy.asymmetric_cosine = as_matrix
    return _of_cornac(task, OfSets(**settings))


def _of_cornac(task: Task, model: Any) -> Recommend:
    from cornac.data import BasketDataset

    lines = task.history
    # A basket's id must say whose it is; cornac keeps customers, baskets and items in the order in which they come.
    baskets = lines.customer * (lines.basket.max() + 1) + lines.basket
    dataset = BasketDataset.from_ubi(
        list(zip(lines.customer.tolist(), baskets.tolist(), lines.item.tolist(), strict=True))
    )
    model.fit(dataset)
    code = np.array(list(dataset.iid_map))
    known = np.fromiter(dataset.iid_map.values(), int)
    assert (known == np.arange(len(known))).all()
    at = {customer: history for (customer,), _, (history,) in dataset.ubi_iter()}

    def recommend(customers: Ids) -> Ids:
        lists = np.empty((len(customers), task.k), np.int64)
        for row, customer in enumerate(customers):
            user = dataset.uid_map[int(customer)]
            scores = np.asarray(model.score(user, [basket.tolist() for basket in at[user]]))
            lists[row] = code[best(scores[None], task.k)[0]]
        return lists

    return recommend
