"""Reads a dataset that a Go program wrote, with lancedb and with Pixano for Python: python read.py DIRECTORY-OF-THE-DEMO"""

import sys
from pathlib import Path

import lancedb
from pixano.datasets import Dataset

demo = Path(sys.argv[1])
path = demo / "library" / "streets"

# The tables are plain Lance tables.
db = lancedb.connect(path / "db")
print(sorted(db.table_names()))
boxes = db.open_table("bboxes")
print(boxes.count_rows(), "boxes,", boxes.count_rows("confidence > 0.9"), "sure ones")
first = boxes.search().where("item_ref.id = 'street_001'").limit(1).to_list()[0]
print(first["id"], first["format"], [round(c, 3) for c in first["coords"]])

# The dataset is one of Pixano 0.6.
dataset = Dataset(path, media_dir=demo / "media")
print(dataset.info.name, dataset.num_rows, "items")
item = dataset.get_dataset_items(ids=["street_001"])[0]
print(item.id, item.weather, item.image.url, len(item.objects), "objects:", sorted(o.category for o in item.objects))
