"""Exports datasets by Python Pixano, and reads what was exported by the tools that others use.

    formats.py pixano DATASET OUT          OUT/json, OUT/jsonl and OUT/coco by the exporters of Python Pixano
    formats.py coco FILE OUT               {annotation id: {"area", "bbox", "image", "category", "keys"}} by pycocotools
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
    from pycocotools.coco import COCO

    c = COCO(file)
    found = {}
    for a in c.loadAnns(c.getAnnIds()):
        [image] = c.loadImgs(a["image_id"])
        [category] = c.loadCats(a["category_id"])
        area = int(c.annToMask(a).sum()) if "segmentation" in a else None
        found[str(a["id"])] = {
            "mask_area": area,
            "area": a["area"],
            "bbox": a["bbox"],
            "image": image["file_name"],
            "category": category["name"],
            "box_id": a.get("pixano_bbox_id"),
            "mask_id": a.get("pixano_segmentation_id"),
        }
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


{"pixano": pixano, "coco": coco, "yolo": yolo, "voc": voc}[sys.argv[1]](*sys.argv[2:])
