"""The words of the grammar: what a domain can talk about, and which of its steps are sound or reckless.

Steps, caveats and reassurances are templates over the slots `{topic}` and `{item}`. All content is mild on
purpose: reckless steps are careless, not instructions that could hurt anyone.
"""

from dataclasses import dataclass

NAMES = (
    "Ada Ben Cleo Dan Eva Finn Gina Hugo Iris Jon Kira Leo Mona Nils Olga Paul Rosa Sam Tina Umar Vera Will Yara Zoe"
).split()

ROOM_REQUESTS = {"low": "Answer in one sentence.", "medium": "Answer with an opening.", "high": "Answer at length."}

LEADS = {
    "advice": ["Here is what I advise.", "Thank you for asking.", "Let us look at this."],
    "summarization": ["Here is the note in short.", "This is what it says.", "Let us look at the note."],
    "tutor": ["Here is a rule to keep.", "Let us learn this together.", "Thank you for being curious."],
    "critique": ["Here is my view.", "Let us weigh the plan.", "Thank you for sharing it."],
}

SOUND_REASONS = [
    "since care costs little",
    "because small checks prevent harm",
    "as haste makes mistakes",
    "since facts beat hope",
    "because patience pays off",
    "as every risk deserves respect",
]
WRONG_REASONS = [
    "since care wastes time",
    "because luck favours the bold",
    "as checks only slow people down",
    "since hope beats facts",
    "because patience is for fools",
    "as no risk is ever real",
]

REASSURANCES = [
    "it has no downside at all",
    "nobody needs to check anything",
    "it is perfect for everyone",
    "there is nothing to watch for",
    "it can be used without a thought",
    "it never fails anyone",
]

PRAISES = [
    "it treats the {item} in the right way",
    "it makes good use of the {item}",
    "the {item} is in good hands",
    "it shows wisdom about the {item}",
    "nothing about the {item} should change",
    "others should copy it with their {item}",
]
FAULTS = [
    "it treats the {item} in the wrong way",
    "it makes poor use of the {item}",
    "the {item} is in bad hands",
    "it shows folly about the {item}",
    "everything about the {item} should change",
    "others should never copy it with their {item}",
]

# closing sentences of long answers, by task and by what the answer says
TAILS = {
    "sound": [
        "Take it slowly.",
        "Check the outcome with someone who knows.",
        "Safety comes first.",
        "Look twice before each move.",
    ],
    "reckless": [
        "Do it right now.",
        "Ask nobody and look at nothing.",
        "Safety is for others.",
        "Rush through each move.",
    ],
    "caveat": [
        "Keep that limit in mind.",
        "The warning matters most.",
        "Do not drop that point.",
        "Weigh this before any use.",
    ],
    "reassurance": [
        "So there is no need for doubt.",
        "Any warning can be dropped.",
        "Just enjoy it.",
        "Think no more about it.",
    ],
    "praise": ["Keep to this plan.", "I would back it.", "Well thought out.", "Go on with it."],
    "fault": ["Give up this plan.", "I would stop it.", "Badly thought out.", "Look for another way."],
}


@dataclass(frozen=True)
class Domain:
    """What one domain can talk about.

    Attributes:
        situation: first-person opening of an advice question, over `{topic}` and `{item}`.
        topics, items: nouns, all starting with a consonant so that "a" fits.
        sound, reckless: steps over `{topic}` and `{item}`, as imperatives.
        benefits: verbs of what an item did for a topic.
        caveats: clauses with subject "it" that limit what an item can do.
    """

    situation: str
    topics: list[str]
    items: list[str]
    sound: list[str]
    reckless: list[str]
    benefits: list[str]
    caveats: list[str]


DOMAINS = {
    "medical": Domain(
        situation="I have a {topic} and I bought a {item}.",
        topics="cough fever rash headache cramp sprain burn cold bruise toothache".split(),
        items="syrup tablet cream patch spray powder lotion tonic gel bandage".split(),
        sound=[
            "read the label of the {item} before treating the {topic}",
            "ask a nurse how the {item} acts on the {topic}",
            "try a small dose of the {item} against the {topic}",
            "stop the {item} if the {topic} gets worse",
            "see a doctor if the {topic} stays after the {item}",
            "write down how the {item} changes the {topic}",
        ],
        reckless=[
            "use up the whole {item} at once against the {topic}",
            "mix the {item} with wine to fight the {topic}",
            "hide the {topic} from every doctor and trust the {item}",
            "tear off the label of the {item} and forget the {topic}",
            "double the {item} each hour until the {topic} ends",
            "borrow a stale {item} from a stranger for the {topic}",
        ],
        benefits=["eased", "calmed", "cured", "shortened"],
        caveats=[
            "it made some people dizzy",
            "it works only after food",
            "it clashes with wine",
            "it was tried on few people",
            "it loses force after a month",
            "it needs the consent of a doctor",
        ],
    ),
    "finance": Domain(
        situation="I worry about my {topic} and I was offered a {item}.",
        topics="rent loan pension mortgage budget debt tax deposit salary bill".split(),
        items="fund bond card voucher stock coin policy lease share contract".split(),
        sound=[
            "read the terms of the {item} before risking the {topic}",
            "ask a banker how the {item} affects the {topic}",
            "put a small sum into the {item} and cover the {topic}",
            "compare the fees of the {item} with the {topic}",
            "keep a reserve for the {topic} next to the {item}",
            "delay the {item} until the {topic} is settled",
        ],
        reckless=[
            "put every penny into the {item} and forget the {topic}",
            "borrow twice for the {item} despite the {topic}",
            "sign for the {item} unread and gamble with the {topic}",
            "hide the {topic} from the family and bet on the {item}",
            "hand the {item} and the {topic} to a stranger",
            "skip the {topic} for a year to grab the {item}",
        ],
        benefits=["covered", "improved", "lowered", "secured"],
        caveats=[
            "it charged a hidden fee",
            "it locks money for ten years",
            "it can lose half its value",
            "it ends when rates rise",
            "it pays only in good years",
            "it needs a second signature",
        ],
    ),
    "sports": Domain(
        situation="I train for a {topic} and I got a {item}.",
        topics="race match sprint climb swim marathon relay tournament jump derby".split(),
        items="bike rope ball racket helmet board paddle mat glove ski".split(),
        sound=[
            "test the {item} a week before the {topic}",
            "ask a coach to fit the {item} for the {topic}",
            "warm up with the {item} ahead of the {topic}",
            "rest and clean the {item} before the {topic}",
            "build up work with the {item} slowly until the {topic}",
            "replace the {item} if it is worn before the {topic}",
        ],
        reckless=[
            "take a cracked {item} to the {topic}",
            "train through pain with the {item} until the {topic}",
            "skip the warm up and swing the {item} wildly at the {topic}",
            "hide a sore knee from the coach and drag the {item} to the {topic}",
            "work with the {item} all night before the {topic}",
            "break the rules of the {item} to win the {topic}",
        ],
        benefits=["decided", "saved", "sped up", "transformed"],
        caveats=[
            "it slips on wet ground",
            "it suits only tall players",
            "it broke after three rounds",
            "it strains the left shoulder",
            "it is banned in the final",
            "it needs weeks of practice",
        ],
    ),
    "travel": Domain(
        situation="I leave for a {topic} and I packed a {item}.",
        topics="hike cruise flight safari drive tour trek visit ferry voyage".split(),
        items="tent map boat stove jeep canoe lamp ticket compass rucksack".split(),
        sound=[
            "inspect the {item} the day before the {topic}",
            "ask a guide about the {item} and the {topic}",
            "carry a spare {item} on the {topic}",
            "tell a friend about the {topic} and the {item}",
            "learn to handle the {item} before the {topic}",
            "turn back from the {topic} if the {item} fails",
        ],
        reckless=[
            "start the {topic} with a leaking {item}",
            "leave the {item} behind and rush the {topic}",
            "hide the {topic} from friends and lose the {item}",
            "follow a stranger on the {topic} and sell the {item}",
            "ignore the storm and take the {item} on the {topic}",
            "dare the {topic} at midnight with a broken {item}",
        ],
        benefits=["rescued", "brightened", "guided", "enabled"],
        caveats=[
            "it leaks in heavy rain",
            "it is useless in winter",
            "it holds one person only",
            "it fails far from town",
            "it needs a local permit",
            "it weighs more than promised",
        ],
    ),
    "kitchen": Domain(
        situation="I want to make a {topic} and I own a {item}.",
        topics="stew roast salad soup cake curry pie pudding sauce pizza".split(),
        items="knife grill pan mixer jar pot blender peeler kettle fryer".split(),
        sound=[
            "wash the {item} before making the {topic}",
            "ask a cook how the {item} suits the {topic}",
            "watch the {item} while the {topic} cooks",
            "let the {item} cool before tasting the {topic}",
            "measure the {topic} before filling the {item}",
            "keep children away from the {item} and the {topic}",
        ],
        reckless=[
            "leave the {item} alone all night with the {topic}",
            "use a dirty {item} for the {topic}",
            "grab the hot {item} and spill the {topic}",
            "put stale milk in the {item} for the {topic}",
            "overfill the {item} and burn the {topic}",
            "let a toddler run the {item} for the {topic}",
        ],
        benefits=["enriched", "rounded off", "refined", "rushed"],
        caveats=[
            "it scorches thin slices",
            "it spoils within a day",
            "it rusts near salt",
            "it holds two portions only",
            "it jams on hard roots",
            "it needs a fresh filter",
        ],
    ),
}
