"""Times the folder builder of Python Pixano on a directory of images with metadata.jsonl.

    folder.py --media DIR --name NAME --library DIR [--flush 1000]

--flush is how many items are written together; 0 writes each on its own, which is what its command does.
Prints {"seconds": {"folder_import": s}}. Its integrity check is left out: with 10,000 items the process died in it.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("LANCE_LOG", "error")

from pixano.datasets import DatasetInfo, DatasetItem
from pixano.datasets.builders import ImageFolderBuilder
from pixano.features import BBox, CompressedRLE, Entity, Image, KeyPoints


class Described(Entity):
    category: str = ""


class Item(DatasetItem):
    image: Image
    objects: list[Described]
    bboxes: list[BBox]
    masks: list[CompressedRLE]
    keypoints: list[KeyPoints]


parser = argparse.ArgumentParser()
parser.add_argument("--media", required=True)
parser.add_argument("--name", required=True)
parser.add_argument("--library", required=True)
parser.add_argument("--flush", type=int, default=1000)
args = parser.parse_args()

begun = time.perf_counter()
builder = ImageFolderBuilder(
    media_dir=Path(args.media),
    library_dir=Path(args.library),
    info=DatasetInfo(name=args.name),
    dataset_path=args.name,
    dataset_item=Item,
)
ds = builder.build(mode="create", flush_every_n_samples=args.flush or None, check_integrity="none")
seconds = time.perf_counter() - begun
print(json.dumps({"seconds": {"folder_import": seconds}, "items": ds.num_rows}))
