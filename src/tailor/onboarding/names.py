"""The field's usual names of columns and files."""

import re
from collections.abc import Iterable
from typing import Final

from tailor import columns as c

#: Of a column beside those that Tailor names.
EVENT: Final = "event"
CATEGORIES: Final = "categories"


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


#: By role the usual names, the most usual first, without case and marks: ``reviewerID`` is ``reviewerid``.
USUAL: Final[dict[str, tuple[str, ...]]] = {
    c.USER: _names(
        """
        userid user uid useridx userno usernumber userkey userhash customerid customer custid cust customerno clientid
        client reviewerid reviewer memberid member visitorid visitor viewerid readerid listenerid buyerid buyer playerid
        accountid account authorid personid person patronid subscriberid profileid deviceid cookieid sessionid session
        username usernm nickname
        """
    ),
    c.ITEM: _names(
        """
        itemid item iid itemidx itemno itemkey productid product prodid productno sku skuid asin parentasin isbn isbn13
        ean upc gtin movieid movie filmid film showid videoid trackid track songid song artistid artist albumid bookid
        book workid animeid gameid appid appname articleid article newsid docid documentid postid storyid businessid
        placeid venueid poi poiid restaurantid recipeid courseid jobid listingid listing contentid adid offerid
        goodsid stockcode eventitemid beerid hotelid
        """
    ),
    c.TIMESTAMP: _names(
        """
        timestamp timestamps ts time unixreviewtime unixtime unixtimestamp eventtime eventtimestamp reviewtime ratedat
        ratingtime datetime date createdat created creationdate createddate eventdate reviewdate ratingdate orderdate
        ordertime orderedat invoicedate purchasedate purchasetime purchasedat boughtat clicktime viewtime visittime
        visitedat playedat watchedat listenedat readat addedat lastwatched lastupdated updatedat when day tstamp at
        """
    ),
    c.VALUE: _names(
        """
        rating ratings stars star starrating score overall grade value vote votes reviewscore reviewrating reviewoverall
        rate userrating userscore myrating bookrating preference pref like liked relevance label
        """
    ),
    EVENT: _names(
        "event eventtype eventname interactiontype action actiontype behavior behaviour behaviortype verb type"
    ),
    c.TEXT: _names(
        "text review reviewtext reviewbody comment comments commenttext body reviewcontent content feedback"
    ),
    c.SPLIT: _names("split splits part partition fold subset set xset"),
    c.TITLE: _names(
        """
        title name itemname itemtitle productname producttitle movietitle moviename filmtitle booktitle tracktitle
        trackname songtitle songname albumtitle gametitle appname headline heading articletitle coursetitle jobtitle
        recipename restaurantname businessname displayname label titleen englishtitle originaltitle caption
        """
    ),
    CATEGORIES: _names(
        """
        genres genre categories category maincategory mastercategory subcategory cat class classes tags tag topics topic
        subjects subject keywords keyword type types department departmentname section productgroup productgroupname
        producttype producttypename style styles listedin collection kind
        """
    ),
    "brand": _names("brand brandname manufacturer maker vendor publisher studio studios label author authors writer"),
    "long text": _names(
        """
        description desc overview plot plotsummary summary synopsis abstract details detaildesc longdescription about
        body text features feature content
        """
    ),
    "year": _names("year releaseyear yearpublished publicationyear yearofpublication startyear published releaseyr"),
}
#: What people do and mean it, what they merely pass by, and what they refuse.
STRONG_EVENTS: Final = frozenset(
    _names(
        """
        purchase purchased buy bought order ordered transaction checkout cart addtocart basket addtobasket like liked
        love loved favorite favourite fav favorited save saved bookmark bookmarked wishlist addtowishlist subscribe
        follow complete completed finish finished download install read listen listened play played watch watched rent
        borrow rating rated rate review reviewed share shared apply applied book booked conversion convert
        """
    )
)
WEAK_EVENTS: Final = frozenset(
    _names("view viewed pageview pv detail click clicked open opened visit impression show start")
)
NEGATIVE_EVENTS: Final = frozenset(
    _names(
        """
        dislike disliked skip skipped remove removed removefromcart removecart delete hide hidden return returned refund
        unlike unfollow unsubscribe unfavorite reject rejected ignore report block cancel cancelled canceled
        """
    )
)
#: Counts, which say how often and not how much somebody liked it.
COUNTS: Final = frozenset(
    _names("count counts plays playcount nplays listens views clicks quantity qty units times weight frequency freq n")
)
#: Of personal data that no model needs.
PERSONAL: Final = frozenset(
    _names(
        """
        name username firstname lastname surname fullname email mail emailaddress phone telephone mobile address street
        password ip ipaddress nickname displayname avatar url zip zipcode postcode postalcode
        """
    )
)
#: Words in a file's or table's name that say what it holds.
FILE_WORDS: Final[dict[str, frozenset[str]]] = {
    "interactions": frozenset(
        _names(
            """
            interactions interaction inter ratings rating reviews review events event transactions transaction orders
            order clicks click views log logs purchases purchase sales history plays listens behavior behaviour train
            data votes feedback sessions baskets watched played liked bought read listened watchlist
            """
        )
    ),
    "items": frozenset(
        _names(
            """
            items item products product movies movie films books book catalog catalogue metadata meta articles article
            tracks songs artists games anime news recipes courses jobs offers goods shows videos businesses places
            """
        )
    ),
    "users": frozenset(
        _names("users user customers customer members member reviewers clients accounts profiles people readers")
    ),
}
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+")


def plain(name: str) -> str:
    """Return a name without case, marks and the type that RecBole writes behind it.

    Example:
        >>> plain("reviewerID"), plain("user_id:token"), plain("Movie Title")
        ('reviewerid', 'userid', 'movietitle')
    """
    return re.sub(r"[\W_]+", "", re.sub(r":(token|float)(_seq)?$", "", str(name).strip()).lower())


def words_of(name: str) -> list[str]:
    """Return the words of a name in lower case: ``ratingsTrain_2020.csv`` has ratings, train, 2020, csv."""
    return [word.lower() for word in _PART.findall(str(name))]


def name_score(role: str, name: str) -> float:
    """Return how usual a column's name is for a role: 1 for the most usual one, 0.4 for a part of one, 0 for none.

    Args:
        role: a key of :data:`USUAL`.
        name: the column's.
    """
    usual = USUAL[role]
    if plain(name) in usual:
        return 1.0 - 0.3 * usual.index(plain(name)) / len(usual)
    return 0.4 if set(words_of(name)) & set(usual[:30]) else 0.0


def is_usual(role: str, name: str) -> bool:
    """Tell whether a column's name is a usual one of a role."""
    return plain(name) in USUAL[role]


def tidy_name(name: str, taken: Iterable[str]) -> str:
    """Return a column's name as Tailor writes names: lower case, words joined by ``_``, not among ``taken``.

    Example:
        >>> tidy_name("Brand Name", []), tidy_name("bucket", ["bucket"])
        ('brand_name', 'item_bucket')
    """
    short = re.sub(r":(token|float)(_seq)?$", "", str(name).strip())
    split = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", short)
    tidy = re.sub(r"\W+", "_", split.lower()).strip("_") or "column"
    if tidy[0].isdigit():
        tidy = f"column_{tidy}"
    while tidy in set(taken):
        tidy = f"item_{tidy}"
    return tidy
