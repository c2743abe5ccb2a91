"""An answer as HTML: what is anybody's text is escaped, and each kind of answer has its parts."""

from t2t_multimodel.features import Audio, Label, ProblemSpec, Text
from t2t_multimodel.serving.answer_html import answer_html, error_html
from t2t_multimodel.serving.service import Answer, Output

COPY = ProblemSpec("copy", Text(), Text(), "to_english")
PARSE = ProblemSpec("parse", Text(), Text("tree"), "to_parse_tree")
SAID = ProblemSpec("said", Audio(), Label(("yes", "no")), "to_class")


def html(spec, outputs, experts=(), notes=(), batch_size=1):
    return answer_html(Answer(spec.name, outputs, list(experts), list(notes), batch_size, 0.125), spec, 3500)


def test_texts_are_escaped():
    found = html(COPY, [Output("<script>", -1.0, None, None), Output("a & b", -2.0, None, None)], notes=["<i>"])
    assert "<script>" not in found and "<i>" not in found
    assert all(part in found for part in ("&lt;script&gt;", "a &amp; b", "&lt;i&gt;", "-1.000", "-2.000"))
    assert error_html("<b>").count("&lt;b&gt;") == 1


def test_an_empty_output_is_said_to_be_nothing_and_one_output_has_no_rivals():
    found = html(COPY, [Output("", -1.0, None, None)])
    assert "(nothing)" in found and "best outputs" not in found and "Experts" not in found
    assert "0.12 s · copy · weights of step 3,500" in found


def test_classes_have_bars_and_trees_are_drawn():
    found = html(SAID, [Output("yes", -0.1, None, 0.9), Output("no", -2.3, None, 0.1)], batch_size=3)
    assert found.count('class="bar"') == 2 and "width:90.0%" in found
    assert "0.12 s, together with 2 other requests" in found
    tree = html(PARSE, [Output("(S (NN dogs) (VB bark))", -1.0, True, None)])
    assert "<svg" in tree and ">dogs</text>" in tree
    assert "<svg" not in html(PARSE, [Output("(S (NN dogs)", -1.0, False, None)])


def test_of_many_experts_the_largest_are_shown():
    found = html(COPY, [Output("a", -1.0, None, None)], experts=[0.0] * 10 + [0.5, 0.3, 0.2])
    first = found.index("expert 10"), found.index("expert 11"), found.index("expert 12")
    assert list(first) == sorted(first)
    assert found.count('class="bar"') == 9 and "5 others" in found
