"""`shapes`: whole, clean, upright objects, the source domain of a transfer.

Points are uniform over the surface, with exact normals, part labels and a caption. Objects stand on
y = 0, face +z and keep their natural size in metres. `num_views` pictures of each may come along.
"""

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from pointlab.data.builtin.generated import GeneratedSource
from pointlab.data.builtin.objects import CLASSES, PART_NAMES
from pointlab.data.builtin.portraits import take_portraits
from pointlab.data.builtin.surfels import sample_object
from pointlab.data.sample import Cloud
from pointlab.seeding import Key, generator


class Shapes(GeneratedSource):
    """Parametric objects of every built-in class."""

    to_give_pictures: ClassVar[str] = "set data.source.num_views, such as 8"
    to_give_cameras: ClassVar[str] = to_give_pictures
    kind: Literal["shapes"] = "shapes"
    num_points: int = Field(default=2048, ge=1)
    """Points of a cloud: twice what networks usually take, so that preparation can choose."""
    num_views: int = Field(default=0, ge=0)
    """Pictures of each object from around it; none by default, as only what looks at images needs them."""
    view_size: int = Field(default=224, ge=16)
    """Pixels along each side of a picture: 224 is what most image networks take."""

    @property
    def gives_pictures(self) -> bool:
        """If they are asked for."""
        return self.num_views > 0

    @property
    def gives_cameras(self) -> bool:
        """With the pictures, which are rendered."""
        return self.gives_pictures

    @property
    def stream(self) -> str:
        """There is one stream."""
        return "shapes"

    @property
    def part_names(self) -> tuple[str, ...]:
        """Every part of every class."""
        return PART_NAMES

    @property
    def points_per_cloud(self) -> int:
        """All clouds have `num_points` points."""
        return self.num_points

    def make(self, class_name: str, key: tuple[Key, ...]) -> Cloud:
        """An instance of `class_name`, sampled all over, and its pictures."""
        source = generator(*key)
        assembly = CLASSES[class_name](source)
        surfels = sample_object(class_name, assembly, self.num_points, source)
        cloud = surfels.to_cloud(list(CLASSES).index(class_name), assembly.caption)
        if self.num_views == 0:
            return cloud
        # draws of their own, so that a cloud is the same with pictures as without
        views = take_portraits(assembly, self.num_views, self.view_size, generator(*key, "views"))
        return replace(cloud, views=views)
