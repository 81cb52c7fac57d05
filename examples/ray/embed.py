"""Computes a vector of each frame of a dataset on a Ray cluster, and appends them to a table: python embed.py DIRECTORY-OF-THE-DEMO

On one machine Ray starts by itself; on a cluster, give both paths as s3://… URIs and ray.init the cluster's address.
"""

import sys
from datetime import datetime
from pathlib import Path

import lance
import lance_ray
import numpy as np
import pyarrow as pa
import ray
from PIL import Image

demo = Path(sys.argv[1]).resolve()
db = demo / "library" / "films" / "db"
table = str(db / "colour_embedding.lance")
schema = lance.dataset(table).schema


def embed(batch: pa.Table) -> pa.Table:
    """A histogram of 16 levels for each colour: put a model in its place."""
    vectors = []
    for url in batch["url"].to_pylist():
        pixels = np.asarray(Image.open(demo / "media" / url).convert("RGB"))
        vectors.append(np.concatenate([np.histogram(pixels[..., c], 16, (0, 256), density=True)[0] for c in range(3)]).astype("float32"))
    now = [datetime.now()] * batch.num_rows
    ids = batch["id"].to_pylist()
    return pa.Table.from_pydict(
        {
            "id": ["colours_" + i for i in ids],
            "created_at": now,
            "updated_at": now,
            "item_ref": batch["item_ref"],
            "vector": [v.tolist() for v in vectors],
            "shape": [[48]] * batch.num_rows,
            "view_ref": [{"name": "image", "id": i} for i in ids],
        },
        schema=schema,
    )


ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
frames = lance_ray.read_lance(str(db / "image.lance"), columns=["id", "item_ref", "url"])
vectors = frames.map_batches(embed, batch_format="pyarrow", batch_size=64)
lance_ray.write_lance(vectors, table, schema=schema, mode="append")
print(lance.dataset(table).count_rows(), "rows")
