"""Make the noun lexicon from WordNet's files: `python -m ebca.subjects.derive <its dict folder>`.

WordNet files every sense of a noun under a topic (person, animal, artifact, ...) and below a more
general noun, and counts how often its annotated texts use it. From these each word gets one letter,
the category of what it most commonly is in a picture; `lexicon.py` lists the letters. Verbs and
adjectives are kept if those texts use them. The result is `lexicon.txt` beside this file: one line
for each category, its words sorted, each as the number of letters that it shares with the word
before and its remaining letters. WordNet's files are in Debian's package wordnet-base.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

OUT = Path(__file__).with_name("lexicon.txt")

_TOPIC_NAMES = """
Tops act animal artifact attribute body cognition communication event feeling food group location
motive object person phenomenon plant possession process quantity relation shape state substance
time
"""
TOPICS = dict(enumerate(_TOPIC_NAMES.split(), 3))
"""The topics by the numbers of WordNet's noun files."""

BY_TOPIC = {
    "animal": "a", "artifact": "t", "body": "b", "food": "f", "group": "g", "location": "s",
    "object": "s", "person": "p", "phenomenon": "s", "plant": "l", "substance": "z",
}  # fmt: skip
"""The letter of each topic; other topics have n, nothing that can be seen by itself."""

BY_ANCESTOR = {
    "p": "people.group",
    "a": "mythical_monster.person animal.Tops unicorn.person Pegasus.person",
    "v": "conveyance.artifact skateboard.artifact surfboard.artifact ski.artifact"
    " snowboard.artifact",
    "w": "clothing.artifact adornment.artifact footwear.artifact spectacles.artifact"
    " armor.artifact mask.artifact body_armor.artifact eyepatch.artifact glove.artifact"
    " belt.artifact necktie.artifact jewelled_headdress.artifact helmet.artifact"
    " uniform.artifact cosmetic.artifact headset.artifact jewel.artifact bandage.artifact"
    " cosmetic.artifact toiletry.artifact",
    "u": "furniture.artifact bedclothes.artifact furnishing.artifact floor_cover.artifact"
    " cushion.artifact table.artifact pedestal.artifact home_appliance.artifact",
    "h": "building.artifact house.artifact dwelling.artifact fortification.artifact"
    " tower.artifact bridge.artifact fountain.artifact shelter.artifact memorial.artifact"
    " ruin.artifact monument.artifact",
    "s": "structure.artifact way.artifact surface.artifact excavation.artifact facility.artifact"
    " plot.location vegetation.group body_of_water.object roof.artifact room.artifact"
    " natural_object.Tops geological_formation.object location.Tops curtain.artifact"
    " fire.event combustion.process light.phenomenon fixture.artifact grass.plant"
    " vegetation.plant wood.group city.location rock.object",
    "m": "representation.artifact graphic_art.artifact art.artifact sheet.artifact"
    " photographic_equipment.artifact optical_device.artifact film.artifact"
    " visual_communication.communication representation.communication design.artifact"
    " publication.communication cinematography.act",
    "t": "sculpture.artifact plaything.artifact figure.artifact umbrella.artifact"
    " solid.shape plane_figure.shape round_shape.shape gem.substance coin.possession"
    " toy.artifact candle.artifact lamp.artifact balloon.artifact signboard.artifact"
    " book.communication skeleton.body egg.animal feather.animal shell.animal"
    " instrumentality.artifact clock.artifact jewelled_weapon.artifact flag.artifact"
    " telephone.artifact camera.artifact board.artifact pinwheel.artifact",
    "k": "container.artifact tableware.artifact flower_arrangement.artifact containerful.quantity"
    " small_indefinite_quantity.quantity part.object piece.artifact set.group"
    " aggregation.group pile.group",
    "l": "flower.plant",
    "f": "edible_fruit.plant edible_fruit.food vegetable.food mushroom.plant food.Tops food.food",
    "y": "celestial_body.object star.object Moon.object planet.object sun.object",
    "z": "fabric.artifact covering.artifact paint.artifact",
    "n": "color.attribute abstraction.Tops",
    "b": "body_part.body body_covering.body covering.object process.body organ.body",
}  # fmt: skip
"""Synsets whose nouns below all have a letter, each written as one of its words and its topic."""

CONCRETE = frozenset("patvfluwhks")
CONCRETE_COUNTS = 3.0
"""The factor on visible senses, since prompts name visible things more than WordNet's texts."""

_WORD = re.compile(r"[a-z]{2}[a-z-]*|[a-z]{2}[a-z-]*_[a-z]{2}[a-z-]*")


class Synset(NamedTuple):
    """One line of a WordNet data file: words that share a sense."""

    topic: str
    words: tuple[str, ...]
    ids: tuple[str, ...]
    above: tuple[str, ...]


def read_synsets(file: Path) -> dict[str, Synset]:
    """Return the noun synsets by their offset."""
    synsets = {}
    for line in _lines(file):
        fields = line.split(" | ")[0].split()
        count = int(fields[3], 16)
        words, ids = fields[4 : 4 + 2 * count : 2], fields[5 : 5 + 2 * count : 2]
        pointers = fields[5 + 2 * count :]
        above = tuple(o for mark, o in zip(pointers[::4], pointers[1::4], strict=False)
                      if mark in ("@", "@i"))  # fmt: skip
        synsets[fields[0]] = Synset(TOPICS[int(fields[1])], tuple(words), tuple(ids), above)
    return synsets


def _lines(file: Path) -> Iterator[str]:
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("  "):  # the licence
            yield line


def read_index(file: Path) -> dict[str, list[str]]:
    """Return the offsets of every word's senses, the commonest first."""
    index = {}
    for line in _lines(file):
        fields = line.split()
        index[fields[0]] = fields[-int(fields[2]) :]
    return index


def read_counts(file: Path) -> tuple[Counter[str], dict[str, Counter[str]]]:
    """Return the counts of senses (`word%kind:topic:id`), and of words by part of speech."""
    senses: Counter[str] = Counter()
    words: dict[str, Counter[str]] = defaultdict(Counter)
    for line in _lines(file):
        key, _, count = line.split()
        word, _, place = key.partition("%")
        kind, topic, number, *_ = place.split(":")
        senses[f"{word}%{kind}:{topic}:{number}"] += int(count)
        words[word]["a" if kind == "5" else "-nvar"[int(kind)]] += int(count)
    return senses, words


class Nouns:
    """WordNet's nouns with the categories of their senses."""

    def __init__(self, folder: Path) -> None:
        self._synsets = read_synsets(folder / "data.noun")
        self.index = read_index(folder / "index.noun")
        self.senses, self.words = read_counts(folder / "cntlist.rev")
        self._marked = {
            tuple(name.rsplit(".", 1)): letter
            for letter, names in BY_ANCESTOR.items()
            for name in names.split()
        }
        self._letters: dict[str, str] = {}

    def _letter(self, offset: str) -> str:
        if offset not in self._letters:
            synset = self._synsets[offset]
            marks = (self._marked.get((word, synset.topic)) for word in synset.words)
            letter = next(filter(None, marks), None)
            for above in synset.above if letter is None else ():
                over = self._letter(above)
                if over != "-":
                    letter = over
                    break
            self._letters[offset] = letter or "-"
        return self._letters[offset]

    def letters(self, word: str) -> dict[str, float]:
        """Return the letters of a word's senses, weighted by the senses' counts and order."""
        weights: dict[str, float] = defaultdict(float)
        for rank, offset in enumerate(self.index[word], 1):
            synset = self._synsets[offset]
            letter = self._letter(offset)
            if letter == "-" or (letter == "n" and synset.topic in BY_TOPIC):
                letter = BY_TOPIC.get(synset.topic, "n")
            lower = [w.lower() for w in synset.words]
            place = lower.index(word) if word in lower else 0
            if synset.words[place] != word:
                continue  # a name, such as that of a genus
            topic = next(n for n, name in TOPICS.items() if name == synset.topic)
            key = f"{word}%1:{topic:02}:{int(synset.ids[place], 16):02}"
            seen = self.senses[key] + 2.0 / rank**2
            weights[letter] += seen * (CONCRETE_COUNTS if letter in CONCRETE else 1.0)
        return weights


def derive(folder: Path) -> dict[str, list[str]]:
    """Return the words of each category, by the category's letter."""
    nouns = Nouns(folder)
    lexicon: dict[str, list[str]] = defaultdict(list)
    single: dict[str, str] = {}
    for word in sorted(nouns.index, key=lambda word: ("_" in word, word)):
        if not _WORD.fullmatch(word) or len(word) > 18:
            continue
        weights = nouns.letters(word)
        if not weights:
            continue
        letter = max(weights, key=lambda letter: weights[letter])
        used = nouns.words[word]["n"]
        if "_" in word:
            first, head = word.split("_")
            if single.get(head, letter) in weights or letter in "nzb" or first not in single:
                continue
        else:
            plural = word.endswith("s") and single.get(word[:-1], letter) != letter
            if letter == "n" and (plural or not used):
                continue
            single[word] = letter
        lexicon[letter].append(word)
    for kind, file, letter in (("v", "index.verb", "V"), ("a", "index.adj", "J")):
        for word in sorted(read_index(folder / file)):
            if _WORD.fullmatch(word) and "_" not in word:
                counts = nouns.words[word]
                if counts[kind] >= 2 or (word in single and counts[kind]):
                    lexicon[letter].append(word)
                if word in single and counts[kind] > 2 * counts["n"]:
                    lexicon[letter + "!"].append(word)
    lexicon["plural"] = _exceptions(folder / "noun.exc", single)
    verbs = set(lexicon["V"])
    lexicon["form"] = _exceptions(folder / "verb.exc", verbs)
    return dict(lexicon)


def _exceptions(file: Path, known: Iterable[str]) -> list[str]:
    """Return the irregular forms of known words, each as `form=word`."""
    known = set(known)
    pairs = (line.split()[:2] for line in _lines(file))
    return sorted(f"{form}={word}" for form, word in pairs if word in known and form.isalpha())


def squeeze(words: Iterable[str]) -> str:
    """Join sorted words, each as a digit (letters shared with the last, up to 9) and the rest."""
    out, last = [], ""
    for word in sorted(set(words)):
        shared = 0
        while shared < min(9, len(word), len(last)) and word[shared] == last[shared]:
            shared += 1
        out.append(f"{shared}{word[shared:]}")
        last = word
    return "".join(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="WordNet's dict folder")
    lexicon = derive(parser.parse_args().folder)
    lines = [f"{letter} {squeeze(words)}\n" for letter, words in sorted(lexicon.items())]
    OUT.write_text("".join(lines), encoding="ascii")
    print(f"{OUT.name}: {OUT.stat().st_size} bytes")
    for letter, words in sorted(lexicon.items()):
        print(f"{letter:7}{len(words):6}  {' '.join(words[:: max(1, len(words) // 9)])}")


if __name__ == "__main__":
    main()
