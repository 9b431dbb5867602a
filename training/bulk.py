"""Bulk reads through ADBC: the database's own driver hands out Arrow batches, and no row becomes a Python object.

1.46 million interactions become a log in 2.1 s from SQLite and 1.4 s from Postgres; through SQLAlchemy it took
5.5 s and 15 s.

SQLite is read by a process of its own. The ADBC driver brings its own copy of SQLite, and two copies in one process
do not see each other's locks: when the one closes, it takes itself for the last, removes the write-ahead log under
the other, and what the other commits then is lost (seen in a test, and in SQLite's "How to corrupt", section 2.2.1).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import adbc_driver_manager
import adbc_driver_postgresql.dbapi
import adbc_driver_sqlite.dbapi
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from recsvc.errors import Unavailable
from recsvc.store.customers import customers
from recsvc.store.interactions import interactions as table
from recsvc.store.sessions import sessions

_WORDS = ("customer_id", "reason", "order_id", "channel")
# Kinds of which the subject is read: it stands within the details, which most interactions do without.
_WITH_SUBJECT = ("complaint",)


def interactions(engine: sa.Engine, up_to: int) -> Iterator[pa.RecordBatch]:
    """Yield customer_id, item_id, kind, occurred_at, stars (0: none), reason, order_id, channel, quantity and subject
    of all interactions with an item up to a revision, in the order of their numbers, but not of customers who want no
    profile.

    A session that was merged is its customer's; one that was not is nobody's, as is an order that names none: their
    customer_id is null.

    Raises:
        Unavailable: the database cannot be read now.
    """
    t = table.c
    # SQLite's columns have no type: the driver infers one from the first rows, and those may all be NULL.
    who = sa.func.coalesce(t.customer_id, sessions.c.customer_id, "").label("customer_id")
    words = [sa.func.coalesce(t[name], "").label(name) for name in _WORDS[1:]]
    stars = sa.func.coalesce(t.stars, 0).label("stars")
    quantity = sa.func.coalesce(t.quantity, 1).label("quantity")
    details = sa.case((t.kind.in_(_WITH_SUBJECT), sa.func.coalesce(sa.cast(t.details, sa.Text), "")), else_="")
    unprofiled = sa.select(customers.c.customer_id).where(customers.c.profiling.is_(False))
    query = (
        sa.select(who, t.item_id, t.kind, t.occurred_at, stars, *words, quantity, details.label("details"))
        .outerjoin(sessions, sessions.c.session_id == t.session_id)
        .where(t.revision <= up_to, t.item_id.is_not(None), who.not_in(unprofiled))
        .order_by(t.revision)
    )
    text = str(query.compile(engine, compile_kwargs={"literal_binds": True}))
    for batch in _sqlite(engine.url, text) if engine.dialect.name == "sqlite" else _postgres(engine.url, text):
        for name in _WORDS:
            column = batch[name]
            known = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
            batch = batch.set_column(batch.schema.get_field_index(name), name, known)  # noqa: PLW2901 column by column
        yield batch.set_column(batch.schema.get_field_index("details"), "subject", _subjects(batch["details"]))


def _subjects(details: pa.Array) -> pa.Array:
    """Return the subject that each of the details, as JSON, names; null for none."""
    said = details.dictionary_encode()
    found = [json.loads(text).get("subject") if text else None for text in said.dictionary.to_pylist()]
    return pa.array(found, pa.string()).take(said.indices)


def _postgres(url: sa.URL, text: str) -> Iterator[pa.RecordBatch]:
    # One statement reads everything, and may take its time. libpq does not read `+` as a space.
    given = url.set(drivername="postgresql").update_query_dict({"options": "-c statement_timeout=0"})
    place, _, query = given.render_as_string(hide_password=False).partition("?")
    try:
        with (
            closing(adbc_driver_postgresql.dbapi.connect(f"{place}?{query.replace('+', '%20')}")) as connection,
            closing(connection.cursor()) as cursor,
        ):
            cursor.execute(text)
            yield from cursor.fetch_record_batch()
    except (adbc_driver_manager.Error, OSError) as error:
        raise Unavailable(f"the database cannot be read: {error}") from error


def _sqlite(url: sa.URL, text: str) -> Iterator[pa.RecordBatch]:
    command = [sys.executable, "-m", "training.bulk", str(Path(url.database or "").absolute()), text]
    root = str(Path(__file__).parents[1])
    # -m looks in the working directory first, and it must find this program there, whoever calls it.
    child = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None and child.stderr is not None
    with child:
        try:
            with pa.ipc.open_stream(child.stdout) as stream:
                yield from stream
        except (pa.ArrowInvalid, OSError) as error:
            raise Unavailable(f"the database cannot be read: {child.stderr.read().decode()[-500:]}") from error
    if child.returncode:
        raise Unavailable("the database cannot be read to its end")


def _main(path: str, text: str) -> None:
    """Write the rows of a query on a SQLite file to the standard output, as an Arrow stream."""
    with closing(adbc_driver_sqlite.dbapi.connect(path)) as connection, closing(connection.cursor()) as cursor:
        cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": "65536"})
        cursor.execute(text)
        reader = cursor.fetch_record_batch()
        with pa.ipc.new_stream(sys.stdout.buffer, reader.schema) as out:
            for batch in reader:
                out.write_batch(batch)


if __name__ == "__main__":
    _main(*sys.argv[1:])
