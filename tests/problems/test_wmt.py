"""WMT14 as it is distributed: compressed archives with two files a corpus, and SGML test sets."""

import corpora
import pytest

from t2t_multimodel.problem import resolve
from t2t_multimodel.problems.wmt import WMT_ENDE, WMT_ENFR
from t2t_multimodel.utils.errors import DataError


def read(problem, split, folder):
    return list(problem.generate(split, folder))


def pairs(problem, split, folder):
    return [(example["inputs"], example["targets"]) for example in read(problem, split, folder) if "left_out" not in example]


@pytest.mark.parametrize("packed", [True, False])
def test_training_takes_a_line_of_each_corpus_in_turn_without_empty_ones(tmp_path, packed):
    corpora.wmt(tmp_path, packed)
    german = [("Resumption", "Anfang"), ("Price: 3 €", "Preis"), ("Gold", "Das Gold"), ("Thank you.", "Danke."), ("A b", "Ein b")]
    assert pairs(WMT_ENDE, "train", tmp_path) == german
    assert {"left_out": "untranslated"} in read(WMT_ENDE, "train", tmp_path)
    more = [("Charter", "Charte"), ("Changing Lives", "Des vies")]
    assert pairs(WMT_ENFR, "train", tmp_path) == german[:3] + more + german[3:]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("problem", [WMT_ENDE, WMT_ENFR])
def test_dev_and_test_are_the_news_of_2013_and_2014(tmp_path, packed, problem):
    corpora.wmt(tmp_path / "wmt14", packed)
    assert pairs(problem, "dev", tmp_path) == [("A Republican strategy", "Eine Strategie")]
    assert pairs(problem, "test", tmp_path) == [("Bread & tea .", "Eins ."), ("Two .", "Zwei .")]


def test_the_filtered_test_set_and_unpacked_giga_files_will_do(tmp_path):
    corpora.wmt(tmp_path, packed=True)
    (tmp_path / "test-full.tgz").unlink()
    files = {name.replace("test-full", "test"): data for name, data in corpora.wmt_files("fr")["test-full.tgz"].items()}
    giga = {"giga-fren.release2.fixed.en": b"Lives\n", "giga-fren.release2.fixed.fr": b"Vies\n"}
    (tmp_path / "training-giga-fren.tar").unlink()
    corpora.write(tmp_path, {"test-filtered.tgz": corpora.tar(files, "w:gz"), **giga})
    assert len(read(WMT_ENFR, "test", tmp_path)) == 2
    assert ("Lives", "Vies") in pairs(WMT_ENFR, "train", tmp_path)


def test_the_reverses_share_the_records(tmp_path):
    names = ("wmt_ende_tokens_8k_rev", "wmt_enfr_tokens_8k_rev")
    assert [problem.records_name for problem in resolve(names)] == [name.removesuffix("_rev") for name in names]
    assert {problem.target_space for problem in resolve(names)} == {"to_english"}


def test_all_archives_that_are_missing_are_named_with_their_addresses(tmp_path):
    with pytest.raises(DataError) as error:
        read(WMT_ENFR, "dev", tmp_path)
    for name in ("europarl-v7.tgz", "commoncrawl.tgz", "nc-v9.tgz", "un.tgz"):
        assert f"training-parallel-{name} (from https://www.statmt.org/wmt1" in str(error.value)
    for name in ("wmt10/training-giga-fren.tar", "wmt17/translation-task/dev.tgz", "wmt14/test-full.tgz"):
        assert f"{name})" in str(error.value)
    corpora.wmt(tmp_path, packed=False)
    (tmp_path / "commoncrawl.de-en.de").unlink()
    with pytest.raises(
        DataError, match=r"WMT14 English-DE is not complete; put into [^;]*: training-parallel-commoncrawl\.tgz \([^;]*$"
    ):
        read(WMT_ENDE, "dev", tmp_path)


@pytest.mark.parametrize(("english", "german"), [(b"One\nTwo\n", b"Eins\n"), (b"One\n", b"Eins\nZwei\n")])
def test_an_unequal_number_of_lines_is_told(tmp_path, english, german):
    corpora.wmt(tmp_path, packed=True)
    files = {"dev/newstest2013.en": english, "dev/newstest2013.de": german}
    corpora.write(tmp_path, {"dev.tgz": corpora.tar(files, "w:gz")})
    shorter, longer = ("de", "en") if len(english) > 4 else ("en", "de")
    with pytest.raises(DataError, match=rf"dev\.tgz: .*{shorter} ends after 1 lines, .*{longer} goes on"):
        read(WMT_ENDE, "dev", tmp_path)


def test_a_line_in_another_encoding_is_an_error_example(tmp_path):
    corpora.wmt(tmp_path, packed=False)
    corpora.write(tmp_path, {"dev/newstest2013.en": b"A\nB\n", "dev/newstest2013.de": b"\xc4rger\nB\n"})
    bad, good = read(WMT_ENDE, "dev", tmp_path)
    assert "line 1 of " in str(bad["error"]) and "newstest2013.de is not UTF-8" in str(bad["error"])
    assert (good["inputs"], good["targets"]) == ("B", "B")


def test_an_archive_without_the_file_and_a_test_set_without_segments_are_told(tmp_path):
    corpora.wmt(tmp_path, packed=True)
    corpora.write(tmp_path, {"dev.tgz": corpora.tar({"dev/newstest2012.en": b"A\n"}, "w:gz")})
    with pytest.raises(DataError, match=r"dev\.tgz has no newstest2013\.en"):
        read(WMT_ENDE, "dev", tmp_path)
    files = dict.fromkeys(corpora.wmt_files("de")["test-full.tgz"], b"A sentence\n")
    corpora.write(tmp_path, {"test-full.tgz": corpora.tar(files, "w:gz")})
    with pytest.raises(DataError, match=r"newstest2014-deen-src\.en\.sgm has no lines like <seg"):
        read(WMT_ENDE, "test", tmp_path)


@pytest.mark.parametrize("kept", [0.1, 0.6])
def test_a_cut_archive_is_named(tmp_path, kept):
    corpora.wmt(tmp_path, packed=True)
    path = tmp_path / "training-parallel-europarl-v7.tgz"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(DataError, match=r"training-parallel-europarl-v7\.tgz.* is damaged, cut short"):
        read(WMT_ENDE, "train", tmp_path)
