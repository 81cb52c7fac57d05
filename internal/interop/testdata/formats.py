"""Exports datasets by Python Pixano, and reads what was exported by the tools that others use.

    formats.py pixano DATASET OUT          OUT/json, OUT/jsonl and OUT/coco by the exporters of Python Pixano
    formats.py coco FILE OUT               {annotation id: {"area", "bbox", "image", "category", …}} by pycocotools
    formats.py evaluate FILE OUT           {kind: precision} of the annotations of FILE as results for itself
    formats.py yolo DIR TASK OUT           {image: [{"category", "xyxy", "area"}]} by supervision
    formats.py voc DIR OUT                 the same
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("LANCE_LOG", "error")


def pixano(dataset, out):
    from pixano.datasets import Dataset
    from pixano.datasets import exporters

    ds = Dataset(Path(dataset))
    made = {}
    for name, cls in (
        ("json", exporters.DefaultJSONDatasetExporter),
        ("jsonl", exporters.DefaultJSONLDatasetExporter),
        ("coco", exporters.COCODatasetExporter),
    ):
        try:
            cls(ds, Path(out) / name, True).export()
            made[name] = True
        except Exception as e:  # some datasets are beyond its exporters
            made[name] = repr(e)
    (Path(out) / "made.json").write_text(json.dumps(made))


def coco(file, out):
    import numpy as np
    from pycocotools import mask
    from pycocotools.coco import COCO

    c = COCO(file)
    found = {}
    for a in c.loadAnns(c.getAnnIds()):
        [image] = c.loadImgs(a["image_id"])
        [category] = c.loadCats(a["category_id"])
        pixels = c.annToMask(a) if "segmentation" in a else None
        rle = None if pixels is None else mask.encode(np.asfortranarray(pixels))
        found[str(a["id"])] = {
            "mask_area": None if pixels is None else int(pixels.sum()),
            "mask_counts": None if rle is None else rle["counts"].decode(),
            "mask_box": None if rle is None else mask.toBbox(rle).tolist(),
            "area": a["area"],
            "bbox": a["bbox"],
            "image": image["file_name"],
            "category": category["name"],
            "box_id": a.get("pixano_bbox_id"),
            "mask_id": a.get("pixano_segmentation_id"),
            "points_id": a.get("pixano_keypoints_id"),
            "keypoints": a.get("keypoints"),
            "num_keypoints": a.get("num_keypoints", 0),
            "names": category.get("keypoints"),
            "skeleton": category.get("skeleton"),
        }
    Path(out).write_text(json.dumps(found))


def evaluate(file, out):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    c = COCO(file)
    found = {}
    for kind, key in (("bbox", "bbox"), ("segm", "segmentation"), ("keypoints", "keypoints")):
        # The evaluation of key points is one of 17; what has none is passed over. Masks are those of categories that have them.
        categories = [
            i
            for i in c.getCatIds()
            if (kind == "bbox" or any(key in a for a in c.loadAnns(c.getAnnIds(catIds=[i]))))
            and (kind != "keypoints" or len(c.loadCats(i)[0].get("keypoints", [])) == 17)
        ]
        results = []
        for a in c.loadAnns(c.getAnnIds(catIds=categories)):
            if kind == "keypoints" and a["num_keypoints"] == 0 or key not in a:
                continue
            shape = c.annToRLE(a) if kind == "segm" else a[key]
            results.append({"image_id": a["image_id"], "category_id": a["category_id"], "score": 1.0, key: shape})
        e = COCOeval(c, c.loadRes(results), kind)
        if kind == "segm":
            e.params.catIds = categories
        if kind == "keypoints":  # those without key points are among them
            e.params.catIds = [i for i in c.getCatIds() if len(c.loadCats(i)[0].get("keypoints", [])) in (0, 17)]
        e.evaluate()
        e.accumulate()
        e.summarize()
        found[kind] = float(e.stats[0])
    Path(out).write_text(json.dumps(found))


def shown(ds, out):
    found = {}
    for path, _, detections in ds:
        found[Path(path).name] = [
            {
                "category": ds.classes[int(detections.class_id[i])],
                "xyxy": [float(v) for v in detections.xyxy[i]],
                "area": None if detections.mask is None else int(detections.mask[i].sum()),
            }
            for i in range(len(detections))
        ]
    Path(out).write_text(json.dumps(found))


def yolo(directory, task, out):
    import supervision as sv

    found = {}
    base = Path(directory)
    for split in sorted(p.name for p in (base / "images").iterdir()):
        ds = sv.DetectionDataset.from_yolo(
            images_directory_path=str(base / "images" / split),
            annotations_directory_path=str(base / "labels" / split),
            data_yaml_path=str(base / "data.yaml"),
            force_masks=task == "segment",
            is_obb=task == "obb",
        )
        part = base / f"{split}.seen.json"
        shown(ds, part)
        found.update(json.loads(part.read_text()))
    Path(out).write_text(json.dumps(found))


def voc(directory, out):
    import supervision as sv

    base = Path(directory)
    ds = sv.DetectionDataset.from_pascal_voc(
        images_directory_path=str(base / "JPEGImages"),
        annotations_directory_path=str(base / "Annotations"),
    )
    shown(ds, out)


{"pixano": pixano, "coco": coco, "evaluate": evaluate, "yolo": yolo, "voc": voc}[sys.argv[1]](*sys.argv[2:])
