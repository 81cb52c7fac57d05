"""The peer of internal/bench/embed: the same model and texts with Python's tokenizers and ONNX Runtime.

    embed.py MODEL_DIR TEXTS.json THREADS

Prints texts per second and the first vector for each line that it reads. Texts of like length go together in batches of 32, as
in Go.
"""

import json
import sys
import time

import numpy as np
import onnxruntime as ort
from tokenizers import BertWordPieceTokenizer

folder, texts, threads = sys.argv[1:]
texts = json.load(open(texts, encoding="utf-8"))
options = ort.SessionOptions()
options.intra_op_num_threads = int(threads)
options.inter_op_num_threads = 1
session = ort.InferenceSession(f"{folder}/model.onnx", options, providers=["CPUExecutionProvider"])
tokenizer = BertWordPieceTokenizer(f"{folder}/vocab.txt", lowercase=True)
tokenizer.enable_truncation(256)


def embed(texts):
    encoded = tokenizer.encode_batch(texts)
    order = sorted(range(len(texts)), key=lambda i: len(encoded[i].ids))
    vectors = np.empty((len(texts), 384), np.float32)
    for start in range(0, len(order), 32):
        batch = order[start : start + 32]
        length = len(encoded[batch[-1]].ids)
        ids, mask = np.zeros((len(batch), length), np.int64), np.zeros((len(batch), length), np.int64)
        for row, i in enumerate(batch):
            n = len(encoded[i].ids)
            ids[row, :n], mask[row, :n] = encoded[i].ids, 1
        hidden = session.run(None, {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)})[0]
        pooled = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        vectors[batch] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    return vectors


embed(texts[:64])
for line in sys.stdin:  # a run for each line, so that the two take turns
    began = time.perf_counter()
    vectors = embed(texts)
    print(json.dumps({"rate": len(texts) / (time.perf_counter() - began), "vector": vectors[0].tolist()}), flush=True)
