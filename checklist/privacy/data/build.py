#!/usr/bin/env python3
"""Makes first.txt, last.txt, common.txt and places.txt from permissively licensed packages.

    python3 build.py SCRATCH

SCRATCH holds what the README of this folder says to install. Output: one entry a line,
sorted inside a section; `# xx` starts the section of a language. An entry stands in the
first section that has it, because the tables do not know languages. A line starts with a
letter that counts the characters it shares with the line before (`a` none, `b` one, ...),
which halves the files.
"""
import ast
import glob
import importlib
import json
import os
import pkgutil
import re
import sys
import unicodedata

SCRATCH = sys.argv[1]
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(SCRATCH, "py"))

# Only scripts and languages the module has rules for; the rest would be dead weight.
LANGUAGES = """us en de fr es it pt nl pl sv da no nb fi is tr cs sk hu ro hr sl et lt lv el
ru uk bg zh ja ko hi mr ne ar fa he id vi th sw yo ig ha""".split()
ROMANISED = {"IN": "hi", "PK": "ar", "KE": "sw", "NG": "yo", "TH": "th", "NZ": "en"}
SURNAMES_US = 12000
# First names so frequent that they are believed in small letters.
FREQUENT_US = 900
# Longer ones are rare, and what precedes them gives them away.
SURNAME_LETTERS = 10
STOP_LANGUAGES = "en de fr es it pt nl pl sv da no fi tr ru uk cs hu ro id hi ar".split()


def fold(word):
    """The key of an entry: what `fold` in src/names/fold.rs does, near enough to deduplicate."""
    text = unicodedata.normalize("NFD", word.lower())
    return "".join(c for c in text if not unicodedata.combining(c) or "\u0900" <= c <= "\u097f")


def words(value):
    """All strings inside nested lists, tuples and dictionaries."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value if all(isinstance(v, (int, float)) for v in value.values()) else value.values():
            yield from words(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from words(item)


def parts(name):
    """The single words of a name, without particles, initials and anything that is not letters."""
    for part in re.split(r"[\s\-.,/()]+", name):
        letters = re.sub(r"['’`ʼ]", "", part)
        short = 1 if "\u3000" < letters[:1] else 2
        if len(letters) >= short and all(c.isalpha() or unicodedata.category(c)[0] == "M" for c in letters):
            if part[:1].isupper() or not part[:1].islower():
                yield part


def providers(package):
    module = importlib.import_module("faker.providers." + package)
    for entry in pkgutil.iter_modules(module.__path__):
        yield entry.name, importlib.import_module(f"{module.__name__}.{entry.name}").Provider


def mimesis(name):
    for path in sorted(glob.glob(f"{SCRATCH}/py/mimesis/datasets/*/{name}.json")):
        yield path.split(os.sep)[-2].split("-")[0], json.load(open(path, encoding="utf-8"))


def language_of(locale):
    language, _, country = locale.partition("_")
    return ROMANISED.get(country, language) if language == "en" else language


def people():
    first, last = {}, {}
    put = lambda into, language, names: into.setdefault(language, []).extend(p for n in names for p in parts(n))
    for locale, provider in providers("person"):
        language = language_of(locale)
        for attribute in dir(provider):
            if "first" in attribute and "name" in attribute:
                put(first, language, words(getattr(provider, attribute)))
            elif "last" in attribute and "name" in attribute:
                put(last, language, words(getattr(provider, attribute)))
    for language, person in mimesis("person"):
        put(first, language, words(person.get("names", [])))
        put(last, language, words(person.get("surnames", [])))
    census = [line.split()[0].title() for line in open(f"{SCRATCH}/x/names-0.3.0/names/dist.all.last")]
    put(last, "en", census[:SURNAMES_US])
    for sex in "female", "male":
        census = [line.split()[0].title() for line in open(f"{SCRATCH}/x/names-0.3.0/names/dist.{sex}.first")]
        put(first, "us", census[:FREQUENT_US])
        put(first, "en", census[FREQUENT_US:])
    return first, last


def places():
    found = {}
    keep = ("cities", "states", "provinces", "regions", "region_republics", "city_names", "real_city_names", "metropolitan_cities")
    for locale, provider in providers("address"):
        language = language_of(locale)
        for attribute in keep:
            values = list(words(getattr(provider, attribute, ())))
            # Italian communes come with postal codes and number eight thousand.
            if len(values) < 2800:
                found.setdefault(language, []).extend(values)
    for language, address in mimesis("address"):
        cities = list(words(address.get("city", [])))
        if len(cities) < 1200:
            found.setdefault(language, []).extend(cities)
        found.setdefault(language, []).extend(words(address.get("state", {}).get("name", [])))
    return found


def countries():
    found = {}
    for path in sorted(glob.glob(f"{SCRATCH}/npm/node_modules/i18n-iso-countries/langs/*.json")):
        language = os.path.basename(path)[:-5]
        if language in LANGUAGES:
            found[language] = list(words(json.load(open(path, encoding="utf-8"))["countries"]))
    return found


def common(named):
    """Words that are not names: function words, and others."""
    stop, plain = set(), set()
    lists = json.load(open(f"{SCRATCH}/npm/node_modules/stopwords-iso/stopwords-iso.json", encoding="utf-8"))
    for language in STOP_LANGUAGES:
        for word in lists[language]:
            if len(word) > 1 and not re.search(r"[\s\d.,'-]", word):
                target = stop if language == "en" or fold(word) not in named else plain
                target.add(fold(word))
    for line in open(f"{SCRATCH}/deb/usr/share/dict/american-english-small", encoding="utf-8"):
        word = line.strip()
        if word.isalpha() and word.islower() and len(word) > 2:
            plain.add(fold(word))
    for locale, provider in providers("lorem"):
        if language_of(locale) in STOP_LANGUAGES and locale != "la":
            # The hand-written section [given] of lexicon.txt says which of these are names first.
            plain.update(fold(w) for w in words(getattr(provider, "word_list", ())) if w.isalpha() and len(w) > 2)
    return stop, plain - stop


def shortened(entries):
    """Entries without what they share with the one before."""
    lines, before = [], ""
    for entry in entries:
        shared = min(len(os.path.commonprefix([entry, before])), 25)
        lines.append(chr(ord("a") + shared) + entry[shared:] + "\n")
        before = entry
    return "".join(lines)


def write(name, sections, keep=lambda entry: True):
    seen, size = set(), 0
    path = os.path.join(HERE, name)
    with open(path, "w", encoding="utf-8") as out:
        for language in LANGUAGES:
            entries = {}
            for entry in sections.get(language, []):
                entry = unicodedata.normalize("NFC", entry.strip())
                if entry and keep(entry) and fold(entry) not in seen:
                    entries.setdefault(fold(entry), entry)
            seen.update(entries)
            size += len(entries)
            if entries:
                out.write(f"# {language}\n" + shortened(sorted(entries.values())))
    print(name, size, "entries", os.path.getsize(path), "bytes")
    return seen


def place_like(entry):
    han = "\u3000" < entry[:1]
    return (2 if han else 4) <= len(entry) <= 32 and not re.search(r"[0-9(/,;\[]", entry) and not entry[:1].islower()


first, last = people()
firsts = write("first.txt", first)
lasts = write("last.txt", last, lambda e: len(e) <= SURNAME_LETTERS)
write("countries.txt", countries(), lambda e: len(e) <= 40 and not re.search(r"[0-9(/,;\[]", e))
write("places.txt", places(), place_like)
stop, plain = common(firsts | lasts)
with open(os.path.join(HERE, "common.txt"), "w", encoding="utf-8") as out:
    out.write("# stop\n" + shortened(sorted(stop)) + "# words\n" + shortened(sorted(plain)))
print("common.txt", len(stop), len(plain), os.path.getsize(os.path.join(HERE, "common.txt")))
