import pytest

from t2t_multimodel.evaluation.baselines import copied_source, most_frequent_class, most_frequent_token


def test_most_frequent_class_is_the_training_sets():
    assert most_frequent_class(["dog", "cat", "dog"], ["cat", "cat", "dog", "cow"]) == 0.25


def test_most_frequent_token_of_each_position():
    train = [[5, 6, 1], [5, 7, 1], [8, 7, 9, 1]]  # the answer is 5 7 1 1
    assert most_frequent_token(train, [[5, 7, 1], [5, 6, 4, 1, 1]]) == {
        "accuracy": pytest.approx(5 / 8),  # all 3 tokens of the first; 5 and 1 of the second, whose fifth position has no answer
        "accuracy_per_sequence": 0.5,
    }


def test_copying_the_source_is_perfect_only_where_nothing_changes():
    text = "Zwei Hunde rennen im Park."
    assert copied_source([text], [[text]])["bleu"] == pytest.approx(100)
    assert copied_source([text], [["Two dogs run in the park."]])["bleu"] < 20


def test_no_examples_are_refused():
    with pytest.raises(ValueError, match="training examples"):
        most_frequent_class([], ["dog"])
    with pytest.raises(ValueError, match="dev examples"):
        most_frequent_token([[1]], [])
