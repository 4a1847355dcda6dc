#!/usr/bin/env python3
"""Classes of priority in the line for slots: smaller ones first, and none starves."""

import threading
import time

from harness import main
from pool_case import PoolCase, backend, together


class Priorities(PoolCase):

    def test_R18_the_last_class_is_served_under_an_endless_flood_of_the_first(self):
        sim = self.sim("--slots", "1", "--ttft", "20ms", "--itl", "0", "--tokens", "3")
        for shards in (1, 3):
            # By the same model's line, and by that of another one on the same server.
            for models in (["m"], ["m", "n"]):
                gateway = self.gateway({name: {
                    "backends": [backend(sim, model="m")],
                    "queue": {"age": "100ms", "priority_header": "x-priority"},
                    "timeouts": {"queue": "30s"}} for name in models}, shards=shards)
                done = threading.Event()
                waits = []

                def client(index, gateway=gateway, done=done, models=models, waits=waits):
                    if index > 0:
                        while not done.is_set():
                            self.assert_served(self.ask(gateway, fields=["x-priority: 0"]))
                        return
                    try:
                        time.sleep(0.3)  # the flood has begun
                        for _ in range(3):
                            told = self.assert_served(self.ask(
                                gateway, model=models[-1], fields=["x-priority: 15"]))
                            waits.append(told.ended - told.began)
                    finally:
                        done.set()
                with self.subTest(shards=shards, models=models):
                    together(9, client)
                    print(f"     {shards} shards, models {len(models)}: the last class waited "
                          f"{min(waits):.2f} to {max(waits):.2f} s", flush=True)
                    # 15 times the age, and what is in line then; far from its time limit.
                    self.assertLess(max(waits), 10)
                    if shards == 1:
                        self.assertGreater(min(waits), 1.4)


if __name__ == "__main__":
    main()
