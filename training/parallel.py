"""Parallel: blocks of work in several processes, which share this one's arrays as they stand.

Why processes: one customer's list is some hundred small numpy calls, and threads would wait for the interpreter's lock
between them. Why by fork: what a block reads are gigabytes of arrays, and a fork shares them without a copy.

What a fork must not do is enter OpenMP after its parent did: the threads that it would wait for were not forked
(implicit, LightGBM). The work given here is the engine's, which is numpy alone.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

T = TypeVar("T")

# A fork costs some ten milliseconds, as much as a few blocks.
_WORTH = 8


def in_blocks(work: Callable[[int], T], count: int, workers: int) -> Iterator[T]:
    """Yield work(0), …, work(count − 1) in this order, computed in `workers` processes.

    Each block is computed alone, so the results do not depend on how many processes there are. In this process where
    blocks are few, and outside Linux, where a fork is not to be had or not safe.

    Args:
        work: from a block's number to what can be pickled; what it changes outside of that is lost.
        workers: 0 means one for each core.

    Raises:
        RuntimeError: a process ended before its work was done. What `work` itself raises is raised here.
    """
    workers = min(workers or _cores(), count)
    # Products of a few hundred rows: in two threads each they took three times the CPU, waiting for each other.
    with threadpool_limits(limits=1, user_api="blas"):
        if workers < 2 or count < _WORTH or not sys.platform.startswith("linux"):
            yield from map(work, range(count))
        else:
            yield from _shared(work, count, workers)


def _shared(work: Callable[[int], T], count: int, workers: int) -> Iterator[T]:
    pipes: list[Connection] = []
    children = []
    try:
        for first in range(workers):
            child, pipe = _started(work, range(first, count, workers), pipes)
            children.append(child)
            pipes.append(pipe)
        yield from _received(pipes, count)
    finally:
        for child in children:
            child.terminate()
            child.join()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform.startswith("linux") else 1


def _started(work: Callable[[int], Any], blocks: range, others: list[Connection]) -> tuple[Any, Connection]:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_run, args=(work, blocks, theirs, [*others, ours]), daemon=True)
    with warnings.catch_warnings():
        # Python 3.12 warns of any fork beside threads. The ones there are draw progress bars, or belong to libraries
        # that a child does not enter.
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    theirs.close()
    return child, ours


def _run(work: Callable[[int], Any], blocks: range, out: Connection, inherited: list[Connection]) -> None:
    """Send the results of some blocks; the last thing sent is the error, if there was one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends its children
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Nothing inherited is collected here, nor flushed at the end: to close a connection is for the process that opened
    # it, and a progress bar's lock may have been held by a thread that was not forked.
    gc.disable()
    # Else a child would not notice that the parent is gone, as its siblings would hold the other end.
    for pipe in inherited:
        pipe.close()
    try:
        for block in blocks:
            out.send((block, work(block), None))
    except BrokenPipeError:
        pass
    except Exception as error:
        out.send((-1, None, error))
    finally:
        os._exit(0)


def _received(pipes: list[Connection], count: int) -> Iterator[Any]:
    early: dict[int, Any] = {}
    open_pipes = list(pipes)
    for wanted in range(count):
        while wanted not in early:
            for pipe in wait(open_pipes):
                assert isinstance(pipe, Connection)
                try:
                    block, result, error = pipe.recv()
                except EOFError:
                    open_pipes.remove(pipe)
                    continue
                if error is not None:
                    raise error
                early[block] = result
            if not open_pipes and wanted not in early:
                raise RuntimeError(f"a process ended before block {wanted} of {count} was done; was memory short?")
        yield early.pop(wanted)
