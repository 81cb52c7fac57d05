"""Appends some of the rows of a table once more, under other ids, as a part of a table in memory. Lance of that time then
writes the columns inside of structs in the length of the whole.

    sliced_append.py DATASET TABLE FROM ROWS
"""

import os
import sys

os.environ.setdefault("LANCE_LOG", "error")  # before the engine is loaded

import lance
import pyarrow as pa

path = os.path.join(sys.argv[1], "db", sys.argv[2] + ".lance")
table = lance.dataset(path).to_table().combine_chunks()
ids = pa.array(["sliced_" + i for i in table["id"].to_pylist()])
table = table.set_column(0, table.schema.field(0), ids)
lance.write_dataset(table.slice(int(sys.argv[3]), int(sys.argv[4])), path, mode="append")
