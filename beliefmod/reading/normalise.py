"""Normalises an answer: LaTeX, Markdown, HTML and Unicode spellings become one plain notation.

Boxed content is kept between ⟦ and ⟧. Powers are written ^n, products ×, subscripts _x. Words and their order
stay, so that the guards read what the model wrote.
"""

from __future__ import annotations

import html
import re
import unicodedata

from beliefmod.beliefs.values.numbers import BOX_CLOSE, BOX_OPEN

_SUPER = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")
_VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4",
           "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5", "⅛": "1/8"}  # fmt: skip
_SINGLE = str.maketrans(
    {
        "−": "-", "‐": "-", "‑": "-", "﹣": "-", "⁄": "/", "∕": "/", "✕": "×", "✖": "❌", "✗": "❌",
        "✘": "❌",
        "⋅": "·", "∙": "·", "•": "-", "‣": "-", "’": "'", "‘": "'", "“": '"', "”": '"', "„": '"', "«": '"',
        "»": '"', "≅": "≈", "≃": "≈", "≒": "≈", "∼": "~", "⇒": "→", "⟹": "→", "⟶": "→", "➔": "→", "⇨": "→",
        "∴": " therefore ", "µ": "μ", "Ω": "Ω", "º": "°", "\u200b": "", "\u200c": "", "\u200d": "",
        "\u2060": "", "\ufeff": "", "\u00ad": "", "⟦": "[", "⟧": "]", "∗": "*", "＊": "*", "\r": "\n",
    }
)  # fmt: skip
_COMMANDS = {
    "times": "×", "cdot": "·", "ast": "×", "div": "÷", "approx": "≈", "simeq": "≈", "cong": "≈", "sim": "~",
    "neq": "≠", "ne": "≠", "leq": "≤", "le": "≤", "geq": "≥", "ge": "≥", "lt": "<", "gt": ">", "pm": "±",
    "mp": "±", "to": "→", "rightarrow": "→", "Rightarrow": "→", "implies": "→", "longrightarrow": "→",
    "therefore": " therefore ", "degree": "°", "circ": "°", "mu": "μ", "Omega": "Ω", "pi": "π", "sqrt": "√",
    "equiv": "=", "colon": ":", "euro": "€", "pounds": "£", "dots": "...", "ldots": "...", "Delta": "Δ",
    "quad": " ", "qquad": " ", "newline": "\n", "dollar": "\ue000", "textdollar": "\ue000",
}  # fmt: skip
_TEXT = re.compile(
    r"\\(?:text|mathrm|textrm|mathbf|textbf|mathit|textit|mathsf|textsf|texttt|mathtt|operatorname|mbox|hbox|"
    r"boldsymbol|bm|bold|emph|underline|unit|si|ensuremath|overline|vec|hat|bar"
    r"|underbrace|overbrace|textnormal|"
    r"colorbox\{[^{}]*\}|textcolor\{[^{}]*\}|color\{[^{}]*\})\*?\s*\{([^{}]*)\}"
)
_FRACTION = re.compile(r"\\[dtc]?frac\s*(?:\{([^{}]*)\}|(\d))\s*(?:\{([^{}]*)\}|(\d))")
_POWER = re.compile(r"\^\s*\{\s*([^{}]*?)\s*\}")
_INDEX = re.compile(r"_\s*\{\s*([^{}]*?)\s*\}")
_STRUCK = re.compile(r"~~[^~\n]+~~|\\(?:cancel|sout|st|bcancel|xcancel)\{[^{}]*\}")
_HTML_STRUCK = re.compile(r"<(del|s|strike)\b[^>]*>.*?</\1>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(
    r"</?(?:b|i|u|em|strong|span|p|div|code|pre|mark|math|center|font|h[1-6]|ul"
    r"|ol|li|small|big|answer|final|ins)\b[^<>]*>",
    re.IGNORECASE,
)
_MARKER = re.compile(r"(?m)^[ \t]*(?:>[ \t]+(?=\S))*(?:#{1,6}[ \t]+|[-*+][ \t]+|-{3,}[ \t]*$|={3,}[ \t]*$)?")
_NUMBERED = re.compile(r"(?m)^[ \t]*(\d{1,2})[.)][ \t]+(?=\S)")
_PRODUCT_STAR = re.compile(r"(?<=[\w)\]²°])(\s*)\*(\s*)(?=[\d(A-Za-z])")
_PRODUCT_X = re.compile(
    r"(?<=[\d)A-Za-z])\s+[xX]\s+(?=[\d(])|(?<=\d)\s?[xX]\s?(?=\d)|(?<=\))\s?[xX]\s?(?=[\d(])"
)
_WORD_OPERATORS = (
    (re.compile(r"(?<=[\w)])\s+(?:times|multiplied by)\s+(?=[\d($])", re.IGNORECASE), " × "),
    (re.compile(r"\s+multiplied by\s+", re.IGNORECASE), " × "),
    (re.compile(r"\s+divided by\s+", re.IGNORECASE), " ÷ "),
    (re.compile(r"(?<=\d)\s+plus\s+(?=\d)", re.IGNORECASE), " + "),
    (re.compile(r"(?<=\d)\s+minus\s+(?=\d)", re.IGNORECASE), " - "),
    (
        re.compile(
            r"\b(?:is|are)\s+equal\s+to\b|\bis\s+the\s+same\s+as\b|\bequals\b(?:\s+to\b)?", re.IGNORECASE
        ),
        "=",
    ),
    (re.compile(r"\bequal(?:\s+to)?(?=\s+[\d$(])", re.IGNORECASE), "="),
    (re.compile(r"==+"), "="),
)


def normalise(text: str) -> str:
    """The text in plain notation.

    Example: "**F** = $10 \\times 5.0 = \\boxed{50\\ \\text{N}}$" -> "F = 10 × 5.0 = ⟦50 N⟧".
    """
    text = re.sub(r"[ \t\f\v]{2,}", " ", re.sub(r"\n\s*\n", "\n\n", text))
    if "&" in text and ";" in text:
        text = html.unescape(text)
    if not text.isascii():
        text = _from_unicode(text)
    if "<" in text:
        text = _from_html(text)
    if "\\" in text or "$" in text or "^{" in text or "_{" in text:
        text = _from_latex(text)
    text = _from_markdown(text)
    for pattern, plain in _WORD_OPERATORS:
        text = pattern.sub(plain, text)
    text = re.sub(r"[ \t\f\v]+", " ", text)
    text = re.sub(r"(?<=[:,=×≈·+÷])[ ]*\n+\s*", " ", text)  # a line that ends so goes on
    return re.sub(r"\s*\n\s*(?=[=×≈→·+÷])", " ", text).strip()


def _from_unicode(text: str) -> str:
    text = re.sub(r"[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda m: "^" + m[0].translate(_SUPER), text)
    for sign, plain in _VULGAR.items():
        if sign in text:
            text = re.sub(rf"(?<=\d)\s?{sign}", f" {plain}", text).replace(sign, plain)
    text = re.sub(r"[①-⓿❶-➓]", " ", text)
    text = re.sub(r"(?<=\d)[⋅∙](?=\d)", " × ", text)  # "9·8" with the dot on the line's middle is a decimal
    text = re.sub(r"(?<=\d)[\u2009\u202f\u00a0](?=\d{3}(?!\d))", "", text)
    text = unicodedata.normalize("NFKC", text.translate(_SINGLE)).translate(_SINGLE)
    return "".join(str(unicodedata.digit(c)) if c.isdigit() and not c.isascii() else c for c in text)


def _from_html(text: str) -> str:
    text = re.sub(r"<sup>\s*([+-]?\w+)\s*</sup>", r"^\1", text, flags=re.IGNORECASE)
    text = re.sub(r"<sub>\s*(\w+)\s*</sub>", r"_\1", text, flags=re.IGNORECASE)
    text = re.sub(r"<br\s*/?>|</(?:p|div|li|h[1-6])>", "\n", text, flags=re.IGNORECASE)
    return _TAG.sub("", _HTML_STRUCK.sub(" ", text))


def _from_latex(text: str) -> str:
    text = _mark_boxes(text)
    text = text.replace("\\$", "\ue000").replace("\\%", "%").replace("\\&", "&").replace("\\#", "#")
    text = re.sub(r"(\\[A-Za-z]+)(?=\\)", r"\1 ", text)  # "\cdot\text{m}" must not become "\cdotm"
    text = text.replace("{,}", ",").replace("\\_", "_")
    text = re.sub(r"(?<=\d)\\cdot\s?(?=\d)", " × ", text)
    text = re.sub(r"(?<=\d)\\[,;:! ](?=\d{3}(?!\d))", "", text)
    text = re.sub(r"\^\s*\{?\s*\\circ\s*\}?|\\degree\b", "°", text)
    text = re.sub(r"\\\\(?:\[[^\]]*\])?", "\n", text)
    text = re.sub(
        r"\\(?:begin|end)\s*\{[^{}]*\}|\\(?:left|right|big|Big|bigg|Bigg)(?![A-Za-z])|\\tag\{[^{}]*\}",
        " ",
        text,
    )
    text = re.sub(r"\\[hv]space\*?\{[^{}]*\}|\\(?:label|color|phantom)\{[^{}]*\}", " ", text)
    text = re.sub(r"\\[()\[\]]", " ", text)
    text = re.sub(r"\\[,;:! ]", " ", text)
    text = re.sub(r"(?<=[\w}])~(?=[\\A-Za-z])", " ", text)
    text = text.replace("&=", "=").replace("&≈", "≈")
    for _ in range(8):
        before = text
        text = _STRUCK.sub(" ", text)
        text = _TEXT.sub(r"\1", text)
        text = _POWER.sub(_power, text)
        text = _INDEX.sub(lambda m: "_" + re.sub(r"\W+", "", m[1]), text)
        text = _FRACTION.sub(_fraction, text)
        if text == before:
            break
    text = _strip_math_marks(text)
    text = re.sub(
        r"\\([A-Za-z]+)\s?\*?", lambda m: _COMMANDS.get(m[1], " ") + ("" if m[1] in _COMMANDS else " "), text
    )
    text = text.replace("{", "").replace("}", "").replace("\\", " ")
    return text.replace("\ue000", "$")


def _mark_boxes(text: str) -> str:
    for command in ("\\boxed", "\\fbox", "\\framebox"):
        place = text.find(command)
        while place >= 0:
            start = place + len(command)
            while start < len(text) and text[start].isspace():
                start += 1
            if text[start : start + 1] == "{":
                end = _closing(text, start)
                inside = text[start + 1 : end]
                text = f"{text[:place]} {BOX_OPEN}{inside}{BOX_CLOSE} {text[end + 1 :]}"
            else:
                word = re.match(r"[^\s$\\]*", text[start:])
                end = start + (word.end() if word else 0)
                text = f"{text[:place]} {BOX_OPEN}{text[start:end]}{BOX_CLOSE} {text[end:]}"
            place = text.find(command, place + 1)
    return text


def _closing(text: str, start: int) -> int:
    """Index of the brace that closes the one at `start`; the end of the text when it was cut off."""
    depth = 0
    for index in range(start, len(text)):
        if text[index] in "{}" and text[index - 1] != "\\":
            depth += 1 if text[index] == "{" else -1
            if depth == 0:
                return index
    return len(text)


def _power(match: re.Match[str]) -> str:
    inside = match[1]
    return f"^{inside}" if re.fullmatch(r"[+-]?\w*", inside) else f"^({inside})"


def _fraction(match: re.Match[str]) -> str:
    top, bottom = (match[1] or match[2] or "").strip(), (match[3] or match[4] or "").strip()
    simple = re.compile(r"[\w.^$]+")
    top = top if simple.fullmatch(top) else f"({top})"
    bottom = bottom if simple.fullmatch(bottom) else f"({bottom})"
    return f" {top}/{bottom} "


def _strip_math_marks(text: str) -> str:
    """Remove $ that enclose mathematics and keep $ that mean dollars.

    "$F = 50 N$" is mathematics; "$5 and $10" are two prices: after pandoc's rule a closing $ follows no
    space and precedes no digit, and what it encloses has no plain words.
    """
    text = text.replace("$$", " ")
    parts = []
    place = 0
    while (start := text.find("$", place)) >= 0:
        end = text.find("$", start + 1)
        inside = text[start + 1 : end] if end > 0 else ""
        if end > 0 and len(inside) < 400 and _is_math(inside, text[end + 1 : end + 2]):
            parts.append(f"{text[place:start]} {inside} ")
            place = end + 1
        else:
            parts.append(text[place:start] + "\ue000")
            place = start + 1
    return "".join(parts) + text[place:]


def _is_math(inside: str, after: str) -> bool:
    if not inside.strip() or after.isdigit() or "\n\n" in inside:
        return False
    if "\\" in inside or "^" in inside or "=" in inside or BOX_OPEN in inside:
        return (
            not re.search(r"\b(?:and|or|the|is|per|of|are)\b", re.sub(r"\\[a-z]+|\w*_\w*", "", inside))
            or "\\" in inside
        )
    if inside[0].isspace() or inside[-1].isspace():
        return False
    return not re.search(r"[A-Za-z]{4,}|\b(?:and|or|to|is|per|of|for|in|the)\b|[.,;:!?]$", inside)


def _from_markdown(text: str) -> str:
    text = _STRUCK.sub(" ", text)
    text = text.replace("**", "").replace("```", "\n").replace("`", "")
    text = re.sub(r"(?<![\w_])__(?=\S)|(?<=\S)__(?![\w_])", "", text)
    text = _strip_numbering(_MARKER.sub("", text))
    text = _PRODUCT_STAR.sub(_star, text)
    text = text.replace("*", " ")
    text = _PRODUCT_X.sub(" × ", text)
    return re.sub(r"(?<![\w])_(?=[^\W_])|(?<=[^\W_])_(?!\w)", "", text)


def _star(match: re.Match[str]) -> str:
    """A star between two operands multiplies when it stands evenly; "is *5.0*" is emphasis."""
    return " × " if bool(match[1]) == bool(match[2]) else f"{match[1]}*{match[2]}"


def _strip_numbering(text: str) -> str:
    """Remove list numbers. "5. The force ..." is an item only if the text has a line 4 or 6 too."""
    numbers = [int(m[1]) for m in _NUMBERED.finditer(text)]
    if not numbers:
        return text
    listed = set(numbers)

    def strip(match: re.Match[str]) -> str:
        number = int(match[1])
        return "" if number == 1 or number - 1 in listed or number + 1 in listed else match[0]

    return _NUMBERED.sub(strip, text)
