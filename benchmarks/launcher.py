"""Runs the command that its arguments are, and prints as JSON what it used.

It is a small process of its own: Linux counts the memory of the process that starts another towards the peak of the
one that is started, and the benchmarks are large. So this file imports next to nothing.
"""

import json
import os
import sys
import time

started = time.perf_counter()
pid = os.posix_spawnp(
    sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
)
_, status, usage = os.wait4(pid, 0)
wall = time.perf_counter() - started
peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
json.dump(
    {
        "exit_code": os.waitstatus_to_exitcode(status),
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak": peak,
    },
    sys.stdout,
)
