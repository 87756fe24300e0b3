"""Which prepared sets a suite of corruptions can be measured on."""

from pointlab.data.corruptions import SUITES, CorruptionSuite, SuiteName
from pointlab.data.dataset import DatasetConfig

MOST_POINTS: dict[SuiteName, int] = {"modelnet_c": 1524, "modelnet40_c": 2048}
"""Of any cloud of a release: ModelNet-C adds 500 points to 1,024, ModelNet40-C doubles them."""


def require_suitable(data: DatasetConfig, suite: CorruptionSuite, num_points: int) -> None:
    """Refuse, as a mistake of the config, a set on which the suite's figures would be misnamed."""
    if suite.origin == "official":
        _require_release(data, suite)
    else:
        _require_clean(data, suite, num_points)


def _require_release(data: DatasetConfig, suite: CorruptionSuite) -> None:
    kind: str = data.source.kind
    if kind != suite.name:
        raise ValueError(
            f"suite.origin is 'official', but {data.name} is of kind {kind!r}: expected data in the released"
            f" files (data.source.kind: {suite.name}), or suite.origin: generated"
        )
    if data.normalise != "none" or data.num_points < MOST_POINTS[suite.name]:
        raise ValueError(
            f"released clouds are shown as they are: {data.name} must be prepared with normalise: none and"
            f" num_points: {MOST_POINTS[suite.name]} or more"
        )
    if data.voxel_size is not None or data.bad_clouds != "error":
        raise ValueError(
            f"{data.name} is no longer what was released: expected voxel_size: null and bad_clouds: error, so"
            " that no point and no cloud is left out"
        )


def _require_clean(data: DatasetConfig, suite: CorruptionSuite, num_points: int) -> None:
    kind: str = data.source.kind
    if kind in SUITES:
        raise ValueError(
            f"{data.name} is corrupted already: set suite.origin to official, or name a clean set"
        )
    if data.normalise != "unit_sphere":
        raise ValueError(
            f"corruptions are measured in radii of the unit sphere, but {data.name} has normalise:"
            f" {data.normalise}"
        )
    if data.voxel_size is not None:
        raise ValueError(
            f"corruptions change the density of clouds, but {data.name} was evened out by"
            f" voxel_size: {data.voxel_size}: expected null"
        )
    if "density_inc" in suite.chosen and suite.name == "modelnet40_c" and data.num_points < 2 * num_points:
        raise ValueError(
            f"density_inc picks {num_points} points from {2 * num_points}, but {data.name} is prepared with"
            f" {data.num_points}: raise that, lower num_points, or leave density_inc out of suite.corruptions"
        )
