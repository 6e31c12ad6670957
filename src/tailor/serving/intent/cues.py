"""Phrases by which people want, rule out and soften, in English, Chinese and German.

A new language or phrase is a line here. Phrases are matched longest first, folded as the text is (no accents); ``~``
stands for a word or sign of any kind, ``*`` at a word's end for any ending.

Cue words with a scope behind them follow Chapman et al. 2001, "A simple algorithm for identifying negated
findings and diseases in discharge summaries" (NegEx), pseudo-negations ("not only") included.
"""

from collections import defaultdict
from enum import Enum

from tailor.data.vocabulary import is_cjk, word_set, words


class Cue(Enum):
    """What a phrase does to the categories near it."""

    NOT = "not"
    """Turns what follows round: no, without; two of them cancel out."""
    AVERSE = "averse"
    """A verb of dislike: hate, tired of. After NOT it is a liking."""
    BAD = "bad"
    """What is said of a category to turn it down, behind it: X bores me, X is out."""
    LIKING = "liking"
    """A verb of liking: after NOT it is none; after a category it begins anew."""
    YES = "yes"
    """What is near is wanted, whatever stands before: not only, can't live without."""
    OUT = "out"
    """What is near is ruled out, whatever stands before: anything but."""
    SOFT = "soft"
    """What follows at once is wanted less: less, not too much."""
    DOWN = "down"
    """What stands before is wanted less: X is a bit much."""
    RARE = "rare"
    """As DOWN; before a category it says nothing of it: rare westerns."""
    MUCH = "much"
    """How much or how often: after NOT, what is near is wanted less: not horror all the time."""
    THAN = "than"
    """Of a comparison: what follows is ruled out where something stands before."""
    INSTEAD = "instead"
    """What follows is ruled out, up to "for", "by" or a verb of liking."""
    ENDS = "ends"
    """Ends a scope, as punctuation does."""
    OR = "or"
    """Goes on with a scope."""
    BOTH = "both"
    """Goes on with a scope, unless a new one begins."""
    APART = "apart"
    """A verb that "out" behind a category completes: leave X out."""
    OFF = "off"
    """Turns down what stands between APART and itself."""
    DROP = "drop"
    """Says nothing: no offence."""
    WITH = "with"
    """Ends a scope that has a category, and begins one that wants."""


_TABLE: dict[Cue, str] = {
    Cue.NOT: """
        no | not | without | never | non | none | nothing | nobody | neither | nor | cannot | cant | dont
        isnt | arent
        doesnt | didnt | wont | wouldnt | hardly | free of | no more | zero | w/o | no thanks | no thank you | nope
        kein* | nicht | ohne | nie | niemals | nichts | weder | nein | ohne jede* | nein danke
        不 | 没有 | 没 | 无 | 别 | 不要 | 不想 | 不想要 | 不想看 | 不看 | 不爱 | 不爱看 | 不喜欢 | 不需要
        没兴趣 | 不感兴趣
        不含 | 不带 | 勿 | 从来不看 | 从不看 | 从不 | 从来不 | 不能有 | 不要有 | 不是 | 不行 | 莫 | 非 | 无需 | 并不
        不考虑 | 不推荐 | 不要推 | 不要推荐 | 别推荐 | 别给我 | 别来 | 别放 | 别再 | 不想再看 | 不想再看到 | 不碰
        no way | nah | nary | not a single | not even | by no means | in no way | on no account
        under no circumstances | no longer | sans | with no | without any | null | keinerlei
        不适合 | 不适合我 | 不合适 | 不对胃口 | 不合胃口 | 不好看 | 看不惯 | 看不了 | 不想看见 | 不想见到 | 别出现
        不要出现 | 请勿 | 勿推 | 没有兴趣 | 没什么兴趣 | 毫无兴趣 | 兴趣不大 | 不感冒 | 不太感冒 | 不来电 | 不想碰
        从来不碰 | 从不碰 | 不沾 | 不含有 | 不能接受 | 无法接受
        用不着 | 没必要 | 再也不想看 | 再也不看 | 再也不想 | 一点都不喜欢
        一点也不喜欢 | 打死不看 | 坚决不看 | 绝对不看 | 坚决不要 | 不能要 | 不许 | 不准
    """,
    Cue.AVERSE: """
        hate* | hating | dislik* | detest* | loath* | despis* | abhor* | avoid* | skip* | exclud* | omit* | ban | bans
        banned | reject* | refuse* | refusing | drop | ditch | remove | removing | eliminate | scrap | dodge | shun
        minus | except | except for | excepting | excluding | barring | save for | apart from | aside from
        other than
        besides | bar | filter out | leave out | leaving out | leave * out | rule out | ruling out | cut out
        weed out
        take out | keep out | throw out | sort out | screen out | hold the | hold back on | lose the | forget
        forget about | forget the | sick of | tired of | fed up with | fed up of | weary of | bored of | bored with
        bored by | over it with | done with | through with | finished with | enough of | enough with | had enough
        had it with | stay away from | stays away from | staying away from | steer clear of | keep clear of
        keep away
        keep me away from | run from | run away from | run when | get away from | spare me | spare us | save me from
        allergic to | averse to | opposed to | against | anti | put off by | turned off by | disgusted by | scared of
        afraid of | hold off on | pass on | passing on | i pass
        count me out | veto | boycott | rid of | rid me of
        hass* | hasse | verabscheu* | meid* | vermeid* | ausser | ausgenommen | abgesehen von | bis auf | gegen | satt
        genug von | leid | verzicht* | verschon* | weg mit | raus mit | weglassen | lass* ~ weg
        uberspring* | ausschlie* | kotz*
        hor auf mit
        schluss mit | bleib mir weg mit | mude | verschone mich mit | spar dir
        kannst du dir sparen | ausblenden | filter* | abneigung
        讨厌 | 讨厌看 | 恨 | 烦 | 烦死 | 受够 | 受够了 | 看够了 | 看腻 | 看腻了 | 腻了 | 厌倦 | 厌烦 | 反感
        拒绝 | 避开 | 避免
        除了 | 除 | 除去 | 除开 | 排除 | 剔除 | 去掉 | 去除 | 跳过 | 略过
        害怕 | 怕看 | 怕 | 过敏 | 远离 | 忍受不了 | 屏蔽 | 过滤
        过滤掉 | 戒了 | 抵制 | 嫌 | 剔掉 | 筛掉 | 绕开 | 绕道 | 少来 | 不耐烦
        block | blacklist | mute | hide | banish | delete | strike | scratch | get rid of | leave off | knock off
        stop showing me | stop showing | stop with | stop recommending | stop giving me | quit showing
        deliver me from | keep me from | protect me from | shield me from | god forbid | heaven forbid
        unless it's | with the exception of | outside of | short of | seen enough | watched enough | enough
        seen too many | seen too much | watched too many | watched too much | had too many | had too much
        outgrew | outgrown | grew out of | grown out of | gone off | went off | lost interest in
        lost my taste for | saturated with | burnt out on | burned out on | overdosed on | struggle with
        aversion to | distaste for | dislike of | phobia of | so over | i'm over | im over | completely over | nix
        give a miss | spares me | a break from | need a break from | opt out of | shy away from | shying away from
        recoil from | cringe at | can't be bothered with | resent | despair of | mistrust | wary of | object to
        genug | hande weg von | finger weg von | abneigung gegen | allergisch gegen | allergisch auf
        im gegensatz zu | mit ausnahme von | uberdrussig | verbann* | streich* | entfern* | erspar*
        bewahre mich vor | verschone uns mit | halte nichts von | halt nichts von | halten nichts von | angst vor
        hab* genug von | hor* auf mit | keine zeit fur | fern von | blockier* | blende | lasst mich mit
        厌了 | 看厌了 | 看烦了 | 看吐了 | 审美疲劳 | 敬而远之 | 拉黑 | 走开 | 谢绝 | 杜绝 | 排斥 | 抗拒 | 接受不了
        吃不消 | 忍不了 | 欣赏不来 | 剔 | 撇开 | 抛开 | 回避 | 躲开 | 别提 | 禁止 | 不可以有 | 戒掉 | 讨厌死
        最讨厌 | 最烦 | 嫌弃 | 看不上 | 退散
        draw the line at | drew the line at | can't deal with | cannot deal with | can't handle | cannot handle
        couldn't handle | can't cope with | cannot cope with | had my fill of | have my fill of
        had it up to here with | free from | devoid of | bare of
        nase voll von | einen bogen um | einen grossen bogen um | einen weiten bogen um | frei von
        keine spur von | ungern | verschmah* | nicht zu haben fur | null toleranz fur
    """,
    Cue.BAD: """
        bore* | boring | put* me to sleep | put* us to sleep | put* me off | puts me off | turn* me off
        wear* me out | wear* me down | wear* us out | make* me ill | make* me sick | make* me yawn
        make* me cringe | makes me want to leave | drive* me mad | drive* me crazy | drive* me nuts
        drive* me up the wall | annoy* | irritat* | get* on my nerves | leave* me cold | give* me a headache
        give* me the creeps | give* me nightmares | give* me hives | is out | are out | is off | are off
        off the table | off the list | off the menu | off limits | out of the question | a no go | no go | no-go
        can wait | have to go | has to go | must go | got to go | is the last thing | are the last thing
        the last thing i | the last thing we | is dead to me | a turn off | a turnoff | a dealbreaker
        a deal breaker | unwelcome | unwanted | overrated | yawn | suck | sucks | stink | stinks | awful | terrible
        unbearable | worst | am out | i'm out | im out | i am out | hard pass | not my cup of tea | away from me
        away from us | away | nerv* | langweil* | odet mich | schreckt mich ab | anod* | geh* mir auf die nerven
        ist mir zuwider | sind mir zuwider | kann mir gestohlen bleiben | konnen mir gestohlen bleiben | zum kotzen
        furchtbar | schrecklich | aussen vor | fehl am platz | unausstehlich | weg | raus | 太闷 | 太无聊
        无聊 | 没意思 | 滚
        除外 | 免了 | 免谈 | 就算了 | 算了 | 不必了 | 就不必了 | 不用了 | 就免了 | 劝退 | 受不了 | 提不起兴趣
        没感觉 | 无感 | 看不下去 | 看不进去 | 不合我口味
        no go area | a drag | torture | garbage | trash | rubbish | lame | dull | tedious | dreadful | horrible
        horrid | gross | insufferable | intolerable | unwatchable | a snooze | snooze | repel* | revolt* | repuls*
        disgust* | appal* | exhaust* me | tire* me | depress* me | ruin* my | spoil* my | a miss | a wide berth
        need not apply | needn't apply | can stay away | can get lost | off the cards | not welcome | out please
        is out of bounds | pointless | a waste of time | waste* my time | put* us off | do nothing for me
        does nothing for me | do nothing for us | does nothing for us | can stay home | scare* me off
        get* me down | turn* us off | try* my patience | test* my patience | isn't happening | aren't happening
        a hard no | a no | a firm no | a big no | ick | yuck | ugh | meh
        auf die nerven | auf den keks | auf den geist | auf den wecker | langweilig | doof | blod | mist | ermude*
        abtorn* | torn* mich ab | widerlich | eklig | ein graus | graust mir | grauen | hang* mir zum hals raus
        zum hals | tabu | ausgeschlossen | unerwunscht | kommt nicht in frage | kommen nicht in frage
        nicht in frage | nicht gefragt | nicht erwunscht | reicht mir | reichen mir | steh* mir bis hier
        kann weg | konnen weg | ade | lasst mich kalt | lassen mich kalt | schlafern mich ein | schlafert mich ein
        schlaf ich ein | macht mich mude | machen mich mude | muss nicht sein | mussen nicht sein
        muss ich nicht haben | brauch ich nicht | brauche ich nicht | interessiert mich null | sagt mir nichts
        sagen mir nichts | gibt mir nichts | geben mir nichts
        没劲 | 乏味 | 枯燥 | 催眠 | 犯困 | 打瞌睡 | 想睡觉 | 头疼 | 烦人 | 恶心 | 太累 | 滚开 | 滚蛋 | 就别了
        can stay in the ~ | can stay where | red flag | where i draw the line | does not work for me
        do not work for me | leaves me unmoved | leave me unmoved | leaves me indifferent | need not be shown
        is not involved | are not involved | isn't involved | aren't involved | left out | not included | forget it
        forget about it | over my dead body | is not happening | are not happening | has no place | have no place
        has no business | have no business | out of the picture | free | frei
        mich jagen | nicht ins haus | nase voll | mache ich einen bogen | mach ich einen bogen
        mache ich einen grossen bogen | draussen | draussen bleiben | nicht zu haben | zum hals heraus
        无关 | 达咩 | 拜拜 | 受不住 | 顶不住 | 扛不住
        就不用了 | 就不看了 | 不看了 | 免疫 | 不要了 | 就不要了 | 别了 | 打住 | 免 | 就别来了 | 就别提了 | 让我困
        让人犯困
    """,
    Cue.LIKING: """
        like | likes | liked | love | loves | loved | want | wants | enjoy* | prefer | adore* | need | show | give me
        looking for | look for | watch | see | recommend | find me | i'll take | bring on | bring me
        care for | stand
        bear | tolerate | stomach | abide | interested in | interest* | into | fond of | fan of | keen on
        more | rather
        would do | feel like | in the mood for | mood for | good | welcome | yes | crave | craving | please me
        up for
        appeal* | i'm in | am in | is in | are in | count me in | yes please | prefer* | favour | favor | pick
        choose
        mag | mogen | mochte* | will | wollen | liebe | lieb* | gern* | such* | zeig* | gib mir | lust auf
        mehr | bock auf
        interess* | brauch* | her mit | ja | schon | gerne | empfehl* | nehm* | stattdessen | dafur | ertrag*
        aussteh*
        喜欢 | 爱看 | 爱 | 想看 | 想要 | 要 | 求 | 来点 | 来一部 | 来部 | 给我 | 推荐 | 多一点 | 多一些 | 多点
        多来 | 更多 | 看
        想 | 最爱 | 还要 | 也要 | 就要 | 只要 | 可以 | 行 | 好看 | 换成 | 换 | 改看 | 感兴趣 | 有兴趣
        leiden | riechen | gebrauchen | abhaben | anschauen | ansehen | gucken | schaue | seh | sehe
    """,
    Cue.YES: """
        not only | not just | not merely | why not | why don't we | nothing beats | nothing tops | nothing better than
        nothing like a good | nothing like a | no better | nothing but | nothing more fun than | nothing more than
        nothing else than | nothing other than | none other than | never tire* of | never tired of | never bored of
        never bored by | never get tired of | never get enough | not get enough | can't get enough | cant get enough
        cannot get enough | can never get enough | never enough | never ~ too many | never ~ too much | not enough
        no such thing as too much
        no such thing as too many | never too much | never too many | can't have too much | can't have too many
        can't live without | cannot live without | cant live without | couldn't live without | can't do without
        cannot do without | can't go without | wouldn't want to live without | not without | never without
        no ~ without
        nothing without | no day without | not a day without | not complete without | isn't complete without
        what would ~ be without | what would life be without | where would we be without | without doubt
        without a doubt
        without question | without fail | without hesitation | no doubt | no question | can't go wrong with
        can't beat
        can't resist | cannot resist | can't say no to | never say no to | wouldn't say no to | won't say no to
        don't say no to | no objection* to | nothing against | have nothing against | not against | not averse to
        not opposed to | don't mind | wouldn't mind | would not mind | won't mind | do not mind | not mind
        no problem with | no issue with | not a problem | can't wait for | can't wait to see
        couldn't be happier with
        who doesn't like | who doesn't love | who does not love | who wouldn't love | who could say no to
        who could resist | why would anyone skip | why would anyone hate | why would i skip | anything more fun than
        more fun than | is there anything better than | anything better than | what's better than
        what could be better than | too much to ask | don't skip | do not skip | don't forget | do not forget
        don't leave out
        don't be shy with | not sick of | can't help | cannot help but | hooked on | addicted to | no shortage of
        no end of | nothing less than | no less than | never disappoint* | never fail* | never let me down
        never gets old | never get old | not hate | don't hate | don't dislike | not bad | as much * as possible
        not at all tired of | no limit* | the more the better | plenty of | first and foremost | above all
        swear* by | no stranger to | not forgetting | not to forget
        nicht nur | nicht blos | nicht allein | warum nicht | wieso nicht | nichts geht uber | nie genug | nicht genug
        nichts gegen | nichts einzuwenden | nichts lieber als | nichts schoneres als | nicht ohne | geht nicht ohne
        nicht leben ohne | nie zu viel | nicht satt | kann nicht genug | nicht missen | ohne zweifel | ohne frage
        kein tag ohne | kein abend ohne | kein leben ohne | keine frage | hab* nichts gegen | nie langweilig
        kein problem
        nicht nein sagen | nicht abgeneigt | nicht mude | warum denn nicht | nie satt | wer mag nicht
        wer liebt nicht
        unbedingt | am liebsten | immer gern*
        不只 | 不只是 | 不仅 | 不仅仅 | 不仅是 | 不光 | 不光是 | 不单 | 不单是 | 不止 | 不止是 | 为什么不
        何不 | 看不腻 | 永远看不腻
        看不厌 | 百看不厌 | 看不够 | 永远看不够 | 看不够 | 离不开 | 少不了 | 不能没有 | 不能少 | 缺不了
        没有不 | 不嫌多 | 不嫌 | 不介意
        不讨厌 | 不反对 | 不反感 | 不错 | 没问题 | 无妨 | 不妨 | 非看 | 非~不可 | 谁不喜欢 | 谁不爱
        怎么能没有 | 怎么能少 | 多多益善
        不腻 | 不厌 | 没有什么比 | 不可少 | 必不可少 | 不会错 | 停不下来 | 最好了 | 不拒绝 | 不排斥 | 越多越好
        戒不掉 | 无敌
        can't miss | wouldn't miss | not to be missed | what's not to like about | what's not to love about
        never skip | never miss | never turn down | never refuse | wouldn't turn down | won't turn down
        don't turn down | no harm in | can't hurt | couldn't hurt | wouldn't hurt | not go amiss
        nothing makes me happier than | nothing ~ me up like | nothing ~ me like | nothing ~ like a
        not hating | not gonna say no | not going to say no | never says no to | never said no to
        never get bored of | never get bored by | never get sick of | never grow tired of | never enough of
        no complaints about | never a bad | never wrong with
        nicht zuletzt | nicht schlecht | nicht verkehrt | nicht ubel | nie verkehrt | nie falsch
        kann nicht schaden | schadet nicht | darf nicht fehlen | durfen nicht fehlen | nicht fehlen
        nicht entgehen lassen | nicht genug bekommen | nicht genug kriegen | nie genug bekommen | nie leid
        nicht leid | kaum genug
        not to be left out | must not be left out | mustn't be left out | 怎么行 | 怎么能行 | 可不行
        不可或缺 | 怎么看都不够 | 怎么看都不腻 | 怎么都看不够 | 不看不行 | 不能错过 | 不容错过 | 不想错过
        从不错过 | 不会腻 | 没看够 | 还没看够 | 没有不喜欢
    """,
    Cue.OUT: """
        anything but | everything but | all but | anything except | everything except | anything other than
        anything besides | whatever but | all except | anything apart from | never mind the | never mind | no need for
        not in the mood for | no interest in | not interested in | could do without | can do without
        could live without
        can live without | i'd rather die than | rather die than | anything save | don't care for | couldn't care less
        not a fan of | no fan of | not my thing | not my cup | not for me | not for us | isn't for me | aren't for me
        i've never liked | never liked | no time for | no room for | no place for | no patience for | no appetite for
        no love for | far from | not keen on | not into | isn't my thing | less than zero | no use for
        the opposite of
        alles ausser | alles andere als | alles bis auf | nichts fur mich | nichts fur uns | nichts mit
        keine lust auf
        kein interesse an | kein bock auf | keinen bock auf | keinesfalls | auf keinen fall | bloss kein* | nur kein*
        hauptsache kein* | hauptsache nicht | nicht mein ding | nicht mein fall | nicht meins | ohne mich
        bleib* mir fern
        mir fern | nie wieder | bitte kein* | kein* fan von | nichts abgewinnen | nichts anfangen | geht gar nicht
        gehen gar nicht | alles nur kein*
        除了~都 | 坚决不 | 千万别 | 千万不要 | 绝对不要 | 绝不 | 死也不看 | 敬谢不敏 | 不是我的菜 | 没兴趣看
        不太喜欢 | 不怎么喜欢
        不太想看 | 不太爱看 | 一概不看 | 一律不要
        not my | isn't my | aren't my | never my | never been my | never was my | wasn't ever my | not really my
        not exactly my | not our | not what | isn't what | aren't what | nothing for me | nothing for us
        not really for me | not for | isn't for us | aren't for us | don't do it for me | doesn't do it for me
        don't work for me | doesn't work for me | don't do anything for me | doesn't do anything for me
        as long as it's not | as long as it isn't | as long as it is not | so long as it's not
        so long as it isn't | provided it's not | provided it isn't | anything that isn't | anything that's not
        anything which isn't | if it's not | life is too short for | who needs | who wants | nobody needs
        nobody wants | why would i watch | why would anyone watch | why bother with | the less ~ the better
        not big on | not one for | not much of a | not much for | not wild about | not crazy about | not mad about
        not too keen on | not fond of | not partial to | never cared for | never been into | never been a fan of
        never been one for | never got into | don't get the appeal of | can't see the appeal of | no taste for
        no desire for | no wish for | no stomach for | no nerves for | anything without | everything without
        whatever, just no | just no | just not | least of all | not up to | not ready for | not up for
        not feeling | not in for
        nicht mein | nicht meine | nicht so mein | nicht unser | nichts ubrig fur | nichts ubrig | wer braucht
        wer braucht schon | niemand braucht | hauptsache ohne | solange es kein* | solange kein* | wenn es kein*
        bloss nicht | nur nicht | ja kein* | ja nicht | nie im leben | um himmels willen kein* | keine nerven fur
        kein freund von | kein* freund von | kein* freundin von | keine sympathie fur | keinen sinn fur
        kein verlangen nach | nicht in stimmung fur | nicht scharf auf | nicht so auf | steh* nicht auf
        只要不是 | 只要没有 | 只要不带 | 什么都行就是不要 | 就是不要 | 就是不想看 | 千万别有 | 千万不要有 | 谁要看
        谁想看 | 别再给我 | 实在不喜欢 | 真的不喜欢 | 真不喜欢 | 并不喜欢 | 从不喜欢 | 从来不喜欢 | 从来不爱
    """,
    Cue.SOFT: """
        less | fewer | not too | not too much | not too many | isn't too | aren't too | not so much | not so many
        not that much | not that many | not so | not as much | not as many | not quite as much | not quite as many
        not quite so much | not overly | not very | not much | not many | nothing too | nothing overly | nothing very
        tone down | toning down | cut back on | cut down on | cut down the | cutting back on | cutting down on
        go easy on | easy on | go light on | light on | ease up on | ease off | turn down | dial down | dial back
        scale back | scale down | reduce | reducing | limit | lower | hold back on | rein in | a bit less
        a little less
        slightly less | slightly fewer | a touch less | don't overdo | don't want too much | don't want too many
        without too much | without too many | without so much | with less | don't need so much | don't need as much
        too much | too many | a smaller dose of | smaller doses of | water down | lighten up on | minimal
        sparing with
        take it easy on | take it easy with | just a bit of | only a bit of | just a little | only a little
        without being too | no excessive | without excessive | lay off | soft pedal | low on
        weniger | nicht zu | nicht zu viel* | nicht so viel* | nicht ganz so viel* | nicht ganz so | nicht so
        nicht allzu
        nicht allzu viel* | kein allzu | keine allzu | keinen allzu | kein zu | keine zu | keine so | kein so
        reduzier*
        etwas weniger | ein bisschen weniger | ein wenig weniger | nicht sehr | nicht gar so | nur wenig
        bloss nicht zu | zu viel | zu viele | sparsam mit | ohne zu viel | nicht uberm* | nicht ubertrieben
        少一点 | 少一些 | 少点 | 少些 | 少来点 | 少来一点 | 少来些 | 少放点 | 少放一些 | 少推 | 少推荐 | 减少
        降低 | 别太 | 不要太 | 不太
        不要太多 | 别太多 | 不那么 | 别那么 | 不要那么 | 别那么多 | 不要那么多 | 没那么 | 不用太多 | 不用太
        不想太 | 太多 | 不是很 | 不过分
        不过于 | 别过于 | 控制 | 压缩 | 收敛 | 淡化 | 稍微少 | 略少
        not a lot of | not lots of | go lighter on | lighter on | a little bit less | somewhat less | a tad less
        trim | trim the | curb | decrease | lessen | ease the | soften | calm down on | cool it with
        slow down on | slow down with | half as much | half as many | don't go overboard with | without overdoing
        not heavy on | less heavy on | only a few | just a few | not that | isn't that | aren't that | isn't so
        aren't so | isn't very | aren't very | isn't overly | aren't overly | not particularly | not terribly
        not excessively | not extremely | not all that | a shade less | a notch less | tone it down with
        bring down the | take down the | pull back on | minimise | minimize | don't need that much
        don't need that many | not always | not constantly | not every time | not all the time | so much | so many
        not nonstop | not non stop | rather less | a lot less | much less | far less | way less | ration
        not necessarily so much | go slow on | go slow with | go easy with | easy with | sparing on | skimp on
        only so much | not overloaded with | too heavy on
        bisschen weniger | nicht zu sehr | nicht zu stark | nur ein bisschen | nur ein wenig | ein klein wenig
        zuruckhaltend mit | einschrank* | nicht standig | nicht dauernd | nicht immer | nicht immer nur
        nicht andauernd | nicht jedes mal | deutlich weniger | viel weniger | halb so viel | lieber weniger
        nicht ubermassig | nicht ganz so viele | nicht besonders viel | senk* | drossel* | dosier*
        kurzer treten bei | sparsamer mit | mal weniger
        少量 | 适当减少 | 别总是 | 不要总是 | 别老是 | 不要老是 | 别老 | 少整点 | 少弄点 | 不要全是 | 别全是
        不要都是 | 别都是 | 削减 | 少安排 | 少给我 | 少给 | 少看点 | 别放太多 | 不要放太多 | 稍微少点 | 稍微少一点
        尽量少 | 少搞点 | 压低
        slower with | slower on | gentler with | lighter with | restraint with | restrained with | moderation with
        careful with | smaller portion of | smaller portions of | smaller helping of | smaller share of
        lower share of | small doses of | small amounts of | just a hint of | only a hint of | just a touch of
        only a touch of | just a dash of | only a dash of | just a pinch of | only a pinch of | at most a
        no more than a | not as heavy on | not quite as heavy on | not so heavy on | not that heavy on
        don't go heavy on | less emphasis on | less weight on | less focus on | less stress on | less room for
        less space for | less of a focus on | less of an emphasis on | ja nicht dauernd | ja nicht immer
        ja nicht standig
        hochstens ein hauch | nur ein hauch | ein hauch | hochstens eine prise | nur eine prise | eine prise
        hochstens ein wenig | hochstens ein bisschen | hochstens etwas | hochstens mal | weniger gewicht auf
        weniger wert auf | weniger fokus auf | weniger schwerpunkt auf | so viel | so viele
        weniger stark | kleine portion | kleinere portion | sparsam umgehen mit
        少一丢丢 | 少一点点 | 弱化 | 削弱 | 冲淡 | 别总推 | 不要总推 | 少安利
    """,
    Cue.DOWN: """
        down a notch | down a bit | down a little | down | a bit less | a little less | in small doses | less often
        in moderation | less of that | less please | a bit much | too often | less prominent | kept to a minimum
        to a minimum | on the back burner | sparingly | only now and then | once in a while | more rarely
        etwas seltener | seltener | weniger oft | runter | herunter | zuruckfahren | zuruckschrauben | reduzieren
        in massen | etwas runter | nicht so oft | nicht zu oft | nicht zu viel | dosiert | nicht ubertreiben
        drosseln
        降一点 | 降低一点 | 降一些 | 降低 | 减一些 | 减一点 | 减少 | 少一点 | 少一些 | 少点 | 少些 | 减点
        调低 | 调低一点 | 别太多 | 不要太多
        低一点 | 低一些 | 少推点 | 少推一些 | 收一收 | 控制一下 | 太多了 | 有点多 | 不用那么多 | 不要那么多
        别那么多 | 适量 | 压一压 | 淡一点 | 减半
        toned down | dialled down | dialed down | reduced | cut back | lowered | scaled back | kept low
        a lower share | take a back seat | takes a back seat | in the background | occasionally | now and then
        every now and then | not every time | not all the time | not always | a little less often
        a bit less often | but not much | to the minimum | at a minimum | a little quieter | on a low flame
        in smaller doses | not so often | not too often | not as often | less of it | less of them | fewer of them
        less of those | less than usual
        weniger davon | runterschrauben | herunterschrauben | runterfahren | herunterfahren | massvoll | dezent
        nicht standig | nicht dauernd | nicht immer | nicht jedes mal | bitte weniger | weniger bitte
        etwas reduzieren | nur in massen | nur selten | nur ab und zu | ab und zu | hin und wieder
        少给点 | 少安排点 | 少推荐点 | 往下调 | 调少 | 调少点 | 调少一点 | 削减 | 砍一点 | 砍掉一些 | 别老是
        further down | in check | at bay | dialled back | dialed back | wound back | wound down | at the margins
        in the margins
        on the margins | on the sidelines | second fiddle | second place
        as a side dish | only as a | in homeopathic doses | in tiny doses | in small amounts | in small portions
        in smaller amounts | to a lesser extent | to a lesser degree | for special occasions | overrepresented
        too frequently | too frequent | too prominent | too dominant | less room | less space | less weight
        less emphasis | less prominence | less frequent | less frequently | not quite so often | only a touch
        only a little | only a bit
        just a touch | just a little | just a bit | held back | pulled back
        am rande | nur am rande | in kleinen dosen | nur in kleinen dosen | in kleinen mengen | in kleinen portionen
        eher selten | hochstens selten | als beilage | nur als beilage | nebenbei | nebensache
        nebensachlich | sparsam | sparsam umgehen | zu oft | zu haufig | weiter unten | weiter nach unten
        nach hinten | zu prasent | uberhand | zurucknehmen | zuruckstellen | kurzer treten
        nur ein hauch | nur ein wenig | nur ein bisschen | im hintergrund | nicht ganz so oft | nicht so haufig
        nicht zu haufig
        太频繁 | 太频繁了 | 过多 | 有点过多 | 过于频繁 | 不要那么频繁 | 别那么频繁 | 没那么频繁 | 点到为止
        往后排 | 往后放 | 往后靠 | 靠后 | 靠后一点 | 排后面 | 稍微减一减 | 减一减 | 降一降 | 适可而止
        弱一点 | 弱一些 | 弱化 | 少出现 | 可以少出现 | 少一丢丢 | 少一点点 | 有一点就够 | 一点点就够
        缓一缓 | 克制 | 克制一点 | 收着点 | 有一点就行 | 一点点就好 | 一点点就行 | 偶尔 | 轻一点 | 别那么密
        不要总是 | 别总是 | 少些吧
    """,
    Cue.RARE: """
        low | lower | mild | milder | rare | rarer | rarely | seldom | at most | secondary
        selten | hochstens | zuruck | kurzer | sekundar
    """,
    Cue.MUCH: """
        always | all the time | the whole time | constantly | nonstop | non stop | every time | day in day out
        mainly | mostly | primarily | chiefly | predominantly | exclusively | in the first place
        that much | that many | this much | this many | as much | as many | that often | this often
        immer | immer nur | standig | dauernd | andauernd | jedes mal | jeden tag | hauptsachlich | vorwiegend
        uberwiegend | vor allem | in erster linie | so oft | so haufig | derart viel
        一直 | 总是 | 总 | 老是 | 老推 | 老给 | 老看 | 老放 | 净是 | 全是 | 清一色 | 那么多 | 这么多
        那么频繁 | 这么频繁
    """,
    Cue.THAN: "over | than | als",
    Cue.INSTEAD: """
        instead of | in place of | rather than | swap | swap out | trade | replace | substitute | exchange
        in lieu of
        statt | anstatt | anstelle von | an stelle von | tausche | ersetz* | 代替 | 与其 | 把 | 而不是 | 而非
    """,
    Cue.ENDS: """
        but | however | although | though | yet | whereas | while | still | please | aber | sondern | jedoch | doch
        obwohl | wahrend | bitte | dafur | 但 | 但是 | 不过 | 可是 | 然而 | 而 | 只 | 就行 | 就好
    """,
    Cue.OR: "or | nor | oder | noch | 或 | 或者 | 还是 | 、 | /",
    Cue.BOTH: "and | plus | as well as | und | sowie | 和 | 与 | 及 | 以及 | 跟 | 还有 | & | also | too | auch | 也",
    Cue.APART: """
        leave | leaving | cut | take | throw | rule | weed | sort | filter | kick | lass* | nimm
        count | cross | put | push | send | lass | lasst | nehmt
    """,
    Cue.OFF: """
        out | off | aside
        alone | behind | at the door | for others | for someone else | beiseite | aus
    """,
    Cue.DROP: """
        no offence | no offense | no matter | no wonder | no idea | no rush | no pressure | if not | or not
        no worries
        don't care | don't know | do not know | doesn't matter | not sure | not to mention | if possible | no hurry
        ganz egal | egal | weiss nicht | keine ahnung | 不知道 | 差不多 | 一言不合 | 不得了 | 不管怎样
        不由得 | 了不起 | 特别 | 非常 | 别人 | 分别 | 没事 | 莫名 | 有没有 | 没关系 | 无所谓 | 不管 | 能不能
        可不可以 | 是不是 | 要不要
        can't you | couldn't you | won't you | don't you have | don't you | haven't you | isn't there
        aren't there | why don't you | is there not | no spoilers | no need to hurry | not long | not far
        habt ihr nicht | gibt es nicht | gibt's nicht | hast du nicht | kannst du nicht | konntest du nicht
        for free | free of charge | free to watch | feel free | free time | low budget | low key | rare gem | rare gems
        zuruck in | zuruck ins | zuruck zu
        不如 | 要不 | 不然 | 不妨试试 | 不过瘾 | 不一会儿 | 不久 | 不同 | 不停
    """,
    Cue.WITH: "with | where | whose | in which | featuring | containing | mit | 带 | 有",
}

#: Words that carry nothing for a text: frames of a request, articles, the catalogue's own nouns.
STOP = word_set(
    """
    a an the any some i i'm i'd i'll i've im me my we we'd us our you your he she they it its it's this that
    that's these
    those there is are am was were be been being do does did done have has had will would could should can may
    might
    of in on at to for from by with about as and or so if then than too very really just only also much many
    more most
    lot lots bit of kind sort type something anything everything things stuff someone one ones what's what which
    who
    whom whose where when why how please thanks thank hi hello hey ok okay well now today tonight again ever
    always
    want wants wanted need needs like likes would'd love feel mood looking look search searching find show give
    get got
    let let's lets recommend recommendation recommendations suggest suggestion suggestions watch watching see
    seen
    movie movies film films flick flicks picture pictures title titles show shows series anime animes cartoon
    item items
    book books game games list night evening weekend good great nice best cool decent pick choose play another
    other
    here go going come up out all whatever know tell maybe perhaps possibly next
    genre genres rated no not yes usually normally generally mostly typically often sometimes rather preferably
    quite pretty bit
    ich du er sie es wir ihr mir mich uns dir dich ein eine einen einem einer eines der die das den dem des ist
    sind war
    waren bin bist sein haben habe hab hat hatte hatten wird wurde werden kann konnte mal bitte gern gerne was
    wie wo
    wer wenn und oder auch noch nur schon sehr viel viele mehr etwas irgendwas irgendetwas irgendein irgendeinen
    so zu zum
    zur im in an am auf aus bei mit von vom fur uber nach heute abend jetzt film filme filmen filmes serie
    serien anime
    kino mag mochte will such suche zeig zeige gib empfiehl empfehle schauen sehen guter gute gutes guten
    schoner
    schone schones schonen ganz gar lust alles nichts dann denn doch da hier bock titel danach davon los machen
    kriegen lieber leben sagen
    我 我们 你 您 他 她 想 要 看 的 了 吗 呢 吧 啊 一 个 部 些 点 片 电 影 番 剧 请 求 给 来 有 没 推 荐 好 什
    么 是 在 也 都 就 很
    最 类 型 题 材 这 那 种 样 子 和 跟 与 或 者 还 再 多 可 以 能 不 找 几 下 帮 让 把 特 别 喜 欢 爱 动 画 作
    品 系 列 方 面
    """
)

#: Words of dislike that count before anything; others only where a category or title is near: pirates hide treasure.
DISLIKES = word_set(
    "hate hates hated hating dislike dislikes detest loathe despise avoid avoiding avoids except excluding sick tired"
    " fed bored hasse hassen vermeide vermeiden meide ausser verabscheue 讨 避 除 恨 受 拒"
)

Phrase = tuple[str, ...]


def _phrases() -> dict[str, list[tuple[Phrase, Cue]]]:
    by_first: dict[str, list[tuple[Phrase, Cue]]] = defaultdict(list)
    for cue, text in _TABLE.items():
        for line in text.replace(" | ", "\n").splitlines():
            for phrase in _split(line.strip()):
                first = phrase[0]
                by_first[first if "*" not in first and first != "~" else "*"].append((phrase, cue))
    return {first: sorted(rows, key=lambda row: -len(row[0])) for first, rows in by_first.items()}


def _split(text: str) -> list[Phrase]:
    """Split a phrase as a text is split, and keep its signs for any word and any ending."""
    phrase: list[str] = []
    for part in text.split():
        if part in ("*", "~", "/", "&", "、") or part.endswith("*"):
            phrase.append(part)
        else:
            for piece in part.replace("~", " ~ ").split():
                phrase += ["~"] if piece == "~" else [word for word in words(piece) if word]
    return [tuple(phrase)] if phrase else []


_BY_FIRST = _phrases()


def _fits(pattern: str, word: str) -> bool:
    if pattern in ("~", word):
        return True
    return pattern.endswith("*") and word.startswith(pattern[:-1]) and not is_cjk(word)


def cues_at(tokens: list[str], start: int) -> list[tuple[int, Cue]]:
    """Return what phrases begin at a word: how many words each takes, longest first; of one length, as listed."""
    matches = []
    word = tokens[start]
    for phrase, cue in [*_BY_FIRST.get(word, ()), *_BY_FIRST.get("*", ())]:
        given = tokens[start : start + len(phrase)]
        if len(given) == len(phrase) and all(_fits(p, g) for p, g in zip(phrase, given, strict=True)):
            matches.append((len(phrase), cue))
    if not matches and word.endswith("n't"):
        matches.append((1, Cue.NOT))
    return sorted(matches, key=lambda row: -row[0])
