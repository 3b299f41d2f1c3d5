"""The phrase book: English phrases with their German, Spanish and Chinese translations.

A phrase is a pattern with one or two things put in. One in eight of all combinations is kept for evaluation.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from models import prompts
from models.nano import texts

LANGUAGES: Final = ("German", "Spanish", "Chinese")
"""What phrases are translated to (the names of `prompts.LANGUAGES`)."""


@dataclass(frozen=True)
class Phrase:
    """One phrase: English as it is said (small letters, no marks), the others as they are written."""

    english: str
    german: str
    spanish: str
    chinese: str

    def translation(self, language: str) -> str:
        """Its translation into one of `LANGUAGES`."""
        return {"German": self.german, "Spanish": self.spanish, "Chinese": self.chinese}[language]

    def both(self, language: str) -> str:
        """The answer to `prompts.transcribe_and_translate`."""
        return f"{self.english}{prompts.SEPARATOR}{self.translation(language)}"


# English | German | Spanish, with its ending for adjectives | Chinese
_PLACES: Final = (
    ("station", "der Bahnhof", "la estación", "a", "车站"),
    ("airport", "der Flughafen", "el aeropuerto", "o", "机场"),
    ("hotel", "das Hotel", "el hotel", "o", "酒店"),
    ("hospital", "das Krankenhaus", "el hospital", "o", "医院"),
    ("museum", "das Museum", "el museo", "o", "博物馆"),
    ("restaurant", "das Restaurant", "el restaurante", "o", "餐厅"),
    ("market", "der Markt", "el mercado", "o", "市场"),
    ("church", "die Kirche", "la iglesia", "a", "教堂"),
    ("school", "die Schule", "la escuela", "a", "学校"),
    ("theatre", "das Theater", "el teatro", "o", "剧院"),
    ("park", "der Park", "el parque", "o", "公园"),
    ("castle", "das Schloss", "el castillo", "o", "城堡"),
    ("library", "die Bibliothek", "la biblioteca", "a", "图书馆"),
    ("tower", "der Turm", "la torre", "a", "塔"),
    ("shop", "der Laden", "la tienda", "a", "商店"),
    ("factory", "die Fabrik", "la fábrica", "a", "工厂"),
)
# English | German nominative, indefinite accusative | Spanish, definite and indefinite | Chinese
_GOODS: Final = (
    ("coffee", "der Kaffee", "einen Kaffee", "el café", "un café", "咖啡"),
    ("tea", "der Tee", "einen Tee", "el té", "un té", "茶"),
    ("juice", "der Saft", "einen Saft", "el zumo", "un zumo", "果汁"),
    ("soup", "die Suppe", "eine Suppe", "la sopa", "una sopa", "汤"),
    ("salad", "der Salat", "einen Salat", "la ensalada", "una ensalada", "沙拉"),
    ("cake", "der Kuchen", "einen Kuchen", "el pastel", "un pastel", "蛋糕"),
    ("sandwich", "das Sandwich", "ein Sandwich", "el bocadillo", "un bocadillo", "三明治"),
    ("banana", "die Banane", "eine Banane", "el plátano", "un plátano", "香蕉"),
    ("tomato", "die Tomate", "eine Tomate", "el tomate", "un tomate", "番茄"),
    ("lemon", "die Zitrone", "eine Zitrone", "el limón", "un limón", "柠檬"),
    ("ticket", "die Fahrkarte", "eine Fahrkarte", "el billete", "un billete", "票"),
    ("newspaper", "die Zeitung", "eine Zeitung", "el periódico", "un periódico", "报纸"),
    ("map", "die Karte", "eine Karte", "el mapa", "un mapa", "地图"),
    ("umbrella", "der Regenschirm", "einen Regenschirm", "el paraguas", "un paraguas", "雨伞"),
)
# English | German with its "my" | Spanish, ending | Chinese
_PEOPLE: Final = (
    ("brother", "mein Bruder", "hermano", "o", "哥哥"),
    ("sister", "meine Schwester", "hermana", "a", "姐姐"),
    ("father", "mein Vater", "padre", "o", "父亲"),
    ("mother", "meine Mutter", "madre", "a", "母亲"),
    ("friend", "mein Freund", "amigo", "o", "朋友"),
    ("uncle", "mein Onkel", "tío", "o", "叔叔"),
    ("aunt", "meine Tante", "tía", "a", "阿姨"),
    ("teacher", "mein Lehrer", "profesor", "o", "老师"),
)
# English | German | Spanish, without its ending if it has one | whether it has | Chinese
_STATES: Final = (
    ("tired", "müde", "cansad", True, "累"),
    ("angry", "wütend", "enfadad", True, "生气"),
    ("sad", "traurig", "triste", False, "难过"),
    ("happy", "froh", "content", True, "高兴"),
)
_VEHICLES: Final = (
    ("train", "der Zug", "el tren", "火车"),
    ("bus", "der Bus", "el autobús", "公交车"),
    ("boat", "das Boot", "el barco", "船"),
)
_HOURS: Final = (
    ("two", "zwei", "dos", "两"),
    ("three", "drei", "tres", "三"),
    ("four", "vier", "cuatro", "四"),
    ("five", "fünf", "cinco", "五"),
    ("six", "sechs", "seis", "六"),
    ("seven", "sieben", "siete", "七"),
    ("eight", "acht", "ocho", "八"),
    ("nine", "neun", "nueve", "九"),
    ("ten", "zehn", "diez", "十"),
    ("eleven", "elf", "once", "十一"),
    ("twelve", "zwölf", "doce", "十二"),
)


CHINESE: Final = (
    *(place[-1] for place in _PLACES),
    *(thing[-1] for thing in _GOODS),
    *(person[-1] for person in _PEOPLE),
    *(state[-1] for state in _STATES),
    *(vehicle[-1] for vehicle in _VEHICLES),
    *(hour[-1] for hour in _HOURS),
    *(
        "在哪里",
        "我在找",
        "开着吗",
        "很漂亮",
        "点开门",
        "我想要",
        "我需要",
        "多少钱",
        "我的",
        "想要",
        "很",
        "点开",
    ),
)
"""The Chinese words, which no spaces tell apart; each is to be one token."""


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


def _accusative(german: str) -> str:
    article, noun = german.split(" ")
    return f"{'den' if article == 'der' else 'meinen' if article == 'mein' else article} {noun}"


def _sought(en: str, de: str, es: str, zh: str) -> Iterator[Phrase]:
    yield Phrase(f"where is the {en}", f"Wo ist {de}?", f"¿Dónde está {es}?", f"{zh}在哪里？")
    yield Phrase(
        f"i am looking for the {en}", f"Ich suche {_accusative(de)}.", f"Busco {es}.", f"我在找{zh}。"
    )


def _about_places() -> Iterator[Phrase]:
    for en, de, es, end, zh in _PLACES:
        yield from _sought(en, de, es, zh)
        yield Phrase(f"is the {en} open", f"Ist {de} offen?", f"¿Está abiert{end} {es}?", f"{zh}开着吗？")
        yield Phrase(
            f"the {en} is beautiful",
            f"{_upper(de)} ist schön.",
            f"{_upper(es)} es bonit{end}.",
            f"{zh}很漂亮。",
        )
        for hour, stunde, hora, dian in _HOURS:
            yield Phrase(
                f"the {en} opens at {hour}",
                f"{_upper(de)} öffnet um {stunde} Uhr.",
                f"{_upper(es)} abre a las {hora}.",
                f"{zh}{dian}点开门。",
            )


def _about_goods() -> Iterator[Phrase]:
    for en, de, de_acc, es, es_un, zh in _GOODS:
        a = "an" if en[0] in "aeiou" else "a"
        yield Phrase(
            f"i would like {a} {en} please",
            f"Ich möchte {de_acc}, bitte.",
            f"Quisiera {es_un}, por favor.",
            f"我想要{zh}。",
        )
        yield Phrase(f"i need {a} {en}", f"Ich brauche {de_acc}.", f"Necesito {es_un}.", f"我需要{zh}。")
        yield Phrase(f"how much is the {en}", f"Was kostet {de}?", f"¿Cuánto cuesta {es}?", f"{zh}多少钱？")
        yield from _sought(en, de, es, zh)
        for one, mein, uno, _, ren in _PEOPLE:
            yield Phrase(
                f"my {one} wants {a} {en}",
                f"{_upper(mein)} will {de_acc}.",
                f"Mi {uno} quiere {es_un}.",
                f"我的{ren}想要{zh}。",
            )


def _about_people() -> Iterator[Phrase]:
    for en, de, es, end, zh in _PEOPLE:
        yield Phrase(f"where is my {en}", f"Wo ist {de}?", f"¿Dónde está mi {es}?", f"我的{zh}在哪里？")
        yield Phrase(
            f"i am looking for my {en}",
            f"Ich suche {_accusative(de)}.",
            f"Busco a mi {es}.",
            f"我在找我的{zh}。",
        )
        for state, zustand, estado, ends, yang in _STATES:
            feels = f"{estado}{end}" if ends else estado
            yield Phrase(
                f"my {en} is {state}",
                f"{_upper(de)} ist {zustand}.",
                f"Mi {es} está {feels}.",
                f"我的{zh}很{yang}。",
            )
            yield Phrase(
                f"is my {en} {state}",
                f"Ist {de} {zustand}?",
                f"¿Está {feels} mi {es}?",
                f"我的{zh}{yang}吗？",
            )


def _about_vehicles() -> Iterator[Phrase]:
    for en, de, es, zh in _VEHICLES:
        yield from _sought(en, de, es, zh)
        for hour, stunde, hora, dian in _HOURS:
            yield Phrase(
                f"the {en} leaves at {hour}",
                f"{_upper(de)} fährt um {stunde} Uhr.",
                f"{_upper(es)} sale a las {hora}.",
                f"{zh}{dian}点开。",
            )


_KINDS: Final = tuple(tuple(make()) for make in (_about_places, _about_goods, _about_people, _about_vehicles))
ALL: Final = tuple(phrase for kind in _KINDS for phrase in kind)
"""Every phrase."""
BY_ENGLISH: Final = {phrase.english: phrase for phrase in ALL}


def phrase(rng: random.Random, split: texts.Split) -> Phrase:
    """A phrase of `split`."""
    while texts.split_of((made := rng.choice(rng.choice(_KINDS))).english) != split:
        pass
    return made
