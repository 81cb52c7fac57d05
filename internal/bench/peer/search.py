"""The Python side of internal/bench/search: for each query vector that a line on standard input has, searches the table
without an index and prints the time and the ids.

    search.py DATABASE TABLE
"""

import json
import sys
import time

import lancedb
import numpy as np

table = lancedb.connect(sys.argv[1]).open_table(sys.argv[2])
for line in sys.stdin:
    vector = np.array(json.loads(line), np.float32)
    start = time.perf_counter()
    found = (
        table.search(vector, vector_column_name="vector").distance_type("l2").bypass_vector_index()
        .select(["id", "_distance"]).limit(50).to_arrow()
    )
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "ids": found["id"].to_pylist()}), flush=True)
