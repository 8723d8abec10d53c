"""An answer about a damaged checkpoint has no traces of other programs above it."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import closing

import jax
import jax.numpy as jnp
import pytest

from vitctl.checkpoints import arrays
from vitctl.checkpoints.event_loops import ended
from vitctl.errors import InputError
from vitctl.places.local import based

_READ_S = 0.2


def runs(error: type[BaseException]) -> tuple[list[str], float]:
    """What a read in a thread, that ends after another failed with `error`, has to say of the loop;
    and the seconds that all took."""
    complaints: list[str] = []
    threads: list[threading.Thread] = []

    async def read() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def in_thread() -> None:
            time.sleep(_READ_S)
            try:
                loop.call_soon_threadsafe(done.set_result, None)
            except RuntimeError as closed:
                complaints.append(str(closed))

        threads.append(threading.Thread(target=in_thread))
        threads[-1].start()
        await done

    async def fails() -> None:
        await asyncio.sleep(0)
        raise error

    async def both() -> None:
        await asyncio.gather(read(), fails())

    began = time.monotonic()
    loop = asyncio.new_event_loop()
    with pytest.raises(error), closing(loop):
        loop.run_until_complete(both())
    took = time.monotonic() - began
    for thread in threads:
        thread.join()
    return complaints, took


def test_a_loop_is_not_closed_under_a_read():
    assert runs(ValueError)[0] == ["Event loop is closed"]  # what asyncio does by itself
    with ended():
        complaints, took = runs(ValueError)
    assert complaints == []
    assert took >= _READ_S
    assert runs(ValueError)[0] == ["Event loop is closed"]


def test_after_ctrl_c_nothing_is_waited_for():
    with ended():
        complaints, _ = runs(KeyboardInterrupt)
    assert complaints == ["Event loop is closed"]  # the read was not waited for


def test_a_damaged_description_of_one_array_is_a_sentence_alone(tmp_path, capfd):
    tree = {f"a{number}": jnp.ones((64, 64)) for number in range(100)}
    arrays.save(based(tmp_path), parts={"params": tree}, position={})
    described = tmp_path / "params" / "a0" / "zarr.json"
    described.write_bytes(described.read_bytes().replace(b"float32", b"float99"))
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    like = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=here), tree)
    capfd.readouterr()
    for _ in range(3):
        with pytest.raises(InputError, match="is not a readable checkpoint"):
            arrays.restore(based(tmp_path), "params", like=like)
    assert "Event loop" not in capfd.readouterr().err
