"""Constructions of wanting, ruling out and softening in three languages; scopes; what is left as text."""

import numpy as np
import pandas as pd
import pytest

from tailor.data.vocabulary import Vocabulary
from tailor.serving.intent import TitleIndex, parse_query
from tailor.serving.intent.dates import NumericColumns

NAMES = ["Action", "Children's", "Comedy", "Drama", "Horror", "Romance", "Sci-Fi", "Slice of Life", "War", "Western"]
ALIASES = {
    "Action": ["动作", "action"],
    "Comedy": ["喜剧", "komödie", "komödien", "funny"],
    "Drama": ["剧情", "dramen"],
    "Horror": ["恐怖", "恐怖片", "scary"],
    "Romance": ["爱情", "liebe", "liebesfilm", "romantic"],
    "Sci-Fi": ["科幻", "science fiction"],
    "War": ["战争", "krieg"],
    "Western": ["西部"],
    "No such category": ["nothing"],
}
VOCABULARY = Vocabulary(NAMES, ALIASES)
TITLES = TitleIndex(["Star Wars", "Fargo", "Matrix, The", "Heat"], np.arange(4))
COLUMNS = NumericColumns.of(pd.DataFrame({"year": [1977.0, 1996.0, 1999.0, 1995.0]}), ["year"])


def names(categories):
    return {NAMES[category] for category in categories}


def understood(query):
    intent = parse_query(query, VOCABULARY, TITLES, COLUMNS)
    return names(intent.categories), names(intent.excluded_categories), names(intent.softer_categories)


@pytest.mark.parametrize(
    "query",
    [
        "comedy",
        "Comedies for a rainy day",
        "we could use a comedy",
        "not merely comedies",
        "I can't say no to a comedy",
        "you can never have too many comedies, never too many",
        "who doesn't love a comedy",
        "I would not mind a comedy",
        "there's nothing better than a comedy",
        "don't skip the comedies",
        "my mother is addicted to comedy",
        "comedy yes please",
        "a komödie",
        "eine Komödie wäre toll",
        "Komödien nicht vergessen, am liebsten",
        "ohne Komödien geht nicht, kein Tag ohne Komödien",
        "warum nicht eine Komödie",
        "给我推荐一部喜剧",
        "谁不喜欢喜剧",
        "喜剧百看不厌",
        "不仅仅是喜剧",
    ],
)
def test_a_category_is_wanted(query):
    assert understood(query) == ({"Comedy"}, set(), set())


@pytest.mark.parametrize(
    "query",
    [
        "no horror",
        "please no horror tonight",
        "I really dislike horror",
        "anything but horror",
        "everything except horror",
        "I do not like horror",
        "horror isn't for me",
        "horror is not my thing",
        "horror? no thanks",
        "I'm tired of horror",
        "we had enough of horror",
        "horror gets on my nerves",
        "leave horror out",
        "steer clear of horror",
        "nothing scary",
        "not interested in horror",
        "my son hates horror",
        "I am no fan of horror",
        "horror can wait",
        "bitte keinen Horror",
        "ich hasse Horror",
        "Horror geht gar nicht",
        "auf keinen Fall Horror",
        "Horrorfilme mag ich nicht",
        "alles, nur kein Horror",
        "别给我恐怖片",
        "不喜欢恐怖片",
        "讨厌恐怖片",
        "恐怖片就算了",
        "恐怖片除外",
    ],
)
def test_a_category_is_ruled_out(query):
    assert understood(query) == (set(), {"Horror"}, set())


@pytest.mark.parametrize(
    "query",
    [
        "less action",
        "not so much action",
        "go easy on the action",
        "cut down on the action a bit",
        "a bit less action",
        "turn the action down",
        "not too much action",
        "I don't want too much action",
        "etwas weniger Action",
        "nicht zu viel Action",
        "Action bitte nicht so oft",
        "动作少一点",
        "动作不要太多",
        "少来点动作",
    ],
)
def test_a_category_is_softened(query):
    assert understood(query) == (set(), set(), {"Action"})


@pytest.mark.parametrize(
    ("query", "wanted", "excluded", "softer"),
    [
        ("slow space opera, no romance", [], ["Romance"], []),
        ("no romance, action", ["Action"], ["Romance"], []),
        ("action without drama or war", ["Action"], ["Drama", "War"], []),
        ("no horror, war or drama", [], ["Horror", "War", "Drama"], []),
        ("not a comedy but drama", ["Drama"], ["Comedy"], []),
        ("drama, don't want any war please", ["Drama"], ["War"], []),
        ("comedy no comedy", [], ["Comedy"], []),
        ("hate westerns but love comedies", ["Comedy"], ["Western"], []),
        ("no horror and more comedy", ["Comedy"], ["Horror"], []),
        ("a drama instead of a comedy", ["Drama"], ["Comedy"], []),
        ("trade the drama for a western", ["Western"], ["Drama"], []),
        ("I'd choose comedy over drama", ["Comedy"], ["Drama"], []),
        ("dramas bore me and I love westerns", ["Western"], ["Drama"], []),
        ("less drama, no war, more comedy", ["Comedy"], ["War"], ["Drama"]),
        ("a not too gloomy drama", ["Drama"], [], []),
        ("a western that is not boring", ["Western"], [], []),
        ("a slice of life", ["Slice of Life"], [], []),
        ("Krieg nein, Komödie ja", ["Comedy"], ["War"], []),
        ("Komödien statt Dramen", ["Comedy"], ["Drama"], []),
        ("lieber Western als Krieg", ["Western"], ["War"], []),
        ("没有战争的爱情片", ["Romance"], ["War"], []),
        ("不要恐怖、战争，想看喜剧", ["Comedy"], ["Horror", "War"], []),
        ("不要太沉重的剧情片", ["Drama"], [], []),
        ("?!,.", [], [], []),
        ("", [], [], []),
    ],
)
def test_scopes_end_where_the_phrase_does(query, wanted, excluded, softer):
    assert understood(query) == (set(wanted), set(excluded), set(softer))


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("Comedies for a rainy day", "comedies for a rainy day"),
        ("show me a movie please", ""),
        ("I want to see something with dragons, no elves", "dragons"),
        ("action without drama", "action"),
        ("something like Fargo in the snow", "snow"),
        ("想看龙的电影", "龙"),
        ("no", ""),
        ("pirates hide their treasure", "pirates hide their treasure"),
        ("I hate spiders, something with dragons", "dragons"),
    ],
)
def test_frames_names_and_what_is_ruled_out_leave_the_text(query, text):
    assert parse_query(query, VOCABULARY, TITLES, COLUMNS).text == text


def test_what_is_ruled_out_or_softened_and_is_no_category_is_kept_as_words():
    assert parse_query("space, no giant robots or zombies", VOCABULARY).negated == ("giant robots", "zombies")
    assert parse_query("a drama, not too gloomy", VOCABULARY).softened == ("gloomy",)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("space, no giant robots or zombies", [("giant robots",), ("zombies",)]),
        ("no board games for two please", [("board games for two", "board games")]),
        ("no rock and roll", [("rock and roll",)]),
        ("a lotion without fragrance", [("fragrance",)]),
        ("bitte keine Brettspiele", [("brettspiele",)]),
        ("ohne laute Musik", [("laute musik",)]),
        ("no teddy bears", [("teddy bears",)]),
        ("no more dolls please", [("dolls",)]),
        ("nothing with glitter", [("glitter",)]),
        ("keine Puppen mehr", [("puppen",)]),
        # Of a verb, of how much, of what is wanted after all, of a category alone: nothing is ruled out by its words.
        ("I have no time, something funny", []),
        ("I can't sleep", []),
        ("not like the others", []),
        ("a drama, not too gloomy", []),
        ("no doubt a story of spiders", []),
        ("no comedy", []),
        ("no love stories", []),
        ("我没看过的", []),
    ],
)
def test_what_stands_behind_no_or_without_is_ruled_out_word_for_word(query, expected):
    assert list(parse_query(query, VOCABULARY).excluded_phrases) == expected


def test_five_phrases_are_ruled_out_at_most():
    assert len(parse_query("no " + " or ".join(f"thing{n}" for n in range(30)), VOCABULARY).excluded_phrases) == 5


@pytest.mark.parametrize(
    ("query", "category"),
    [("commedy", "Comedy"), ("wetsern please", "Western"), ("a horrror flick", "Horror"), ("Komödje", "Comedy")],
)
def test_misspelt_categories(query, category):
    assert understood(query)[0] == {category}


@pytest.mark.parametrize("query", ["was war das", "wer war der Held"])
def test_a_german_word_is_no_english_category(query):
    assert understood(query) == (set(), set(), set())


@pytest.mark.parametrize(
    ("query", "like"),
    [
        ("something like star wars", [0]),
        ("I loved Fargo", [1]),
        ("matrix", [2]),
        ("like the matrix but funny", [2]),
        ("so was wie Fargo", [1]),
        ("类似 Fargo 的片子", [1]),
    ],
)
def test_titles_are_examples(query, like):
    assert list(parse_query(query, VOCABULARY, TITLES, COLUMNS).like) == like
    assert "War" not in understood(query)[0]


def test_a_title_that_is_ruled_out_is_no_example():
    intent = parse_query('nothing like "Fargo"', VOCABULARY, TITLES, COLUMNS)
    assert (intent.like, intent.unlike) == ((), (1,))


def test_bounds_and_categories_stand_together():
    intent = parse_query("a comedy from before 1990 without romance", VOCABULARY, TITLES, COLUMNS)
    assert names(intent.categories) == {"Comedy"}
    assert names(intent.excluded_categories) == {"Romance"}
    assert intent.filters == {"year": {"max": 1989.0}}


def test_keywords_tell_of_a_category_without_naming_it():
    keywords = Vocabulary(NAMES, {"Western": ["saloon", "牛仔"]}, with_names=False)
    intent = parse_query("a saloon at noon", VOCABULARY, keywords=keywords)
    assert (names(intent.categories), names(intent.about)) == (set(), {"Western"})
    assert names(parse_query("两个牛仔", VOCABULARY, keywords=keywords).about) == {"Western"}
    assert parse_query("no saloon", VOCABULARY, keywords=keywords).about == ()
    assert not parse_query("a walk at noon", VOCABULARY, keywords=keywords).is_structured


@pytest.mark.parametrize(
    "query",
    [
        "comedy, just go a bit slower with the horror",
        "a comedy with horror only as a pinch of spice",
        "comedy with a hint of horror at most",
        "comedy, horror only at the margins",
        "comedy where the horror takes second place",
        "comedy with horror playing second fiddle",
        "comedy, horror should be rare",
        "comedy, keep the horror low",
        "comedy, keep horror at bay a little",
        "comedy but keep the horror mild",
        "I've had a lot of horror lately, so less of that, more comedy",
        "comedy, not quite as heavy on the horror",
        "comedy, with the horror dialled back",
        "comedy, a little restraint with the horror",
        "comedy, not so heavy on horror",
        "comedy and a smaller portion of horror",
        "comedy, horror in homeopathic doses",
        "comedy, horror every once in a while at most",
        "comedy, the horror can be toned down",
        "comedy, could you tone the horror down",
        "comedy, you may cut down a little on horror",
        "comedy, a bit too much horror lately",
        "comedy, there's too much horror in my list",
        "comedy, my list has so much horror",
        "comedy, horror is getting too much",
        "comedy, horror is overrepresented",
        "comedy, horror shows up too often",
        "comedy, horror comes up too frequently",
        "comedy, I see horror too often",
        "comedy, not horror all the time",
        "comedy, ease off the horror",
        "comedy, spare horror for special occasions",
        "comedy, less emphasis on horror",
        "comedy, put less weight on horror",
        "comedy, give horror less room",
        "comedy, rank horror lower",
        "comedy, push horror down",
        "comedy, move horror further down",
        "comedy, fewer horror films than before",
        "comedy, don't go heavy on horror",
        "comedy, don't push horror so much",
        "comedy, don't show me so much horror",
        "comedy, please stop recommending so much horror",
        "comedy, I don't want that much horror",
        "comedy, horror but only a touch",
        "comedy, horror to a lesser extent",
        "comedy, horror is okay in small amounts",
        "comedy, not primarily horror",
        "comedy, not mainly horror",
        "comedy, not mostly horror",
        "Komödie, etwas weniger Horror",
        "Komödie, Horror nur am Rande",
        "Komödie, Horror bitte nur in kleinen Dosen",
        "Komödie, Horror eher selten",
        "Komödie, Horror höchstens ab und zu",
        "Komödie, Horror darf ruhig seltener kommen",
        "Komödie, nicht ganz so oft Horror",
        "Komödie, nicht so oft Horror",
        "Komödie, nicht zu oft Horror",
        "Komödie, Horror etwas zurücknehmen",
        "Komödie, nimm den Horror etwas zurück",
        "Komödie, fahr den Horror ein wenig zurück",
        "Komödie, schraub den Horror runter",
        "Komödie, nicht gleich so viel Horror",
        "Komödie, bei Horror etwas kürzer treten",
        "Komödie, weniger Gewicht auf Horror",
        "Komödie, Horror weiter nach unten",
        "Komödie, Horror nur als Beilage",
        "Komödie, Horror bitte nur dosiert",
        "Komödie, mit Horror sparsam umgehen",
        "Komödie, ein Hauch Horror reicht",
        "Komödie, höchstens ein Hauch Horror",
        "Komödie, höchstens ein wenig Horror",
        "Komödie, zu viel Horror in letzter Zeit",
        "Komödie, in letzter Zeit war es zu viel Horror",
        "Komödie, Horror kommt zu oft vor",
        "Komödie, Horror kommt mir zu häufig",
        "Komödie, es muss nicht immer Horror sein",
        "Komödie, muss ja nicht dauernd Horror sein",
        "Komödie, nicht schon wieder so viel Horror",
        "Komödie, Horror wird mir zu viel",
        "喜剧，恐怖片少推荐一些",
        "喜剧，恐怖少一点点",
        "喜剧，恐怖片比例低一点",
        "喜剧，恐怖的比重降一降",
        "喜剧，恐怖片太频繁了",
        "喜剧，最近恐怖片太多了",
        "喜剧，恐怖片有点过多",
        "喜剧，恐怖片不要那么频繁",
        "喜剧，恐怖片点到为止",
        "喜剧，恐怖片往后排",
        "喜剧，恐怖片靠后一点",
        "喜剧，恐怖片稍微减一减",
        "喜剧，恐怖片适可而止",
        "喜剧，少一丢丢恐怖",
        "喜剧，别一直推恐怖",
        "喜剧，不要一直是恐怖片",
        "喜剧，不要老推恐怖片",
        "喜剧，恐怖元素弱一点",
        "喜剧，恐怖片出现得太多",
        "喜剧，恐怖片可以少出现",
        "喜剧，尽量少点恐怖",
    ],
)
def test_more_ways_to_want_less_of_one_category_beside_another(query):
    assert understood(query) == ({"Comedy"}, set(), {"Horror"})


@pytest.mark.parametrize(
    "query",
    [
        "comedy, but horror can stay in the drawer",
        "comedy, nothing remotely horror",
        "comedy, nothing in the way of horror",
        "comedy, nothing resembling horror",
        "comedy, nothing with horror in it",
        "comedy without even a trace of horror",
        "comedy free from horror",
        "horror-free comedy",
        "comedy, zero tolerance for horror",
        "comedy, horror is a red flag",
        "comedy, horror is where I draw the line",
        "comedy, I draw the line at horror",
        "comedy, I can't deal with horror",
        "comedy, I cannot handle horror",
        "comedy, I don't do horror",
        "comedy, I've no use for horror",
        "comedy, horror does not work for me",
        "comedy, horror isn't my cup of tea",
        "comedy, horror has never been my thing",
        "comedy, horror leaves me unmoved",
        "comedy, horror is too scary for me so leave it out",
        "comedy, please omit any horror",
        "comedy, horror films need not be shown",
        "comedy, no horror whatsoever",
        "comedy, not one horror film",
        "comedy, not a trace of horror",
        "comedy, never ever horror",
        "comedy, absolutely no horror",
        "comedy, definitely not horror",
        "comedy, under no condition horror",
        "comedy, I'd sooner not see horror",
        "comedy, I would rather not watch horror",
        "comedy, I'd prefer not to see horror",
        "comedy, I wish there were no horror",
        "comedy, everything apart from horror",
        "comedy, it must not be horror",
        "comedy, it shouldn't be horror",
        "comedy, it mustn't contain horror",
        "comedy, as long as there is no horror",
        "comedy, so long as horror is not involved",
        "comedy, with horror left out",
        "comedy, horror excluded",
        "comedy, horror not included",
        "comedy, minus the horror",
        "comedy, horror? rather not",
        "comedy, horror? I'd rather not",
        "comedy, horror? not today",
        "comedy, horror? forget it",
        "comedy, horror? anything but that",
        "comedy, horror? over my dead body",
        "comedy, horror is not happening",
        "comedy, horror has no place here",
        "comedy, horror has no business here",
        "comedy, horror? thanks but no thanks",
        "comedy, take horror off my list",
        "comedy, strike horror from the list",
        "comedy, I want nothing to do with horror",
        "comedy, I have had my fill of horror",
        "comedy, I've had it up to here with horror",
        "comedy, I'm not a horror person",
        "comedy, I am no horror fan",
        "comedy, never been one to watch horror",
        "Komödie, aber bloß kein Horror",
        "Komödie, Horror nein danke",
        "Komödie, Horror bitte nicht",
        "Komödie, Horror lieber nicht",
        "Komödie, Horror will ich nicht sehen",
        "Komödie, Horror mag ich nicht",
        "Komödie, Horror kann ich nicht ausstehen",
        "Komödie, Horror kann ich nicht leiden",
        "Komödie, mit Horror kann man mich jagen",
        "Komödie, mit Horror kann ich nichts anfangen",
        "Komödie, Horror ist nichts für mich",
        "Komödie, Horror ist nicht mein Ding",
        "Komödie, Horror lässt du bitte weg",
        "Komödie, lass den Horror bitte weg",
        "Komödie, Horror kommt mir nicht ins Haus",
        "Komödie, Horror raus",
        "Komödie, auf Horror verzichte ich",
        "Komödie, auf Horror kann ich verzichten",
        "Komödie, von Horror habe ich genug",
        "Komödie, von Horror hab ich die Nase voll",
        "Komödie, ich habe die Nase voll von Horror",
        "Komödie, Horror hängt mir zum Hals heraus",
        "Komödie, Horror geht gar nicht",
        "Komödie, Horror vertrage ich nicht",
        "Komödie, ich vertrage keinen Horror",
        "Komödie, Horror ertrage ich nicht",
        "Komödie, um Horror mache ich einen Bogen",
        "Komödie, mach einen Bogen um Horror",
        "Komödie, jedenfalls kein Horror",
        "Komödie, auf gar keinen Fall Horror",
        "Komödie, keine Spur von Horror",
        "Komödie, frei von Horror",
        "Komödie, Horror ausgeschlossen",
        "Komödie, Horror ist tabu",
        "Komödie, Horror brauch ich nicht",
        "Komödie, für Horror bin ich nicht zu haben",
        "Komödie, Horror bleibt draußen",
        "Komödie, Horror soll draußen bleiben",
        "Komödie, ich sehe ungern Horror",
        "Komödie, ich mache mir nichts aus Horror",
        "Komödie, Horror ist nicht meine Welt",
        "Komödie, alles außer Horror",
        "Komödie, solange es nicht Horror ist",
        "Komödie, Hauptsache nicht Horror",
        "喜剧，恐怖片就别给我看了",
        "喜剧，恐怖片不考虑",
        "喜剧，恐怖片一律排除",
        "喜剧，恐怖片免谈",
        "喜剧，恐怖片我看不来",
        "喜剧，恐怖片我从来不碰",
        "喜剧，我对恐怖片没兴趣",
        "喜剧，我对恐怖片不感冒",
        "喜剧，跟恐怖无关的",
        "喜剧，不带任何恐怖",
        "喜剧，没有一点恐怖",
        "喜剧，一点恐怖都不要",
        "喜剧，恐怖一点都不要",
        "喜剧，恐怖的统统不要",
        "喜剧，恐怖片一部也不要",
        "喜剧，恐怖片通通去掉",
        "喜剧，恐怖片请排除在外",
        "喜剧，恐怖片请绕道",
        "喜剧，请别让我看到恐怖片",
        "喜剧，不想再碰恐怖片",
        "喜剧，恐怖片接受无能",
        "喜剧，恐怖片达咩",
        "喜剧，恐怖片拜拜",
        "喜剧，恐怖片我不行",
        "喜剧，恐怖片我受不住",
        "喜剧，杜绝恐怖",
        "喜剧，千万不能有恐怖",
        "喜剧，恐怖片退散",
    ],
)
def test_more_ways_to_rule_out_one_category_beside_another(query):
    assert understood(query) == ({"Comedy"}, {"Horror"}, set())


@pytest.mark.parametrize(
    "query",
    [
        "I could watch comedies all day",
        "comedies are never wrong",
        "nothing wrong with a comedy",
        "comedy is always a safe bet",
        "you can't have enough comedy",
        "a comedy would hit the spot",
        "comedy is exactly what I need",
        "I wouldn't object to a comedy",
        "bring me comedy, I don't care which",
        "comedy never disappoints",
        "Komödie geht immer",
        "Komödie passt immer",
        "gegen eine Komödie spricht nichts",
        "gegen Komödie habe ich nichts einzuwenden",
        "eine Komödie kommt mir gerade recht",
        "eine Komödie darf es sein",
        "Komödie wäre nicht verkehrt",
        "ohne Komödie kein Abend",
        "喜剧永远不嫌多",
        "喜剧怎么看都看不够",
        "喜剧总没错",
        "来部喜剧准没错",
        "喜剧我来者不拒",
        "没有喜剧怎么行",
    ],
)
def test_more_ways_to_want_a_category(query):
    assert understood(query) == ({"Comedy"}, set(), set())


@pytest.mark.parametrize(
    ("query", "wanted", "excluded", "softer"),
    [
        ("I hate horror so much", set(), {"Horror"}, set()),
        ("no horror and always comedy", {"Comedy"}, {"Horror"}, set()),
        ("I don't like horror that much", set(), set(), {"Horror"}),
        ("not always comedies but westerns", {"Western"}, set(), {"Comedy"}),
        ("a rare western", {"Western"}, set(), set()),
        ("horror is rare", set(), set(), {"Horror"}),
        ("a western about free men", {"Western"}, set(), set()),
        ("horrorfrei", set(), set(), set()),
        ("horror for free", {"Horror"}, set(), set()),
        ("comedy at most 90 minutes long", {"Comedy"}, set(), set()),
        ("horror bores me and drama too", set(), {"Drama", "Horror"}, set()),
    ],
)
def test_a_degree_softens_what_is_negated_and_no_dislike(query, wanted, excluded, softer):
    assert understood(query) == (wanted, excluded, softer)
