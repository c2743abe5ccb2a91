import itertools
import math

import numpy as np
import pytest

from t2t_multimodel.evaluation.cider import cider, tokenise

HYPOTHESES = ["A dog runs on the the the grass.", "two men play chess", "a bird", ""]
REFERENCES = [
    ["A brown dog runs on the grass.", "The dog is running on grass!"],
    ["Two men are playing chess in the park."],
    ["A bird sits on a tree.", "A small bird on the tree", "the bird"],
    ["a red car"],
]


def numpy_cider_d(hypotheses, references):
    """Returns CIDEr-D by the paper's equations, over dense vectors of every n-gram of the corpus."""
    hypotheses = [tokenise(text) for text in hypotheses]
    references = [[tokenise(text) for text in alternatives] for alternatives in references]
    result = np.zeros(len(hypotheses))
    for n in range(1, 5):
        texts = hypotheses + list(itertools.chain(*references))
        index = {g: i for i, g in enumerate(sorted({tuple(t[i : i + n]) for t in texts for i in range(len(t) - n + 1)}))}

        def count(text, n=n, index=index):
            vector = np.zeros(len(index))
            for i in range(len(text) - n + 1):
                vector[index[tuple(text[i : i + n])]] += 1
            return vector

        present = np.array([np.max([count(text) for text in alternatives], axis=0) > 0 for alternatives in references])
        idf = np.log(len(references) / np.maximum(1, present.sum(0)))
        for i, alternatives in enumerate(references):
            c = count(hypotheses[i]) * idf
            for text in alternatives:
                s = count(text) * idf
                norms = np.linalg.norm(c) * np.linalg.norm(s)
                cosine = np.minimum(c, s) @ s / norms if norms else 0.0
                penalty = np.exp(-((len(hypotheses[i]) - len(text)) ** 2) / (2 * 6.0**2))
                result[i] += 10 * penalty * cosine / len(alternatives) / 4
    return result.mean()


def test_matches_the_equations_over_dense_vectors():
    expected = numpy_cider_d(HYPOTHESES, REFERENCES)
    assert 0.5 < expected < 5
    assert cider(HYPOTHESES, REFERENCES)["cider"] == pytest.approx(expected, abs=1e-12)


def test_by_hand():
    # unigrams: weights log 2 of "red", "ball" against "red", "car": cosine 1/2; the only bigrams share nothing; lengths are equal
    assert cider(["red ball", "x"], [["red car"], ["y"]])["cider"] == pytest.approx(10 * (1 / 2) / 4 / 2)
    # "red red" has twice the weight of "red", but is clipped to one: cosine 1/2 instead of 1; one word too long
    longer = 10 * (1 / 2) * math.exp(-1 / 72) / 4 / 2
    assert cider(["red red", "x"], [["red"], ["y"]])["cider"] == pytest.approx(longer)


def test_the_reference_itself_is_worth_ten_and_case_and_punctuation_nothing():
    references = [["a brown dog runs fast"], ["two men play chess"]]
    assert cider(["A brown dog runs fast!", "Two men, play chess."], references)["cider"] == pytest.approx(10)


def test_one_image_alone_scores_nothing():
    assert cider(["a dog"], [["a dog"]]) == {"cider": 0.0}


def test_words_keep_inner_apostrophes_and_hyphens():
    assert tokenise("A dog's T-shirt -- 'old', été_2!") == ["a", "dog's", "t-shirt", "old", "été", "2"]
