"""Computes the statistics of a dataset with pandas and NumPy from its tables, and writes them as JSON.

    pandas_statistics.py DATASET OUT      OUT: a list in the form of stats.json
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("LANCE_LOG", "error")  # before the engine is loaded

import lance
import numpy as np
from pixano.features.schemas.registry import _PIXANO_SCHEMA_REGISTRY as CLASSES

TELLING = {
    "Image": ["width", "height", "format"],
    "Video": ["num_frames", "fps", "width", "height", "duration"],
    "NamedEntity": ["name"],
    "Conversation": ["kind"],
    "BBox": ["confidence"],
    "BBox3D": ["confidence"],
    "Classification": ["labels"],
    "Relation": ["predicate"],
    "Message": ["type", "question_type"],
}


def columns(entry):
    """The columns of a table that have a statistic, with their types."""
    base = CLASSES[entry["base_schema"]]
    telling = {c for name, cs in TELLING.items() if issubclass(base, CLASSES[name]) for c in cs}
    for name, field in entry["fields"].items():
        if field["type"] in ("str", "bool", "int", "float") and (name not in base.model_fields or name in telling):
            yield name, field["type"]


def numerical(name, frame):
    """frame has the columns value and split."""
    values = frame["value"].astype(float)
    edges = np.histogram_bin_edges(values, bins=10)
    bins = []
    for split, part in frame.groupby("split"):
        counts, _ = np.histogram(part["value"].astype(float), bins=edges)
        for i, n in enumerate(counts):
            bins.append({"bin_start": edges[i], "bin_end": edges[i + 1], "counts": int(n), "split": split})
    return {"name": name, "type": "numerical", "histogram": bins, "range": [values.min(), values.max()]}


def categorical(name, field, frame):
    counts = frame.groupby(["value", "split"]).size()
    bins = [{field: value, "counts": int(n), "split": split} for (value, split), n in counts.items()]
    return {"name": name, "type": "categorical", "histogram": bins, "range": None}


def main(path, out):
    schema = json.loads((path / "schema.json").read_text())
    frames = {}
    for table in [*schema["schemas"], "source"]:
        data = lance.dataset(str(path / "db" / f"{table}.lance"))
        wanted = [f.name for f in data.schema if f.name != "vector"]
        frames[table] = data.to_table(columns=wanted).to_pandas()
    items = frames["item"].set_index("id")["split"]
    rows, statistics = [], []
    for table, frame in frames.items():
        if table == "source":
            split = frame["id"].map(lambda _: "")
        elif table == "item":
            split = frame["split"]
        else:
            frame["item"] = frame["item_ref"].map(lambda ref: ref["id"])
            split = frame["item"].map(items).fillna("")
        for value, n in split.value_counts().items():
            rows.append({"table": table, "counts": int(n), "split": value})
        if table == "source":
            if frame.empty:
                rows.append({"table": table, "counts": 0, "split": ""})
            continue
        frame["in_split"] = split
        if schema["relations"]["item"].get(table) == "one_to_many":
            per_item = frame["item"].value_counts().reindex(items.index, fill_value=0)
            statistics.append(numerical(f"{table} per item", per_item.to_frame("value").assign(split=items)))
        if schema["schemas"][table]["base_schema"] in ("Embedding", "ViewEmbedding"):
            continue
        for column, kind in columns(schema["schemas"][table]):
            part = frame[[column, "in_split"]].set_axis(["value", "split"], axis=1)
            part = part.explode("value").dropna()
            if part.empty:
                continue
            if kind in ("int", "float"):
                statistics.append(numerical(f"{table}.{column}", part))
            elif part["value"].nunique() <= 100:
                if kind == "bool":
                    part["value"] = part["value"].map(lambda b: "true" if b else "false")
                key = "value" if column in ("counts", "split") else column
                statistics.append(categorical(f"{table}.{column}", key, part))
    statistics.append({"name": "rows", "type": "categorical", "histogram": rows, "range": None})
    Path(out).write_text(json.dumps(statistics))


main(Path(sys.argv[1]), sys.argv[2])
