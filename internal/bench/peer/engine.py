"""The Python side of internal/bench/engine: runs the workload that each line on standard input names and prints its time.

    engine.py DIR                  DIR holds the tables bboxes, vectors and writes
    engine.py --first-row DIR      opens DIR, reads one row and exits
"""

import datetime
import json
import random
import sys
import time

import lancedb

if sys.argv[1] == "--first-row":
    print(lancedb.connect(sys.argv[2]).open_table("bboxes").search().limit(1).to_arrow().num_rows)
    sys.exit()

import numpy as np
import pyarrow as pa

db = lancedb.connect(sys.argv[1])
boxes, vectors, writes = (db.open_table(name) for name in ("bboxes", "vectors", "writes"))
total = boxes.count_rows()
dim = vectors.schema.field("vector").type.list_size
rng = np.random.default_rng(7)


def box(i):
    now = datetime.datetime(2026, 1, 2, 3, 4, 5)
    return {
        "id": f"box_{i:07d}", "created_at": now, "updated_at": now,
        "item_ref": {"name": "item", "id": f"item_{i // 5:06d}"},
        "view_ref": {"name": "image", "id": f"image_{i // 5:06d}"},
        "entity_ref": {"name": "objects", "id": f"object_{i:07d}"},
        "source_ref": {"name": "source", "id": "model"},
        "inference_metadata": "{}", "coords": [random.random() for _ in range(4)],
        "format": "xywh", "is_normalized": True, "confidence": random.random(),
    }


def expect(table, rows):
    assert table.num_rows == rows, f"got {table.num_rows} rows, want {rows}"


def arrow(rows):
    return pa.Table.from_pylist(rows, schema=writes.schema)


def merge(data):
    writes.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(data)


# What is timed, and what makes the Arrow data that it writes, which is not.
WORKLOADS = {
    "full scan to Arrow": lambda i, _: expect(boxes.to_arrow(), total),
    "page of 50": lambda i, _: expect(boxes.search().limit(50).offset(total // 2).to_arrow(), 50),
    "page of 50 with filter": lambda i, _: expect(
        boxes.search().where("confidence > 0.5").limit(50).offset(1000).to_arrow(), 50),
    "one row by id": lambda i, _: expect(boxes.search().where(f"id = 'box_{i * 7919 % total:07d}'").limit(1).to_arrow(), 1),
    "vector top 50, exact": lambda i, _: expect(
        vectors.search(rng.normal(size=dim).astype(np.float32), vector_column_name="vector").limit(50).to_arrow(), 50),
    "append 1000 rows": lambda i, data: writes.add(data),
    "merge-insert one row": lambda i, data: merge(data),
}
PREPARE = {
    "append 1000 rows": lambda i: arrow([box(10_000_000 + i * 1000 + j) for j in range(1000)]),
    "merge-insert one row": lambda i: arrow([box(i * 7919 % total)]),
}

for line in sys.stdin:
    request = json.loads(line)
    name, run = request["workload"], request["run"]
    data = PREPARE.get(name, lambda i: None)(run)
    start = time.perf_counter()
    WORKLOADS[name](run, data)
    print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)
