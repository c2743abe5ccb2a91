"""Real text and trees are decoded as they were encoded: every 20th of them, in the slow tests all."""

import gzip
from collections import Counter

import pytest

from t2t_multimodel.data.trees import clean, linearise, read_tree, restore
from t2t_multimodel.data.vocabulary import train_vocabulary

EVERY = pytest.mark.parametrize("step", [20, pytest.param(1, marks=pytest.mark.slow)])


def lines(path):
    return gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")[:-1]


@EVERY
def test_trees_of_the_craft_treebank(shared_data, tmp_path, step):
    files = {split: lines(shared_data / "craft_treebank" / f"{split}.mrg.gz") for split in ("train", "dev")}
    assert {split: len(found) for split, found in files.items()} == {"train": 18951, "dev": 2780}
    trees = [clean(read_tree(line)) for found in files.values() for line in found[::step]]
    linearised = [linearise(tree) for tree in trees]
    symbols = Counter(token for _, tokens in linearised for token in tokens.split())
    sentences = [" ".join(words) for words, _ in linearised]
    vocabulary = train_vocabulary(sentences, [symbol for symbol, _ in symbols.most_common(100)], 2000, tmp_path / "v.model")
    for tree, sentence, (_, tokens), ids in zip(trees, sentences, linearised, vocabulary.encode_batch(sentences), strict=True):
        decoded = vocabulary.decode(ids), vocabulary.decode(vocabulary.encode_tree(tokens))
        assert decoded == (sentence, tokens)
        assert restore(decoded[0].split(" "), decoded[1]) == tree


@EVERY
def test_sentences_of_multi30k(shared_data, tmp_path, step):
    names = [f"{split}.{language}.gz" for split in ("train", "val", "test_2016_flickr") for language in ("en", "de", "fr")]
    texts = [line for name in names for line in lines(shared_data / "multi30k" / name)]
    assert len(texts) == 3 * (29_000 + 1_014 + 1_000)
    vocabulary = train_vocabulary(texts[: 3 * 29_000 : step], [], 4000, tmp_path / "v.model")
    some = texts[::step]
    assert [vocabulary.decode(ids) for ids in vocabulary.encode_batch(some)] == some
