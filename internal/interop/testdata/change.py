"""Reads, changes and reads again tables with whatever release of lancedb it is run by.

    change.py DB OUT    writes OUT/before.arrow, OUT/empty.arrow, OUT/after.arrow
    change.py DB OUT read    writes OUT/final.arrow only
    change.py DB OUT tear    adds two rows to the table "empty" in a way that lancedb 0.17 writes wrongly
"""

import os
import sys

import lancedb
import pyarrow as pa

db = lancedb.connect(sys.argv[1])
out = sys.argv[2]


def end():
    # Not sys.exit: threads of lancedb 0.29 may abort an interpreter that is being taken down.
    sys.stdout.flush()
    os._exit(0)


def dump(name, table):
    data = table.to_arrow()
    with pa.ipc.new_file(f"{out}/{name}.arrow", data.schema) as writer:
        writer.write_table(data)
    return data


rows = db.open_table("rows")
if sys.argv[3:] == ["read"]:
    dump("final", rows)
    end()

if sys.argv[3:] == ["tear"]:
    db.open_table("empty").add(rows.to_arrow().slice(0, 2))
    end()

before = dump("before", rows)
empty = db.open_table("empty")
dump("empty", empty)


def pick(data, *numbers):
    # Not slice: lancedb 0.17 writes struct columns of slices so that nobody can read them.
    return data.take(list(numbers))


def renamed(data, prefix):
    ids = pa.array([prefix + i for i in data["id"].to_pylist()], pa.string())
    return data.set_column(data.schema.get_field_index("id"), data.schema.field("id"), ids)


rows.add(renamed(pick(before, 0, 1, 2), "added_"))
empty.add(pick(before, 0, 1))
rows.delete("id = 'row_3'")
merged = pa.concat_tables([renamed(pick(before, 4), "merged_"), pick(before, 5, 6)]).combine_chunks()
rows.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(merged)
rows.update(where="id = 'row_7'", values={"text": "changed by Python"})
rows.optimize()
dump("after", rows)
assert empty.count_rows() == 2, empty.count_rows()
print("lancedb", lancedb.__version__)
end()
