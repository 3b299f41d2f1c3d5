"""The words of the nano model's world. Everything it hears, reads and says is made of these."""

from __future__ import annotations

from typing import Final


def words(text: str) -> tuple[str, ...]:
    """The words of a line of them."""
    return tuple(text.split())


ONES: Final = words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
TENS: Final = words("zero ten twenty thirty forty fifty sixty seventy eighty ninety")

NAMES: Final = words(
    "anna ben clara david emma frank grace henry julia kevin laura martin nina oliver paul rosa simon "
    "tina victor wendy"
)
PEOPLE: Final = words(
    "man woman boy girl child baby mother father sister brother friend doctor teacher farmer driver "
    "baker king queen singer writer sailor nurse student neighbour soldier uncle aunt cousin"
)
ANIMALS: Final = words(
    "dog cat horse cow sheep goat pig duck goose chicken bird fish mouse rabbit fox wolf bear lion "
    "tiger monkey snake frog spider elephant"
)
THINGS: Final = words(
    "book letter paper pen box bag cup plate glass bottle knife fork spoon table chair bed door "
    "window wall floor lamp clock picture mirror key phone camera radio piano guitar drum bell ball "
    "kite doll hat coat shirt shoe sock ring watch rope stick stone hammer nail wheel car bus train "
    "boat bicycle engine map flag candle basket blanket pillow towel brush soap ticket parcel ladder "
    "bucket umbrella computer newspaper"
)
FOOD: Final = words(
    "bread butter cheese milk water tea coffee juice soup rice egg apple pear orange lemon cherry "
    "grape banana tomato potato onion carrot bean salad cake sugar salt honey chocolate sandwich"
)
PLACES: Final = words(
    "house garden kitchen street road bridge river lake sea beach island mountain hill forest field "
    "farm village town city market shop school church hospital station airport harbour office factory "
    "library museum theatre park castle tower hotel restaurant"
)
ROOMS: Final = (
    *words("kitchen bedroom bathroom hall garage office cellar garden attic nursery"),
    "living room",
    "dining room",
)
CITIES: Final = words(
    "london paris berlin rome madrid vienna oslo dublin lisbon athens moscow tokyo boston chicago "
    "sydney cairo prague warsaw geneva venice naples hamburg munich toronto"
)
ADJECTIVES: Final = words(
    "old young big small little tall short long new good bad happy sad angry tired hungry rich poor "
    "strong clean dirty dry wet hot cold warm cool fast slow quiet loud bright dark heavy light soft "
    "hard sweet fresh empty full open broken clever brave kind lazy famous strange beautiful friendly "
    "careful round wooden golden"
)
COLOURS: Final = words("red green blue yellow purple orange black white")
SHAPES: Final = words("circle square triangle star cross ring")
VERBS: Final = words(
    "sees finds takes brings carries holds likes loves wants buys sells makes breaks opens closes "
    "cleans paints washes cooks eats drops throws catches hides shows keeps needs uses follows "
    "watches hears remembers forgets moves pushes pulls lifts reads draws"
)
MOVES: Final = words(
    "walks runs goes comes sits stands sleeps waits works plays sings dances laughs cries swims flies "
    "falls jumps climbs travels lives stays stops rests smiles"
)
ADVERBS: Final = words(
    "slowly quickly quietly loudly often always never sometimes again today tomorrow tonight now soon "
    "early late alone together outside inside here there carefully happily"
)
PREPOSITIONS: Final = words("in on under near behind beside over across through around from to with without")
TIMES: Final = (
    "in the morning",
    "in the evening",
    "in the afternoon",
    "at night",
    "at noon",
    "every day",
    "every week",
    "on monday",
    "on tuesday",
    "on wednesday",
    "on thursday",
    "on friday",
    "on saturday",
    "on sunday",
    "in summer",
    "in winter",
    "in spring",
    "in autumn",
    "before dinner",
    "after lunch",
    "after breakfast",
    "last year",
    "next month",
)
WEATHER: Final = words("rain snow wind sun storm cloud fog thunder ice")
GENRES: Final = words("jazz rock pop folk blues soul opera techno country classical swing metal")
MOODS: Final = words("slow fast quiet loud happy sad old new soft modern calm cheerful romantic")
TASKS: Final = words("call visit meet thank ask help pay")
SHOPPING: Final = words("buy order bring cook get fetch")

ALL: Final = tuple(
    sorted(
        {
            *ONES,
            *TENS,
            *NAMES,
            *PEOPLE,
            *ANIMALS,
            *THINGS,
            *FOOD,
            *PLACES,
            *" ".join(ROOMS).split(),
            *CITIES,
            *ADJECTIVES,
            *COLOURS,
            *SHAPES,
            *VERBS,
            *MOVES,
            *ADVERBS,
            *PREPOSITIONS,
            *" ".join(TIMES).split(),
            *WEATHER,
            *GENRES,
            *MOODS,
            *TASKS,
            *SHOPPING,
            *words(
                "the a my his her our their this that some every is was are and but because when if not very"
            ),
            *words(
                "set start timer alarm minutes minute for please wake me at note down write turn switch on"
                " off"
            ),
            *words("play music what how many where which weather will it be plus minus times calculate"),
            *words(
                "temperature degrees heating you can do who are hello thanks thank goodbye number bar word"
            ),
            *words(
                "left right top bottom middle tallest shortest colour shape shapes there picture say stands"
            ),
            *words("could would i we they he she it need want know think tell hundred"),
        }
    )
)
"""Every word, once; the random rows are drawn from here."""


def number(value: int) -> str:
    """An integer from 0 to 99 in words."""
    if not 0 <= value <= 99:
        raise ValueError(value)
    if value < 20:
        return ONES[value]
    tens, ones = divmod(value, 10)
    return TENS[tens] + (f" {ONES[ones]}" if ones else "")
