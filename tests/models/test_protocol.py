"""MultiModel is a Model: it has each method of the Protocol, with its parameters, and each attribute."""

import inspect

import pytest
import tiny

from t2t_multimodel.model_protocol import DecodableModel, Model
from t2t_multimodel.models.multimodel import MultiModel

MEMBERS = {**vars(DecodableModel), **vars(Model)}
METHODS = [name for name, member in MEMBERS.items() if inspect.isfunction(member) and not name.startswith("_")]
ATTRIBUTES = [name for name, member in MEMBERS.items() if isinstance(member, property)]


@pytest.mark.parametrize("name", METHODS)
def test_methods_take_what_the_protocol_says(name):
    wanted = inspect.signature(MEMBERS[name]).parameters
    found = inspect.signature(getattr(MultiModel, name)).parameters
    assert list(found)[: len(wanted)] == list(wanted)
    others = [found[extra] for extra in list(found)[len(wanted) :]]
    assert all(other.default is not other.empty or other.kind is other.VAR_KEYWORD for other in others)
    optional = {key for key, parameter in wanted.items() if parameter.default is not parameter.empty}
    assert all(found[key].default is not inspect.Parameter.empty for key in optional)


def test_attributes_are_there():
    model = tiny.model(("text_label",), encoder_blocks=0)
    assert not [name for name in ATTRIBUTES if not hasattr(model, name)]
