"""Reads a dataset, or changes it, by the API of Python Pixano, and writes what it saw as JSON.

    pixano_dataset.py read DATASET OUT      OUT: {"tables": {table: [row]}}
    pixano_dataset.py change DATASET OUT    OUT: {"wrote": {table: [row]}, "deleted": {table: [id]}, "missing": [id], "tables": ...}

Bytes are written in base64, times in ISO 8601.
"""

import base64
import datetime
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("LANCE_LOG", "error")  # before the engine is loaded

import numpy as np
import pydantic
from lancedb.embeddings import EmbeddingFunction
from lancedb.embeddings.registry import register
from pixano.datasets import Dataset


@register("toy-bytes")
class ToyBytes(EmbeddingFunction):
    """Stands for the function that a table of the golden datasets names; the vectors are there already."""

    scale: float = 1.0

    def ndims(self):
        return 8

    def compute_query_embeddings(self, *args, **kwargs):
        raise NotImplementedError

    def compute_source_embeddings(self, *args, **kwargs):
        raise NotImplementedError


@register("lengths")
class Lengths(ToyBytes):
    """The same for the datasets that the tests of web interfaces make."""


def plain(value):
    if isinstance(value, pydantic.BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, np.ndarray):
        return [plain(v) for v in value.tolist()]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value


def read(dataset):
    tables = [*dataset.schema.schemas, "source"]
    return {table: [plain(row) for row in dataset.get_data(table)] for table in tables}


def change(dataset):
    wrote, deleted = {}, {}

    def note(table, rows):
        wrote.setdefault(table, []).extend(plain(row) for row in rows)

    def copies(table, suffix, **values):
        rows = dataset.get_data(table, ids=[dataset.get_data(table, limit=1)[0].id])
        return [row.model_copy(update={"id": row.id + suffix, **values}) for row in rows]

    for table in dataset.schema.schemas:
        if table == "toy_embedding":
            continue  # adding to it computes the vectors
        note(table, dataset.add_data(table, copies(table, " added".replace(" ", "_"))))
    images = dataset.get_data("image")[1:3]
    for image in images:
        image.url, image.width = "été 'changed'.png", 7
    note("image", dataset.update_data("image", images))
    boxes = dataset.get_data("bboxes")[1:4]
    for i, box in enumerate(boxes):
        box.coords, box.confidence = [0.1, 1 / 3, i / 7, 1e-300], 0.1 * i
    note("bboxes", dataset.update_data("bboxes", boxes + copies("bboxes", "_upserted")))
    masks = dataset.get_data("masks")[1:2]
    masks[0].size, masks[0].counts = [2, 2], b"04"
    note("masks", dataset.update_data("masks", masks))
    objects = dataset.get_data("objects")[1:3]
    for row in objects:
        row.category = "changed"
        setattr(row, "tags" if hasattr(row, "tags") else "attributes", ["ü", ""])
    note("objects", dataset.update_data("objects", objects))
    gone = [row.id for row in dataset.get_data("keypoints" if "keypoints" in dataset.schema.schemas else "bboxes")[-2:]]
    table = "keypoints" if "keypoints" in dataset.schema.schemas else "bboxes"
    missing = dataset.delete_data(table, [*gone, "nobody"])
    deleted[table] = gone
    item = dataset.get_data("item")[-2].id
    missing += dataset.delete_dataset_items([item, "no_item"])
    deleted["item"] = [item]
    return {"wrote": wrote, "deleted": deleted, "missing": missing}


command, path, out = sys.argv[1:]
dataset = Dataset(Path(path))
result = change(dataset) if command == "change" else {}
# Opened anew: what is there, not what this process remembers.
result["tables"] = read(Dataset(Path(path)))
Path(out).write_text(json.dumps(result))
sys.stdout.flush()
os._exit(0)
