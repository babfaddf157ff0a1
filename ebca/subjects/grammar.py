"""English function words ("small words"), and the verbs and phrases that mark parts of subjects."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


A = words("a an another one")
THE = words("the this that these those")
OWN = words("my our your")
THEIRS = words("his her its their")
NUMBERS = words(
    "two three four five six seven eight nine ten eleven twelve dozen dozens hundreds several many"
    " some few both multiple various numerous all every each any"
)
DETERMINERS = A | THE | OWN | THEIRS | NUMBERS
NOT = words("no without not never minus except nor neither lacking avoid excluding")
AND = words("and plus n")
OR = words("or versus vs")
COPULA = words("is are was were be being been looks seems becomes become")
HAVE = words("has have having had")
OTHER = words(
    "he she it they him them i you we me us who whom which what where when while why how there here"
    " too also just only then than as if but because though although however this's"
    " it's he's she's will would could may might must shall should do does did doing done"
    " together alone both either each other himself herself itself themselves yet"
    " such etc goodbye goodnight away up down out o"
)
PREPOSITIONS = words(
    "of in on at by to from with into onto inside within outside under underneath below beneath"
    " above over behind beside besides near between among amongst against around through across"
    " along past after before during about for like off upon atop towards toward amid amidst via"
    " per alongside beyond opposite throughout until since despite featuring depicting showing"
    " representing containing including surrounding"
)
SHOWING = words("featuring depicting showing representing containing including shows depicts"
                 " features show depict")  # fmt: skip
"""Words between a medium and its content: `a photo showing a cat`."""

BESIDE = words(
    "beside besides behind above over under underneath below beneath between atop alongside"
    " next_to in_front_of on_top_of opposite inside beyond among amongst"
)
"""Prepositions that tell where one subject is, seen from another."""

UNDER = words("under underneath below beneath")
OVERHEAD = words(
    "streetlight streetlamp lamppost lamp light lantern chandelier sign blanket umbrella"
)
"""Things that count as surroundings of somebody who is merely under them."""

LONG = {
    ("next", "to"): "next_to", ("close", "to"): "near",
    ("on", "either", "side", "of"): "between", ("on", "both", "sides", "of"): "between",
    ("on", "each", "side", "of"): "between", ("in", "front", "of"): "in_front_of",
    ("on", "top", "of"): "on_top_of", ("on", "the", "back", "of"): "on_top_of",
    ("to", "the", "left", "of"): "next_to", ("to", "the", "right", "of"): "next_to",
    ("on", "the", "left", "of"): "next_to", ("on", "the", "right", "of"): "next_to",
    ("left", "of"): "next_to", ("right", "of"): "next_to", ("side", "by", "side"): "where",
    ("inside", "of"): "inside", ("on", "the", "left", "side", "of"): "next_to",
    ("on", "the", "right", "side", "of"): "next_to", ("out", "of"): "from",
    ("in", "the", "style", "of"): "as", ("in", "style", "of"): "as", ("as", "well", "as"): "and",
    ("along", "with"): "and", ("together", "with"): "and", ("such", "as"): "of",
    ("in", "the", "background"): "background", ("in", "the", "distance"): "background",
    ("in", "background"): "background", ("in", "the", "back"): "background",
    ("in", "the", "foreground"): "where", ("in", "foreground"): "where",
    ("hand", "in", "hand"): "where", ("each", "other"): "where", ("one", "another"): "where",
    ("made", "of"): "made", ("made", "out", "of"): "made", ("made", "from"): "made",
    ("full", "of"): "made", ("filled", "with"): "made", ("covered", "in"): "made",
    ("covered", "with"): "made", ("decorated", "with"): "made", ("dressed", "in"): "wearing",
    ("dressed", "as"): "made", ("clad", "in"): "wearing", ("in", "the", "shape", "of"): "made",
    ("shaped", "like"): "made", ("rather", "than"): "without", ("instead", "of"): "without",
    ("free", "of"): "without", ("devoid", "of"): "without", ("face", "to", "face"): "where",
    ("back", "to", "back"): "where", ("there", "is"): "there", ("there", "are"): "there",
    ("in", "the", "middle"): "where", ("on", "the", "left"): "where",
    ("on", "the", "right"): "where", ("on", "the", "left", "side"): "where",
    ("on", "the", "right", "side"): "where", ("in", "the", "center"): "where",
    ("in", "the", "centre"): "where", ("at", "the", "top"): "where",
    ("at", "the", "bottom"): "where", ("on", "left"): "where", ("on", "right"): "where",
    ("in", "the", "air"): "where", ("on", "it"): "printed", ("on", "them"): "printed",
    ("printed", "on"): "as", ("but", "no"): "no", ("but", "not"): "not",
    **{("in", one, "other", *hand): "other_hand"
       for one in ("the", "its", "his", "her", "their") for hand in ((), ("hand",), ("paw",))},
}  # fmt: skip
"""Phrases that count as one small word. `where` says where a subject is (the place itself is not
used yet), `background` marks scenery, `other_hand` ends `a cup in one hand and a bun in the
other`."""
LONG_BY_FIRST = {
    first: sorted((words for words in LONG if words[0] == first), key=len, reverse=True)
    for first in {words[0] for words in LONG}
}

WEAR = words("wear don sport")
CONSUME = words("eat drink smoke sip lick bite chew devour munch nibble taste swallow inhale puff")
"""Verbs whose object, if not alive, is no subject: it is soon a part of the eater."""

TAKES_OBJECT = words(
    "hold ride wear eat drink carry chase fight play read hug kiss pet hunt drive fly walk feed"
    " attack touch lift throw catch kick use cook hit smoke pull push grab stroke watch wield cast"
    " spread make show take raise grabbing look have write draw paint cover open close break cut"
    " clean wash build lead milk herd tame slay battle face follow pursue bite lick embrace bear"
    " give get put shoot tie wave squeeze clutch cradle grip grasp clench clasp brandish hoist"
    " heft lug tote breastfeed dual-wield cuddle"
)
"""Verbs whose -ing is followed by an object in a list of tags: `holding hands`, not
`smiling girl`."""

FOREIGN = words(
    "un una uno unos unas uma um umas uns ein eine einen einem einer der die das den dem des und"
    " mit auf im et avec sur dans le la les du aux une y el los las con sobre e il lo gli della"
    " del nel sul di da een het en van op met naast och med ett pa i og på en w na z ze oraz ve"
    " bir ile do no na os mot som av sous avec près bei vor neben zwei deux dos due dois chez ja"
)
"""Small words of other languages; some are English too, so the counts of both are compared."""

MEASURES = words(
    "group pair bunch stack pile slice piece set heap row collection cluster handful couple flock"
    " herd pack swarm school army team crowd family band gang trio duo lot number variety scoop"
)
"""Nouns whose `of` names what is seen: a pair of shoes, a flock of sheep."""

GROUPS = MEASURES | words(
    "squad choir orchestra congregation patrol tribe platoon gathering mob class"
    " litter brood pride parade procession convoy fleet"
)
"""Groups of living things or vehicles; other groups, such as a union, cannot be seen."""

COLOURS = words(
    "red orange yellow green blue purple violet pink brown black white grey gray golden gold silver"
    " cyan teal turquoise magenta beige ginger blond blonde crimson scarlet dark light big small"
    " large little giant tiny huge tall short old young"
)
"""Words that tell two things of one kind apart in a list of tags."""

ENGLISH = DETERMINERS | NOT | AND | OR | COPULA | HAVE | OTHER | PREPOSITIONS

GENERIC = words(
    "creature animal entity being human person people monster beast character subject crew"
)
"""Nouns that may just describe another subject: no subjects without an article."""
RIDDEN = words(
    "bicycle bike motorcycle motorbike moped scooter skateboard surfboard snowboard hoverboard sled"
    " sleigh unicycle tricycle tractor horse carousel"
)
"""Vehicles that a rider is on and not in."""

RESEMBLE = words(
    "resemble mimic imitate impersonate become transform turn morph evoke suggest mean form"
)
"""Verbs whose object is not in the picture."""
HYBRID = words(
    "hybrid hybrids combined merged fused blended chimera crossbreed crossover mix mixture"
    " fusion combination mashup"
)
"""Words for two beings that are merged into one."""

SUPPORTS = words(
    "lean rest rely hang work walk tread type write draw paint shoot capture take film"
)
"""Verbs after which `on` names something that is only used, no subject."""

SAME_PAST = words("cut put hit set split spread shut burst cast")
"""Verbs whose past tense is the same word: `a papaya cut in half`."""

ADVERBS = words("very so really quite rather more most less least almost extremely super ultra")
"""Adverbs that modify the adjective after them."""
MAKERS = words(
    "design paint draw illustrate create make direct write photograph sculpt render compose"
)
"""Verbs whose doer is not in the picture: `painted by a child`."""
