"""Features from tables: what each kind of column becomes, ids and names, models that remember the encoder, files."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

import lrrec
from lrrec import IALS, Blend, Interactions, ItemContent
from lrrec.errors import DataError, FileFormatError, LrrecError, NotFittedError, ParameterError
from lrrec.features import Category, FeatureEncoder, Features, Number, Tags, Text, Vector
from lrrec.features.feature_encoder import KINDS


@pytest.fixture
def films():
    return pd.DataFrame(
        {
            "film": ["a", "b", "c", "d", "e"],
            "genres": ["Drama|War", "Drama", "", None, "Comedy| War "],
            "country": ["fr", "us", "us", None, "it"],
            "year": [1950.0, 1960.0, np.nan, 1980.0, 1990.0],
            "plot": ["a war of ants", "ants in love", "love and war", "", "the end of the war"],
            "vector": [[1.0, 0.0], [0.0, 2.0], None, [1.0, 1.0], [3.0, 0.0]],
        }
    )


@pytest.fixture
def likes():
    return Interactions.from_pairs(list("uuvvwwx"), list("abbcdea"))


def dense(features):
    return features.matrix if isinstance(features.matrix, np.ndarray) else features.matrix.toarray()


def column(features, name):
    return dense(features)[:, features.names.indices([name])[0]].tolist()


def test_tags_and_categories_are_zeros_and_ones(films):
    features = FeatureEncoder({"genres": "tags", "country": "category"}, id="film").fit_transform(films)
    assert list(features.ids) == list("abcde")
    assert list(features.names) == [
        "genres=Comedy", "genres=Drama", "genres=War", "country=fr", "country=it", "country=us",
    ]  # fmt: skip
    assert column(features, "genres=War") == [1, 0, 0, 0, 1]
    assert column(features, "country=us") == [0, 1, 1, 0, 0]
    assert sp.issparse(features.matrix)


def test_tags_are_lists_too_and_rare_ones_are_left_out(films):
    films["genres"] = [["Drama", "War"], ("Drama",), [], None, np.array(["Comedy", "Comedy"], dtype=object)]
    features = FeatureEncoder({"genres": Tags(min_count=2, weight=3.0)}, id="film").fit_transform(films)
    assert list(features.names) == ["genres=Drama"]
    assert column(features, "genres=Drama") == [3, 3, 0, 0, 0]


def test_numbers_are_standardized_and_missing_ones_say_nothing(films):
    given = films["year"].dropna()
    want = ((films["year"] - given.mean()) / given.std(ddof=0)).fillna(0)
    features = FeatureEncoder({"year": Number()}, id="film").fit_transform(films)
    np.testing.assert_allclose(column(features, "year"), want, atol=1e-6)
    logs = np.log1p(films["year"])
    want = ((logs - logs.mean()) / logs.std(ddof=0)).fillna(0)
    features = FeatureEncoder({"year": Number(log=True)}, id="film").fit_transform(films)
    np.testing.assert_allclose(column(features, "year"), want, atol=1e-5)


def test_text_is_what_scikit_learn_makes_of_it(films):
    texts = films["plot"].tolist()
    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2)
    want = vectorizer.fit_transform(texts).toarray()
    features = FeatureEncoder({"plot": Text(None)}, id="film").fit_transform(films)
    assert [name.removeprefix("plot=") for name in features.names] == vectorizer.get_feature_names_out().tolist()
    np.testing.assert_allclose(dense(features), want, atol=1e-6)
    reduced = dense(FeatureEncoder({"plot": Text(2)}, id="film").fit_transform(films))
    of_sklearn = TruncatedSVD(2, algorithm="arpack").fit_transform(want)
    np.testing.assert_allclose(reduced @ reduced.T, of_sklearn @ of_sklearn.T, atol=1e-3)


def test_vectors_are_centred_and_scaled_together(films):
    features = dense(FeatureEncoder({"vector": Vector()}, id="film").fit_transform(films))
    assert features[2].tolist() == [0, 0]
    given = features[[0, 1, 3, 4]]
    np.testing.assert_allclose(given.mean(axis=0), 0, atol=1e-6)
    assert np.square(given).sum(axis=1).mean() == pytest.approx(1)
    np.testing.assert_allclose((given[3] - given[0])[1] / (given[3] - given[0])[0], 0, atol=1e-6)


def test_a_row_is_encoded_the_same_wherever_it_stands(films):
    encoder = FeatureEncoder(spec(), id="film").fit(films)
    shuffled = encoder.transform(films.iloc[[4, 1]])
    assert list(shuffled.ids) == ["e", "b"]
    np.testing.assert_array_equal(dense(shuffled), dense(encoder.transform(films))[[4, 1]])


def spec():
    return {"genres": Tags(), "country": Category(), "year": Number(), "plot": Text(2), "vector": Vector(weight=0.5)}


@pytest.mark.parametrize("backend", ["polars", "pyarrow"])
def test_tables_of_other_libraries(films, backend):
    library = pytest.importorskip(backend)
    encoder = FeatureEncoder(spec(), id="film")
    want = encoder.fit_transform(films)
    lists = {name: [None if value is np.nan else value for value in films[name].tolist()] for name in films}
    lists["year"] = [None if np.isnan(year) else year for year in films["year"]]
    table = library.DataFrame(lists) if backend == "polars" else library.table(lists)
    got = encoder.fit_transform(table)
    assert list(got.names) == list(want.names)
    np.testing.assert_allclose(dense(got), dense(want), atol=1e-6)


def test_kinds_are_guessed(films):
    films["new"] = [True, False, True, False, True]
    films["votes"] = [1, 2, 3, 4, 5]
    features = FeatureEncoder(id="film").fit_transform(films.drop(columns=["plot", "vector"]))
    assert column(features, "new=True") == [1, 0, 1, 0, 1]
    assert {"genres=War", "country=us", "year", "votes"} <= set(features.names)
    titles = pd.DataFrame({"film": range(2001), "title": [f"title {n}" for n in range(2001)]})
    with pytest.raises(DataError, match=r"'title' must have at most 2000 .* Text\(\)"):
        FeatureEncoder(id="film").fit(titles)


def test_ids_are_a_column_or_the_index(films):
    by_column = FeatureEncoder({"year": "number"}, id="film").fit_transform(films)
    for encoder in (FeatureEncoder({"year": "number"}), FeatureEncoder({"year": "number"}, id="film")):
        by_index = encoder.fit_transform(films.set_index("film"))
        assert list(by_index.ids) == list(by_column.ids)
        np.testing.assert_array_equal(by_index.matrix, by_column.matrix)
    twice = pd.concat((films, films.iloc[[1]]))
    with pytest.raises(DataError, match="film must have each id in one row, got 'b' more than once"):
        FeatureEncoder({"year": "number"}, id="film").fit(twice)


def test_unseen_values_are_nothing_or_an_error(films):
    new = pd.DataFrame({"film": ["z"], "country": ["de"]})
    ignoring = FeatureEncoder({"country": Category()}, id="film").fit(films)
    assert not dense(ignoring.transform(new)).any()
    strict = FeatureEncoder({"country": Category(unseen="error")}, id="film").fit(films)
    with pytest.raises(DataError, match="'country' must have values that the encoder was fitted with, got 'de'"):
        strict.transform(new)


BAD = [
    ({"year": "numbers"}, ParameterError, r"columns\['year'\] must be one of Number\(\)"),
    ({"year": 3}, ParameterError, "must be one of"),
    ({"year": Number(weight=0)}, ParameterError, "weight"),
    ({"genres": Tags("")}, ParameterError, "separator"),
    ({"genres": Tags(unseen="skip")}, ParameterError, "unseen"),
    ({"plot": Text(0)}, ParameterError, "n_components"),
    ({}, ParameterError, "columns must name a column"),
    ({"colour": "category"}, DataError, "columns must name columns of the table, .* got 'colour'"),
    ({"country": "number"}, DataError, "'country' must hold finite numbers, got 'fr'"),
    ({"vector": "category"}, DataError, "'vector' must hold one value a row"),
    ({"year": "tags"}, DataError, "'year' must hold text or lists of tags"),
    ({"year": "text"}, DataError, "'year' must hold text, got 1950.0"),
    ({"country": "vector"}, DataError, "'country' must hold lists of numbers"),
    ({"plot": Text(min_count=9)}, DataError, "'plot' must have a word of two letters in 9 rows"),
    ({"genres": Tags(min_count=9)}, DataError, "'genres' must have a value in 9 rows"),
]


@pytest.mark.parametrize(("columns", "error", "message"), BAD)
def test_what_cannot_be_encoded_is_refused(films, columns, error, message):
    with pytest.raises(error, match=message):
        FeatureEncoder(columns, id="film").fit(films)


def test_tables_that_cannot_be_read_are_refused(films):
    with pytest.raises(NotFittedError):
        FeatureEncoder().transform(films)
    with pytest.raises(DataError):
        FeatureEncoder(id="isbn").fit(films)
    with pytest.raises(DataError):
        FeatureEncoder().fit([[1, 2]])
    ragged = films.assign(vector=[[1.0], [1.0, 2.0], None, [1.0], [1.0]])
    with pytest.raises(DataError, match="as many numbers each"):
        FeatureEncoder({"vector": "vector"}, id="film").fit(ragged)
    with pytest.raises(DataError, match=">= 0 with log=True"):
        FeatureEncoder({"year": Number(log=True)}, id="film").fit(films.assign(year=-1.0))


def test_features_are_matched_by_id_and_name():
    features = Features(sp.csr_array(np.array([[1.0, 0.0], [0.0, 2.0]])), ["x", "y"], ["p", "q"])
    assert features.select(["y"]).matrix.toarray().tolist() == [[0, 2]]
    assert features.reindex(["z", "y"]).matrix.toarray().tolist() == [[0, 0], [0, 2]]
    with pytest.raises(DataError, match="got none for 'z'"):
        features.select(["z"])
    for arguments in (([[1.0]], ["x", "y"]), ([[1.0]], ["x"], ["p", "q"]), ([[np.nan]], ["x"]), ([1.0], ["x"])):
        with pytest.raises(DataError):
            Features(*arguments)
    with pytest.raises(DataError, match="distinct"):
        Features([[1.0], [2.0]], ["x", "x"])


@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_models_take_features_as_they_take_frames(likes, kind):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.integers(0, 2, (5, 3)).astype(float), index=list("edcba"), columns=["p", "q", "r"])
    matrix = sp.csr_array(table.to_numpy()) if kind == "sparse" else table.to_numpy()
    features = Features(matrix, table.index, table.columns)
    by_frame = IALS(2, random_state=0).fit(likes, item_features=table.loc[list(likes.items)])
    by_features = IALS(2, random_state=0).fit(likes, item_features=features)
    np.testing.assert_allclose(by_features.item_factors_, by_frame.item_factors_, atol=1e-5)
    swapped = Features(matrix[:, [2, 0, 1]], table.index, ["r", "p", "q"])
    extra = by_features.with_items(["z"], Features(swapped.matrix[[0]], ["z"], swapped.names))
    np.testing.assert_allclose(extra.item_factors_[-1], table.iloc[0] @ by_features.feature_map_, atol=1e-5)
    with pytest.raises(DataError, match="item_features must have a row for each item, got none for 'e'"):
        IALS(2).fit(likes, item_features=Features(matrix[1:], table.index[1:], table.columns))
    with pytest.raises(DataError, match="must have the columns"):
        by_features.with_items(["z"], Features(matrix[:1], ["z"]))


@pytest.mark.parametrize("model", [IALS(2, random_state=0), ItemContent(), Blend([IALS(2), ItemContent()])], ids=repr)
def test_a_model_remembers_the_encoder(films, likes, tmp_path, model):
    encoder = FeatureEncoder(spec(), id="film")
    model = model.fit(likes, item_features=encoder.fit_transform(films))
    model.save(tmp_path / "model")
    loaded = lrrec.load(tmp_path / "model")
    if isinstance(model, Blend):
        assert all(member.feature_encoder_ is not None for member in loaded.models_)
        return
    new = films.iloc[[1]].assign(film="z", year=2000.0)
    kept, again = (m.with_items(["z"], new).recommend(["u"], k=3) for m in (model, loaded))
    assert kept.items.tolist() == again.items.tolist()
    np.testing.assert_array_equal(kept.scores, again.scores)
    by_features = model.with_items(["z"], encoder.transform(new)).recommend(["u"], k=3)
    np.testing.assert_array_equal(kept.scores, by_features.scores)
    assert loaded.with_items(["z"], new).feature_encoder_ is loaded.feature_encoder_
    assert model.fit(likes, item_features=np.eye(5)).feature_encoder_ is None


def test_users_are_described_by_tables(likes, tmp_path):
    people = pd.DataFrame({"user": list("uvwx"), "sex": ["f", "m", "f", "m"], "age": [20, 30, 40, 50]})
    encoder = FeatureEncoder({"sex": "category", "age": "number"}, id="user")
    model = IALS(2, random_state=0).fit(likes, user_features=encoder.fit_transform(people))
    model.save(tmp_path / "model")
    new = pd.DataFrame({"user": ["y", "z"], "sex": ["f", "m"], "age": [25, 35]})
    wanted = model.recommend_from(None, k=2, user_features=encoder.transform(new))
    assert wanted.users.tolist() == ["y", "z"]
    for one in (model, lrrec.load(tmp_path / "model")):
        lists = one.recommend_from(None, k=2, user_features=new)
        assert lists.items.tolist() == wanted.items.tolist()
        np.testing.assert_array_equal(lists.scores, wanted.scores)


@pytest.mark.parametrize("kind", KINDS)
def test_encoders_survive_arrays(films, kind):
    name = {"number": "year", "category": "country", "tags": "genres", "text": "plot", "vector": "vector"}[kind]
    encoder = FeatureEncoder({name: kind}, id="film").fit(films)
    again = FeatureEncoder.from_arrays("memory", dict(encoder.to_arrays()))
    assert repr(again.columns_) == repr(encoder.columns_)
    np.testing.assert_array_equal(dense(again.transform(films)), dense(encoder.transform(films)))


def test_broken_arrays_are_refused(films):
    whole = FeatureEncoder(spec(), id="film").fit(films).to_arrays()
    for name in whole:
        with pytest.raises(FileFormatError):
            FeatureEncoder.from_arrays("memory", {key: array for key, array in whole.items() if key != name})
    for text in ("", "[]", "{}", json.dumps({"id": 1, "columns": [["a", "Eval", {}]]})):
        with pytest.raises(LrrecError):
            FeatureEncoder.from_arrays("memory", whole | {"json": np.frombuffer(text.encode(), dtype=np.uint8)})


def test_ids_are_not_taken_from_an_index_that_nobody_made(films):
    """A table whose ids are in a column, and that nobody told so: rows 0, 1, 2 are no ids."""
    for encoder in (FeatureEncoder({"year": "number"}), FeatureEncoder()):
        with pytest.raises(DataError, match="id must name the column of ids"):
            encoder.fit(films)
    numbered = films.set_index(pd.RangeIndex(5, name="film")).drop(columns="film")
    assert list(FeatureEncoder({"year": "number"}).fit_transform(numbered).ids) == [0, 1, 2, 3, 4]


def test_missing_tags_of_a_list_are_no_tags(films):
    films["genres"] = [["Drama", None], [np.nan, "War"], [None], [], ["Drama", pd.NA, ""]]
    features = FeatureEncoder({"genres": Tags()}, id="film").fit_transform(films)
    assert list(features.names) == ["genres=Drama", "genres=War"]


@pytest.mark.parametrize("kind", ["number", "text", "vector"])
def test_forged_arrays_are_refused(films, kind):
    name = {"number": "year", "text": "plot", "vector": "vector"}[kind]
    encoder = FeatureEncoder({name: Text(2) if kind == "text" else kind}, id="film").fit(films)
    whole = encoder.to_arrays()
    for key in whole:
        if key == "json" or ".words_" in key:
            continue
        none = whole[key][:0] if "directions_" not in key else whole[key][:, :0]  # no directions: words themselves
        for forged in (none, whole[key].astype("U"), np.full_like(whole[key], np.nan), whole[key][None]):
            with pytest.raises(FileFormatError):
                FeatureEncoder.from_arrays("memory", whole | {key: forged})


def test_stored_files_have_their_encoder():
    model = lrrec.load(Path(__file__).parent / "data" / "lrrec-2" / "EASE-of-a-table.lrrec")
    new = pd.DataFrame({"item": [1000], "kind": ["b"], "size": [1.5], "about": ["blue stone"], "place": [[0.0, 1.0]]})
    wider = model.with_items([1000], new)
    assert wider.item_evidence_[-1]
    np.testing.assert_array_equal(wider.item_weights_[:-1, :-1], model.item_weights_)
    assert [*model.feature_names_][:4] == ["kind=a", "kind=b", "kind=c", "size"]


def test_stored_zeros_are_no_features():
    stored = sp.csr_array((np.array([0.0, 1.0]), ([0, 1], [0, 0])), shape=(2, 1))
    assert Features(stored, ["x", "y"]).matrix.nnz == 1
    likes = Interactions.from_pairs(["u", "u"], ["x", "y"])
    assert stored.nnz == 2
    assert ItemContent().fit(likes, item_features=stored).item_evidence_.tolist() == [False, True]
