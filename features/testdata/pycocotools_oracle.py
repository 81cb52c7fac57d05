"""Answers questions about masks with pycocotools, and about contours with OpenCV where it is installed.

Reads one JSON object per line and writes one per line, see pycocotools_test.go. Needs: pip install pycocotools numpy
"""

import base64
import json
import sys

import numpy as np
from pycocotools import mask as coco

try:
    import cv2
except ImportError:
    cv2 = None


def compressed(size, counts):
    return {"size": size, "counts": counts.encode("ascii")}


def describe(rle):
    return {
        "counts": rle["counts"].decode("ascii"),
        "area": int(coco.area(rle)),
        "box": [int(v) for v in coco.toBbox(rle)],
    }


def contours(rle):
    """Every contour as [parent, x, y, x, y, ...] in OpenCV's order; parent is -1 for an exterior."""
    found, hierarchy = cv2.findContours(coco.decode(rle), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return [[int(hierarchy[0][i][3])] + c.flatten().tolist() for i, c in enumerate(found)]


def answer(q):
    size = q["size"]
    if q["op"] == "polygons":
        return describe(coco.merge(coco.frPyObjects(q["polygons"], *size)))
    if q["op"] == "bitmap":
        pix = np.frombuffer(base64.b64decode(q["bitmap"]), dtype=np.uint8).reshape(size)
        rle = coco.encode(np.asfortranarray(pix))
        out = describe(rle)
        if cv2 is not None:
            out["contours"] = contours(rle)
        return out
    if q["op"] == "pair":
        a, b = compressed(size, q["a"]), compressed(size, q["b"])
        return {
            "union": coco.merge([a, b])["counts"].decode("ascii"),
            "intersection": coco.merge([a, b], intersect=True)["counts"].decode("ascii"),
            "iou": float(coco.iou([a], [b], [0])[0][0]),
            "iou_crowd": float(coco.iou([a], [b], [1])[0][0]),
        }
    raise ValueError(q["op"])


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))))
