"""A few sweeps of a laser scanner with pictures of two cameras, in the layouts of KITTI's benchmarks."""

import io
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

P2 = "707.0493 0 604.0814 45.75831 0 707.0493 180.5066 -0.3454157 0 0 1 0.004981016"
P3 = "707.0493 0 604.0814 -334.1081 0 707.0493 180.5066 2.33066 0 0 1 0.003201153"
R0_RECT = (
    "0.9999128 0.01009263 -0.008511932 -0.01012729 0.9999406 -0.004037671 0.008470675 0.004123522 0.9999556"
)
TR = (
    "0.006927964 -0.9999722 -0.002757829 -0.02457729 -0.001162982 0.002749836 -0.9999955 -0.06127237"
    " 0.9999753 0.006931141 -0.001143899 -0.3321029"
)
"""Numbers of the magnitude of KITTI's own: the scanner looks along x, the cameras along z."""
WIDTH, HEIGHT = 1224, 370
LABELS = (0, 10, 252, 11, 99, 40, 60, 259, 81)
"""Numbers of the first points: nothing, two cars, a bicycle, nothing, two roads, a vehicle, a sign."""
CLASSES = (-1, 0, 0, 1, -1, 8, 8, 4, 18)
"""Their places among the nineteen classes."""


def sweep(number: int) -> np.ndarray:
    """x, y, z and reflectance of 40 points all around."""
    rng = np.random.default_rng(number)
    angles, distances = rng.uniform(-np.pi, np.pi, 40), rng.uniform(3, 60, 40)
    angles[:15] /= 8  # before the cameras
    columns = [distances * np.cos(angles), distances * np.sin(angles), rng.uniform(-2, 1, 40), rng.random(40)]
    return np.stack(columns, axis=1).astype(np.float32)


@cache
def picture() -> bytes:
    """A PNG whose pixels tell their place: red is the column, green the row, each by eight."""
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    sink = io.BytesIO()
    pixels = np.stack([columns // 8, rows // 8, np.zeros_like(rows)], axis=2).astype(np.uint8)
    Image.fromarray(pixels).save(sink, "PNG")
    return sink.getvalue()


def projection(camera: str = P2, rectification: str | None = R0_RECT) -> np.ndarray:
    """The 3x4 matrix from the scanner to pixels, as the development kits have it."""
    rotation = np.eye(4)
    if rectification is not None:
        rotation[:3, :3] = np.array(rectification.split(), float).reshape(3, 3)
    move = np.vstack([np.array(TR.split(), float).reshape(3, 4), [0, 0, 0, 1]])
    return np.array(camera.split(), float).reshape(3, 4) @ rotation @ move


def _write(folder: Path, name: str, number: int, *, cameras: tuple[str, ...] = ()) -> None:
    (folder / "velodyne").mkdir(parents=True, exist_ok=True)
    sweep(number).tofile(folder / f"velodyne/{name}.bin")
    for camera in cameras:
        (folder / camera).mkdir(exist_ok=True)
        (folder / f"{camera}/{name}.png").write_bytes(picture())


def write_object(root: Path) -> None:
    """Three frames of training and one of testing."""
    for part, numbers in (("training", (0, 1, 2)), ("testing", (0,))):
        (root / part / "calib").mkdir(parents=True)
        for number in numbers:
            _write(root / part, f"{number:06d}", number, cameras=("image_2", "image_3"))
            lines = [f"P0: {P2}", f"P1: {P2}", f"P2: {P2}", f"P3: {P3}", f"R0_rect: {R0_RECT}"]
            lines += [f"Tr_velo_to_cam: {TR}", f"Tr_imu_to_velo: {TR}", ""]
            (root / part / f"calib/{number:06d}.txt").write_text("\n".join(lines))


def write_odometry(root: Path, *, with_labels: bool = True, with_pictures: bool = False) -> None:
    """Two sweeps each of the sequences 00, 07, 08 and 11, the last of which has no labels."""
    for name in ("00", "07", "08", "11"):
        folder = root / "sequences" / name
        for number in (0, 1):
            _write(folder, f"{number:06d}", number, cameras=("image_2",) if with_pictures else ())
            if with_labels and name != "11":
                (folder / "labels").mkdir(exist_ok=True)
                labels = np.zeros(40, "<u4")
                labels[: len(LABELS)] = np.array(LABELS) + (7 << 16)  # of the seventh object
                labels.tofile(folder / f"labels/{number:06d}.label")
        (folder / "calib.txt").write_text(f"P0: {P2}\nP1: {P2}\nP2: {P2}\nP3: {P3}\nTr: {TR}\n")
