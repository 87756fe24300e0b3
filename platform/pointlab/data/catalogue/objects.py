"""Published sets of single objects other than ModelNet itself, and what was made from ModelNet."""

from collections.abc import Mapping

from pointlab.data.catalogue.card import Card, Download
from pointlab.data.catalogue.modelnet import STANFORD, UNRELIABLE

RESEARCH_ONLY = "For non-commercial research and education only."
FROM_MODELNET = "Made from ModelNet, whose terms hold: academic research only."

SCANOBJECTNN = Card(
    name="scanobjectnn",
    title="ScanObjectNN: objects cut from indoor scans",
    citation="Uy et al., Revisiting Point Cloud Classification, ICCV 2019",
    homepage="https://hkust-vgd.github.io/scanobjectnn",
    licence="terms of use, accepted before the download",
    terms=f"{RESEARCH_ONLY} The terms of ScanNet and SceneNN, from which it was cut, hold too.",
    num_classes=15,
    downloads=(
        Download("https://hkust-vgd.github.io/scanobjectnn", "asks for the terms to be accepted in a form"),
        Download("https://download.cs.stanford.edu/orion/scanobjectnn/h5_files.zip", "a mirror"),
        Download("https://huggingface.co/datasets/cminst/ScanObjectNN", "a mirror"),
    ),
    kinds=("scanobjectnn",),
)
_OBJECTS, _HARDEST = {"train": 2309, "test": 581}, {"train": 11416, "test": 2882}
SCANOBJECTNN_ROWS: Mapping[str, Mapping[str, int]] = {
    "obj_bg": _OBJECTS,
    "obj_only": _OBJECTS,
    "pb_t50_rs": _HARDEST,
}
"""Official numbers of clouds by variant, of those that papers state."""

SHAPENET55 = Card(
    name="shapenet55",
    title="ShapeNet-55 and ShapeNet-34: points on the models of ShapeNetCore",
    citation="Yu et al., PoinTr, ICCV 2021; Chang et al., ShapeNet, 2015",
    homepage="https://github.com/yuxumin/PoinTr",
    licence="ShapeNet terms of use",
    terms=RESEARCH_ONLY,
    known_defects={
        "list row without a model": "04379243-.npy and 02747177-.npy name no model: left out",
        "object without a picture": "none is where the pattern says: kept without, and masked in training",
        "object without a caption": "none is given for it or its category: kept without, masked in training",
    },
    downloads=(Download("https://github.com/yuxumin/PoinTr", "links to shared drives"),),
    kinds=("shapenet55",),
)
SHAPENET_PART = Card(
    name="shapenet-part",
    title="ShapeNetPart: parts of the models of 16 categories",
    citation="Yi et al., A Scalable Active Framework for Region Annotation in 3D Shape Collections, 2016",
    homepage="https://shapenet.org",
    licence="ShapeNet terms of use",
    terms=RESEARCH_ONLY,
    num_classes=16,
    rows={"train": 12137, "validation": 1870, "test": 2874},
    downloads=(
        Download(f"{STANFORD}/shapenetcore_partanno_segmentation_benchmark_v0_normal.zip", UNRELIABLE),
        Download("https://huggingface.co/datasets/wangps/shapenet_segmentation", "a mirror"),
    ),
    kinds=("shapenet_part",),
)
MODELNET_FEWSHOT = Card(
    name="modelnet-fewshot",
    title="Few-shot folds of ModelNet40",
    citation="Sharma and Kaul, Self-Supervised Few-Shot Learning on Point Clouds, NeurIPS 2020",
    homepage="https://github.com/lulutang0608/Point-BERT",
    licence="as ModelNet: academic research use only",
    terms=FROM_MODELNET,
    known_defects={
        "folder without underscore": "some copies name 5way_10shot as 5way10shot: read all the same",
    },
    kinds=("modelnet_fewshot",),
)
MODELNET_C = Card(
    name="modelnet-c",
    title="ModelNet-C: seven corruptions of the test clouds of ModelNet40",
    citation="Ren et al., Benchmarking and Analyzing Point Cloud Classification under Corruptions, ICML 2022",
    homepage="https://github.com/jiawei-ren/ModelNet-C",
    licence="as ModelNet: academic research use only",
    terms=f"{FROM_MODELNET} Its authors ask for no scores on sets of one's own making under its name.",
    num_classes=40,
    rows={"test": 36 * 2468},
    downloads=(
        Download("https://drive.google.com/uc?id=1KE6MmXMtfu_mgxg4qLPdEwVD5As8B0rm", "modelnet_c.zip"),
        Download("https://pointcloud-c.github.io/download.html", "the project's page"),
    ),
    kinds=("modelnet_c",),
)
MODELNET40_C = Card(
    name="modelnet40-c",
    title="ModelNet40-C: fifteen corruptions of the test clouds of ModelNet40",
    citation="Sun et al., Benchmarking Robustness of 3D Point Cloud Recognition, 2022",
    homepage="https://github.com/jiachens/ModelNet40-C",
    licence="as ModelNet: academic research use only",
    terms=FROM_MODELNET,
    num_classes=40,
    downloads=(Download("https://zenodo.org/record/6017834", "all npy files"),),
    kinds=("modelnet40_c",),
)
OBJECT_CARDS = (SCANOBJECTNN, SHAPENET55, SHAPENET_PART, MODELNET_FEWSHOT, MODELNET_C, MODELNET40_C)
