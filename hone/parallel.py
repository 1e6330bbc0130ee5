"""Work done on an executor, each piece for itself: what raises, or kills its worker, costs no other piece."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from typing import TypeVar

from hone.errors import MachineError, of_the_machine, without_secrets

A = TypeVar("A")
B = TypeVar("B")
WORKER_DIED = "the worker process died of it (killed, out of memory, or beyond train.limits)"


def settle(function: Callable[[A], B], items: Sequence[A], executor: Executor) -> Iterator[tuple[A, B | Exception]]:
    """Yield every item with what `function` returned for it, or the exception it raised, as they arrive.

    When a worker dies, its pool breaks and takes innocent work along. All that was lost is tried again one at a
    time, so that the guilty item is found, which gets a BrokenExecutor, and the others are kept.

    Raises MachineError if the machine failed an item, by a full disk for example: a result that lacks it would be
    another one than where there was room.
    """
    futures: dict[Future[B], A] = {}
    lost = []
    for item in items:
        try:
            futures[executor.submit(function, item)] = item
        except BrokenExecutor:
            lost.append(item)
    for future in as_completed(futures):
        error = future.exception()
        if isinstance(error, BrokenExecutor):
            lost.append(futures[future])
        elif isinstance(error, Exception):
            yield futures[future], _of_the_item(error)
        else:
            yield futures[future], future.result()
    for item in (item for item in items if item in lost):
        try:
            yield item, executor.submit(function, item).result()
        except Exception as error:
            yield item, _of_the_item(error)


def _of_the_item(error: Exception) -> Exception:
    """Return an error that an item is to blame for; raise MachineError if it is not."""
    if isinstance(error, MachineError):
        raise error
    if isinstance(error, OSError) and (failed := of_the_machine(error)) is not None:
        raise failed from error
    return error


def reason(error: Exception) -> str:
    """Return why an item failed, in one line that anybody may see."""
    text = WORKER_DIED if isinstance(error, BrokenExecutor) else f"{type(error).__name__}: {error}"
    return without_secrets(" ".join(text.split()))[:500]
