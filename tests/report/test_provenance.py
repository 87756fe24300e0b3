"""A page says where its data, its teachers and its code come from."""

from pathlib import Path

from pointlab.report.collect import collect
from pointlab.report.provenance import provenance
from pointlab.storage import Record, open_storage, write_record

TEACHER, STUDY = "towers-0123456789-s0", "a-study-0123456789"


def record(run: str, kind: str, version: str, **more: object) -> Record:
    settings = {"run": run, "kind": kind, "name": kind, "seed": 0, "protocol": kind, "config": {}}
    return Record.model_validate({**settings, "code_version": version, **more})


def test_teachers_of_a_study_are_told_with_the_hash_of_their_weights_and_the_code(tmp_path: Path) -> None:
    store = open_storage(str(tmp_path))
    write_record(store, record(TEACHER, "teacher", "old", notes={"sha256 of the weights": "feed"}))
    curves = {
        "cells": [],
        "comparison": [],
        "pooled": [],
        "ancestors": [{"run": TEACHER, "outcome": "finished"}],
    }
    write_record(
        store, record(STUDY, "study", "new", curves=curves, datasets={"to/data": "gone-0123456789ab"})
    )
    told = provenance(collect(store, [STUDY]))
    assert told.teachers == ((TEACHER, "teacher", "feed"),)
    assert told.versions == (("new", 1), ("old", 1))
    (gone,) = told.sets
    assert (gone.dataset, gone.title) == ("gone-0123456789ab", "no longer in the store")
