"""How often Python looks for cyclic garbage, in processes that make many objects and few cycles: the worker, the lean door."""

import gc


def spare_garbage_collection() -> None:
    """Let Python look for cyclic garbage seldom, and never among what was loaded at the start.

    A page of a sync is hundreds of thousands of objects that hold no cycles; looking through them costs a tenth of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
