"""A stored set whose clouds have pictures and captions, made in no time: nothing of it is rendered."""

import numpy as np

from pointlab.data.manifest import DatasetManifest
from pointlab.data.pictures import encode_colour
from pointlab.data.sample import Cloud, Picture, View
from pointlab.data.shards import PreparedCloud, encode_shard
from pointlab.geometry.cameras import centred_pinhole
from pointlab.seeding import generator
from pointlab.storage import Storage, publish

NAME = "pictured"
NUM_CLOUDS = 40


def picture(size: int, *key: int) -> Picture:
    """A square picture of coarse noise, another one for every key."""
    pixels = generator("picture", *key).random((size // 4, size // 4, 3)).repeat(4, 0).repeat(4, 1)
    return Picture(encode_colour(pixels), centred_pinhole(size, size, 1.0), np.eye(4))


def pictured_cloud(number: int, *sizes: int, caption: str | None = None) -> PreparedCloud:
    """Noise with pictures of these sizes, of which only the depth of a first view is no colour picture."""
    pictures = [picture(size, number, place) for place, size in enumerate(sizes)]
    blind = (View("depth alone", depth=pictures[0]),) if pictures else ()
    views = (*blind, *(View(f"{place:02d}", colour) for place, colour in enumerate(pictures)))
    points = generator("pictured", number).normal(size=(64, 3)).astype(np.float32)
    normals = points / np.linalg.norm(points, axis=1, keepdims=True)
    cloud = Cloud(points, number % 3, normals, caption=caption, views=views)
    return PreparedCloud(1000 + number, "", cloud)


def manifest_of(name: str, class_names: tuple[str, ...], recipe: str = "", **rows: int) -> DatasetManifest:
    """What a set of such clouds says of itself; so many of them in each split."""
    nothing = dict.fromkeys(("title", "citation", "homepage", "terms"), "")
    return DatasetManifest.model_validate(
        {
            "name": name,
            "recipe": recipe,
            "card": {"name": name, **nothing, "licence": "CC0-1.0", "scale": "unknown"},
            "source": {},
            "class_names": class_names,
            "part_names": (),
            "normalise": "none",
            "sampling": "farthest",
            "num_points": 64,
            "rows": rows,
            "dropped": {},
            "defects": {},
            "findings": (),
            "code_version": "",
            "source_files": {},
        }
    )


def publish_pictured(storage: Storage) -> dict[int, Cloud]:
    """Store the set with a training split alone, in two shards; its clouds by id."""
    clouds = [pictured_cloud(number, 8, 8, caption=f"thing {number // 2}") for number in range(NUM_CLOUDS)]
    half = NUM_CLOUDS // 2
    shards = {"train-00000-of-00002.parquet": clouds[:half], "train-00001-of-00002.parquet": clouds[half:]}
    contents = {name: encode_shard(part, 64) for name, part in shards.items()}
    publish(storage, f"datasets/{NAME}", "dataset", contents, {})
    return {prepared.sample_id: prepared.cloud for prepared in clouds}
