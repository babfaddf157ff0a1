"""The words of holding and of touching: verbs, and where on a body something is held."""

from __future__ import annotations

from ebca.subjects.grammar import OWN, THEIRS, words

HOLD = words(
    "hold carry wield clutch cradle grip grasp grab brandish hoist heft lift tote lug shoulder"
    " sling clasp clench bear nurse breastfeed dual-wield"
)
"""What these are done to is in somebody's arms or hands, be it a sword or a cat."""
HANDLE = words(
    "raise swing aim point fire draw twirl thrust wave flourish juggle balance dangle extend offer"
    " present hand give bring fetch play read"
)
"""So is a thing, but no living being, after these: `raising a sword`, `playing a lute`."""
STANDS_ALONE = words("piano organ harpsichord harp drum xylophone marimba")
"""What one plays and does not hold."""
PARTICLES = words("up out aloft onto on to")
"""They go on with a verb of holding: `holding up a sign`, `holding on to a rope`."""

HELD_IN = {
    "in": words(
        "arm hand palm fist finger lap grip grasp clutch embrace bosom crook mouth maw jaw tooth"
        " fang beak bill snout muzzle trunk paw claw talon pincer tentacle coil hair pocket pouch"
        " bag handbag purse backpack basket satchel"
    ),
    "on": words("lap shoulder arm forearm wrist hand palm finger hip knee head nose antler horn"),
    "at": words("side hip waist belt"),
    "around": words("neck shoulder arm wrist waist"),
    "under": words("arm wing"),
    "between": words("tooth jaw finger paw claw"),
    "across": words("lap shoulder"),
    "over": words("shoulder arm"),
    "against": words("chest breast bosom shoulder cheek"),
    "to": words("chest breast bosom"),
}
HELD_IN |= {"leans on": HELD_IN["on"], "on_top_of": HELD_IN["on"], "atop": HELD_IN["on"]}
"""Where on somebody's body it is held or borne, by the word before: `in her arms`. It is never on
its own lap; it may be on its own back, so that is not here."""
BAGS = words("pocket pouch bag handbag purse backpack basket satchel")
"""Of these only somebody's own: `in her bag`, not `in a bag`."""

HUG = words("hug kiss embrace smooch cuddle canoodle spooning")
"""Two must be there for these, named or not: `1girl, 1boy, hug`."""
CLING = words(
    "dance waltz tango wrestle grapple snuggle nestle nuzzle huddle cling curl entwine intertwine"
)
"""One does these alone as well: `a girl dancing` touches nobody, `dancing with a boy` does."""
TOGETHER = CLING | words("cuddle canoodle spooning")
"""`With` whom these are done is touched."""
ENTWINED = (
    ("piggyback",), ("arm", "in", "arm"), ("cheek", "to", "cheek"), ("princess", "carry"),
    ("bridal", "carry"), ("lap", "pillow"), ("on", "lap"), ("on", "shoulders"), ("making", "out"),
)  # fmt: skip
"""Phrases that say the same; those with `each other` are read in touch.py."""
RESTING = words("asleep sleep lie rest doze nap lounge sprawl drape curl lean")
"""Done `on` or `against` somebody, these touch: `a kitten asleep on top of a dog`."""
TOWARDS = words("up with to against into onto close by tight") | THEIRS | OWN
"""Between such a verb and whom it touches: `snuggled up to a bear`."""
