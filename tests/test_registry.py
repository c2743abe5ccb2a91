"""Registry: names, refusals, and messages that help."""

import pytest

from t2t_multimodel.registry import Registry, unknown
from t2t_multimodel.utils.errors import UnknownNameError


def filled() -> Registry[int]:
    registry: Registry[int] = Registry("number")
    registry.register("three", 3)
    registry.register("one", 1)
    return registry


def test_names_are_sorted_and_values_found():
    registry = filled()
    assert registry.names() == ["one", "three"]
    assert registry.get("three") == 3
    assert "one" in registry and "two" not in registry


def test_decorator_returns_what_it_registers():
    registry: Registry = Registry("function")

    @registry.registered("double")
    def double(x):
        return 2 * x

    assert registry.get("double") is double
    assert double(2) == 4


def test_second_value_under_a_name_is_refused():
    registry = filled()
    with pytest.raises(ValueError, match="number 'one' is registered already"):
        registry.register("one", 2)
    assert registry.get("one") == 1


def test_unknown_name_names_the_nearest():
    with pytest.raises(UnknownNameError) as caught:
        filled().get("thre")
    assert str(caught.value) == "unknown number 'thre'; did you mean three?"


def test_unknown_name_with_nothing_near_lists_what_exists():
    assert unknown("number", "xyz", ["one", "three"]) == "unknown number 'xyz'; there are: one, three"
    assert unknown("number", "xyz", []) == "unknown number 'xyz'; there are: none"
    assert unknown("number", "xyz", [f"n{i}" for i in range(20)]).endswith(
        "there are: n0, n1, n2, n3, n4, n5, n6, n7 and 12 others"
    )


def test_temporary_entries_go_again_after_an_error_too():
    registry = filled()
    with pytest.raises(RuntimeError), registry.temporary(two=2):
        assert registry.get("two") == 2
        raise RuntimeError
    assert registry.names() == ["one", "three"]


def test_temporary_entry_cannot_hide_a_registered_one():
    registry = filled()
    with pytest.raises(ValueError), registry.temporary(one=2):
        pass
    assert registry.get("one") == 1
