"""The training configuration: `configs/training.yaml`, checked field by field."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recsvc.concepts import BLENDED, KINDS
from recsvc.errors import InvalidRequest

# By field of `generators`; what they are is in `training.models.registry`, which reads this module.
METHODS: Final = {"collaborative": ("als", "bpr"), "neighbours": ("graph", "ease", "bm25", "cosine")}
# Of a shop to which none can be fitted: on Ta-Feng and The Complete Journey none of the others was better.
VISIT_DECAY = 0.94
Weight = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, populate_by_name=True, serialize_by_alias=True)


class Source(_Strict):
    """Where the interactions come from; `from` in YAML."""

    origin: Literal["store", "files", "parquet", "sql"] = Field("store", alias="from")
    files: list[str] = []
    map: str | None = None
    folder: str | None = None
    url: str | None = None
    queries: dict[str, str] = {}
    time_zone: str | None = None
    bad_rows: Literal["refuse", "leave_out"] = "refuse"


class Split(_Strict):
    """Which days are held back."""

    test_days: int = Field(14, ge=1, le=365)
    customers: int = Field(15000, ge=1)
    min_customers: int = Field(20, ge=1)


class HistorySettings(_Strict):
    """How evidence ages."""

    taste_half_life_days: float = Field(180.0, ge=0.01, le=1e6)
    repeat_half_life_days: float = Field(75.0, ge=0.01, le=1e6)
    visit_decay: float | None = Field(None, gt=0, le=1)
    prior_visits: float = Field(10.0, gt=0, le=1e6)


class Generators(_Strict):
    """The methods, each one of `METHODS`."""

    collaborative: str = "als"
    neighbours: str = "graph"


class Als(_Strict):
    """Alternating least squares, by implicit."""

    factors: int = Field(256, ge=1, le=1024)
    iterations: int = Field(8, ge=1, le=200)
    regularization: float = Field(30.0, gt=0, le=1e6)
    alpha: float = Field(28.0, gt=0, le=1e6)


class Neighbours(_Strict):
    """The item–item graph."""

    keep: int = Field(500, ge=1, le=1000)
    exponent: float = Field(0.4, ge=0, le=1)
    min_customers: int = Field(2, ge=1, le=100)


class Ease(_Strict):
    """EASE."""

    regularization: float = Field(200.0, gt=0, le=1e9)


class Bm25(_Strict):
    """BM25, by implicit."""

    k1: float = Field(1.2, ge=0)
    b: float = Field(0.75, ge=0, le=1)


class Bpr(_Strict):
    """Bayesian personalised ranking, by implicit."""

    factors: int = Field(100, ge=1, le=1024)
    iterations: int = Field(30, ge=1, le=10000)
    learning_rate: float = Field(0.05, gt=0, le=1)
    regularization: float = Field(0.01, ge=0)


class Popularity(_Strict):
    """The popularity generator."""

    window_days: int = Field(28, ge=1, le=3650)


class Catalogue(_Strict):
    """What the catalogue says of items that nobody bought."""

    new_days: int = Field(60, ge=1, le=3650)


class Karma(_Strict):
    """How items are judged by how their orders ended; `engine.karma` says what is made of it."""

    shrink: float = Field(20.0, gt=0, le=1e6)
    force: float = Field(2.0, ge=0, le=100)
    banned_rate: float = Field(0.3, gt=0, le=1)
    banned_orders: float = Field(20.0, ge=1, le=1e9)
    returns: dict[str, Weight] = {
        "defective": 1.0, "damaged": 0.5, "not_as_described": 0.5, "disliked": 0.0, "wrong_size": 0.0, "other": 0.0,
    }  # fmt: skip
    complaints: dict[str, Weight] = {
        "defective": 1.0, "quality": 0.5, "not_as_described": 0.5, "delivery": 0.0, "wrong_size": 0.0, "other": 0.25,
    }  # fmt: skip
    reviews: dict[Annotated[int, Field(ge=1, le=5)], Weight] = {1: 0.5, 2: 0.25}
    defects: list[str] = ["defective"]


class Holdout(_Strict):
    """What is held back within the data to choose the blend and train the ranker on."""

    customers: int = Field(15000, ge=1)
    visits: int = Field(4, ge=1, le=20)
    share: float = Field(0.1, gt=0, lt=1)


class Lists(_Strict):
    """Finished lists."""

    depth: int = Field(100, ge=1, le=1000)


class Gate(_Strict):
    """What is refused; `training.gate` says why."""

    shrink: float = Field(0.3, ge=0, le=1)
    drop: float = Field(0.1, ge=0, le=1)
    max_age_days: float = Field(14.0, gt=0)


class Columns(_Strict):
    """Where a shop's own columns of one side come from: a file, attributes in the store, or a query; or none."""

    file: str | None = None
    query: str | None = None
    columns: list[str] = []
    attributes: list[str] = []


class Features(_Strict):
    """Columns of the shop's own that the ranker sees beside those of `engine.model.FEATURES`."""

    items: Columns = Columns()
    customers: Columns = Columns()


class Publish(_Strict):
    """What is kept of what was published."""

    keep: int = Field(5, ge=1, le=1000)


class Config(_Strict):
    """The whole file; the comments in `configs/training.yaml` say what each field does."""

    source: Source = Source()
    split: Split = Split()
    history: HistorySettings = HistorySettings()
    weights: dict[str, Annotated[float, Field(ge=-1e6, le=1e6)]] = Field(default_factory=dict)
    generators: Generators = Generators()
    als: Als = Als()
    neighbours: Neighbours = Neighbours()
    ease: Ease = Ease()
    bm25: Bm25 = Bm25()
    bpr: Bpr = Bpr()
    popularity: Popularity = Popularity()
    catalogue: Catalogue = Catalogue()
    karma: Karma = Karma()
    features: Features = Features()
    holdout: Holdout = Holdout()
    lists: Lists = Lists()
    publish: Publish = Publish()
    gate: Gate = Gate()
    blend: dict[str, Annotated[float, Field(ge=0, le=1e6)]] = Field(
        default_factory=lambda: {"collaborative": 0.05, "neighbours": 0.02, "repeat": 1.0, "popularity": 0.05}
    )
    seed: int = Field(1, ge=0)
    threads: int = Field(0, ge=0)


class _Loader(yaml.SafeLoader):
    """YAML in which a key stands once: of two the last would count, and nobody would know."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping.

        Raises:
            InvalidRequest: a key stands twice; it is named with its lines.
        """
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and lines.setdefault(key.value, line) != line:
                raise InvalidRequest(f"{key.value}: stands twice, in lines {lines[key.value]} and {line}")
        return super().construct_mapping(node, deep)


def load(path: Path) -> Config:
    """Return the configuration of a YAML file.

    Raises:
        InvalidRequest: unreadable, an unknown field (the nearest known one is named), or a value out of range.
    """
    try:
        content = _Loader(path.read_text(encoding="utf-8")).get_single_data() or {}
    except OSError as error:
        raise InvalidRequest(f"{path}: {error.strerror}") from None
    except InvalidRequest as error:
        raise InvalidRequest(f"{path}: {error.message}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path}: not YAML: {error}") from None
    if not isinstance(content, dict):
        raise InvalidRequest(f"{path}: must be a mapping of fields")
    try:
        config = Config.model_validate(content)
    except ValidationError as error:
        raise InvalidRequest("; ".join(_explain(path, one) for one in error.errors())) from None
    _check_names(path, config)
    _check_source(path, config.source)
    _check_features(path, config)
    missing = [name for name in BLENDED if name not in config.blend]
    if missing:
        raise InvalidRequest(f"{path}: blend.{missing[0]}: is missing")
    if not any(config.blend.values()):
        raise InvalidRequest(f"{path}: blend: all are 0, so nothing would be ordered; at least one must be more")
    return config


def _check_names(path: Path, config: Config) -> None:
    for name, given, known in (
        ("weights", config.weights, list(KINDS)),
        ("blend", config.blend, [str(name) for name in BLENDED]),
    ):
        for key in given:
            if key not in known:
                raise InvalidRequest(f"{path}: {name}.{key}: unknown{_nearest(key, known)}")
    for field, method in config.generators:
        if method not in METHODS[field]:
            raise InvalidRequest(f"{path}: {unknown_method(field, method)}")


_NEEDS: Final = {"store": None, "files": "files", "parquet": "folder", "sql": "url"}
_WITH: Final = {"files": {"files", "map", "time_zone", "bad_rows"}, "parquet": {"folder", "time_zone", "bad_rows"},
                "sql": {"url", "queries", "time_zone", "bad_rows"}, "store": set[str]()}  # fmt: skip


def _check_source(path: Path, source: Source) -> None:
    needed = _NEEDS[source.origin]
    if needed and not getattr(source, needed):
        raise InvalidRequest(f"{path}: source.{needed}: is missing, `from: {source.origin}` needs it")
    for name in source.model_fields_set - {"origin"} - _WITH[source.origin]:
        if getattr(source, name) != getattr(Source(), name):
            raise InvalidRequest(f"{path}: source.{name}: has no meaning with `from: {source.origin}`")
    for name in source.queries:
        if name != "interactions":
            raise InvalidRequest(f"{path}: source.queries.{name}: unknown{_nearest(name, ['interactions'])}")
    if source.origin == "sql" and "interactions" not in source.queries:
        raise InvalidRequest(f"{path}: source.queries.interactions: is missing, `from: sql` needs it")


def _check_features(path: Path, config: Config) -> None:
    for side, one in config.features:
        where = f"{path}: features.{side}"
        given = [name for name in ("file", "query", "attributes") if getattr(one, name)]
        if len(given) > 1:
            raise InvalidRequest(f"{where}: {' and '.join(given)}, must be one of them")
        if one.columns and given not in (["file"], ["query"]):
            raise InvalidRequest(f"{where}.columns: has no meaning without file or query")
        if one.query and config.source.origin != "sql":
            raise InvalidRequest(f"{where}.query: has no meaning with `source.from: {config.source.origin}`")
        for name in ("columns", "attributes"):
            twice = [column for column in getattr(one, name) if getattr(one, name).count(column) > 1]
            if twice:
                raise InvalidRequest(f"{where}.{name}: {twice[0]} stands twice")


def unknown_method(field: str, given: str) -> str:
    """Return the message about a method of `generators` that is none, with the known name most like it, or all."""
    return f"generators.{field}: {given}: unknown{_nearest(given, list(METHODS[field]))}"


def _explain(path: Path, error: object) -> str:
    assert isinstance(error, dict)
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        return f"{path}: {where}: {error['msg']}"
    model: type[BaseModel] = Config
    for part in error["loc"][:-1]:
        model = model.model_fields[str(part)].annotation  # type: ignore[assignment]
    known = [field.alias or name for name, field in model.model_fields.items()]
    return f"{path}: {where}: unknown{_nearest(str(error['loc'][-1]), known)}"


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {close[0]}?" if close else f", known are {', '.join(known)}"
