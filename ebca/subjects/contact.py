"""Words of holding and touching: verbs, and the places on a body where something is held."""

from __future__ import annotations

from ebca.subjects.grammar import OWN, THEIRS, words

HOLD = words(
    "hold carry wield clutch cradle grip grasp grab brandish hoist heft lift tote lug shoulder"
    " sling clasp clench bear nurse breastfeed dual-wield"
)
"""Verbs whose object is in somebody's arms or hands, be it a sword or a cat."""
HANDLE = words(
    "raise swing aim point fire draw twirl thrust wave flourish juggle balance dangle extend offer"
    " present hand give bring fetch play read"
)
"""Verbs whose object is held if it is a thing and no living being: `raising a sword`."""
STANDS_ALONE = words("piano organ harpsichord harp drum xylophone marimba")
"""Instruments that are played but not held."""
PARTICLES = words("up out aloft onto on to")
"""Words that belong to a verb of holding: `holding up a sign`, `holding on to a rope`."""

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
"""The places on a body where something is held or borne, by their preposition: `in her arms`.

Nobody sits on their own lap, but one may lie on one's own back, so `back` is left out."""
BAGS = words("pocket pouch bag handbag purse backpack basket satchel")
"""Places in `HELD_IN` that count only with a possessive: `in her bag`, not `in a bag`."""

HUG = words("hug kiss embrace smooch cuddle canoodle spooning")
"""Verbs that take two, whether both are named or not: `1girl, 1boy, hug`."""
CLING = words(
    "dance waltz tango wrestle grapple snuggle nestle nuzzle huddle cling curl entwine intertwine"
)
"""Verbs that can be done alone: `a girl dancing` touches nobody, `dancing with a boy` does."""
TOGETHER = CLING | words("cuddle canoodle spooning")
"""Verbs whose partner after `with` is touched."""
ENTWINED = (
    ("piggyback",), ("arm", "in", "arm"), ("cheek", "to", "cheek"), ("princess", "carry"),
    ("bridal", "carry"), ("lap", "pillow"), ("on", "lap"), ("on", "shoulders"), ("making", "out"),
)  # fmt: skip
"""Phrases that also say that two touch; touch.py reads those with `each other`."""
RESTING = words("asleep sleep lie rest doze nap lounge sprawl drape curl lean")
"""Verbs that say that two touch where one does them `on` or `against` the other."""
TOWARDS = words("up with to against into onto close by tight") | THEIRS | OWN
"""Words between such a verb and its partner: `snuggled up to a bear`."""
