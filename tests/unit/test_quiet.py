"""The moment when every task waits: found on a quiet loop, and in bounded time on a busy one."""

import asyncio

from engine.quiet import MAX_TURNS, quiet


async def test_it_comes_when_every_task_waits() -> None:
    """Tasks that take several turns to come to rest are let come to rest first."""
    happened: list[str] = []

    async def restless(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        happened.append(f"rest after {turns}")
        await asyncio.Event().wait()

    tasks = [asyncio.create_task(restless(turns)) for turns in (3, 20)]
    done = asyncio.Event()
    quiet().call(lambda: happened.append("quiet"))
    quiet().call(done.set)
    await done.wait()
    assert happened == ["rest after 3", "rest after 20", "quiet"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_it_comes_after_a_bounded_wait_on_a_busy_loop() -> None:
    """A task that never rests delays it by so many turns and no more."""
    turns = 0
    done = asyncio.Event()

    async def spins() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(spins())
    await asyncio.sleep(0)
    began = turns
    quiet().call(done.set)
    await task
    assert MAX_TURNS <= turns - began <= MAX_TURNS + 2


async def test_many_who_wait_do_not_keep_each_other_waiting() -> None:
    """A hundred waiters on a quiet loop are called in the same turn, in the order in which they asked."""
    called: list[int] = []
    done = asyncio.Event()
    for number in range(100):
        quiet().call(lambda number=number: called.append(number))
    quiet().call(done.set)
    await done.wait()
    assert called == list(range(100))


def test_there_is_one_a_loop() -> None:
    """Attempts of one loop share it, another loop has its own, and a closed loop's is let go."""

    async def mine() -> tuple[int, int]:
        return id(quiet()), id(quiet())

    first = asyncio.run(mine())
    assert first[0] == first[1]
