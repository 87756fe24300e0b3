"""Sets of scenes, of RGB-D recordings, of laser scans of streets, and of segmented meshes."""

from pointlab.data.catalogue.card import Card, Download

STRAY_CHARACTER = "stray character"
LOST_TRACKING = "frames without a pose"

S3DIS = Card(
    name="s3dis",
    title="S3DIS: rooms of six indoor areas with thirteen classes",
    citation="Armeni et al., 3D Semantic Parsing of Large-Scale Indoor Spaces, CVPR 2016",
    homepage="http://buildingparser.stanford.edu/dataset.html",
    licence="by agreement with Stanford University, non-commercial research",
    terms="Access is granted to those who fill in the form of the homepage; do not pass the data on.",
    scale="metres",
    known_defects={
        STRAY_CHARACTER: "a control character between two numbers of line 180389 of"
        " Area_5/hallway_6/Annotations/ceiling_1.txt (v1.2): read as a blank",
    },
    downloads=(
        Download(
            "http://buildingparser.stanford.edu/dataset.html",
            "asks for a form; Stanford3dDataset_v1.2 is read as it is (form: raw), and PointNet's"
            " collect_indoor3d_data.py makes stanford_indoor3d of it (form: npy)",
        ),
        Download(
            "https://huggingface.co/datasets/Pointcept/s3dis-compressed",
            "prepared in another layout, under the same terms",
        ),
    ),
    kinds=("s3dis",),
)
SCANNET = Card(
    name="scannet",
    title="ScanNet: RGB-D scans of indoor scenes, with the twenty classes of the benchmark",
    citation="Dai et al., ScanNet: Richly-annotated 3D Reconstructions of Indoor Scenes, CVPR 2017",
    homepage="http://www.scan-net.org",
    licence="ScanNet terms of use, non-commercial research",
    terms="Access is granted to those who sign the terms of use of the homepage; do not pass the data on.",
    scale="metres",
    rows={"train": 1201, "validation": 312, "test": 100},
    known_defects={LOST_TRACKING: "poses of infinite numbers where tracking was lost: frames passed over"},
    downloads=(Download("http://www.scan-net.org", "asks for signed terms"),),
    kinds=("scannet", "rgbd_frames"),
)
SEVEN_SCENES = Card(
    name="7-scenes",
    title="7-Scenes: RGB-D sequences of seven rooms with poses",
    citation="Shotton et al., Scene Coordinate Regression Forests for Camera Relocalization in RGB-D Images,"
    " CVPR 2013",
    homepage="https://www.microsoft.com/en-us/research/project/rgb-d-dataset-7-scenes/",
    licence="Microsoft research licence, non-commercial",
    terms="For non-commercial research only.",
    scale="metres",
    known_defects={
        "unregistered colour": "colour and depth are two cameras and only one's intrinsics are published:"
        " a calib.json gives both",
    },
    downloads=(
        Download(
            "https://www.microsoft.com/en-us/research/project/rgb-d-dataset-7-scenes/", "one zip a room"
        ),
    ),
    kinds=("rgbd_frames",),
)
TUM_RGBD = Card(
    name="tum-rgbd",
    title="TUM RGB-D: sequences with poses by motion capture",
    citation="Sturm et al., A Benchmark for the Evaluation of RGB-D SLAM Systems, IROS 2012",
    homepage="https://cvg.cit.tum.de/data/datasets/rgbd-dataset",
    licence="CC BY 4.0",
    scale="metres",
    downloads=(Download("https://cvg.cit.tum.de/data/datasets/rgbd-dataset/download", "one tgz a sequence"),),
    kinds=("rgbd_frames",),
)
KITTI = Card(
    name="kitti",
    title="KITTI: laser scans of streets with pictures, the object benchmark",
    citation="Geiger et al., Are we ready for Autonomous Driving? The KITTI Vision Benchmark Suite,"
    " CVPR 2012",
    homepage="https://www.cvlibs.net/datasets/kitti/eval_object.php?obj_benchmark=3d",
    licence="CC BY-NC-SA 3.0",
    terms="For non-commercial use; name the authors, and pass what you make of it on under the same licence.",
    scale="metres",
    rows={"train": 7481, "test": 7518},
    downloads=(
        Download(
            "https://www.cvlibs.net/datasets/kitti/eval_object.php?obj_benchmark=3d",
            "asks for an address; data_object_velodyne.zip (29 GB), _image_2.zip (12 GB), _calib.zip (16 MB)",
        ),
    ),
    kinds=("kitti",),
)
SEMANTIC_KITTI = Card(
    name="semantic-kitti",
    title="SemanticKITTI: drives through streets with a class for each point",
    citation="Behley et al., SemanticKITTI: A Dataset for Semantic Scene Understanding of LiDAR Sequences,"
    " ICCV 2019; Geiger et al., Are we ready for Autonomous Driving? The KITTI Vision Benchmark Suite,"
    " CVPR 2012",
    homepage="http://www.semantic-kitti.org",
    licence="CC BY-NC-SA 4.0 (labels), CC BY-NC-SA 3.0 (scans and pictures)",
    terms="For non-commercial use; name the authors, and pass what you make of it on under the same licence.",
    scale="metres",
    rows={"train": 19130, "validation": 4071, "test": 20351},
    downloads=(
        Download(
            "https://www.cvlibs.net/datasets/kitti/eval_odometry.php",
            "asks for an address; data_odometry_velodyne.zip (80 GB), _color.zip (65 GB), _calib.zip",
        ),
        Download("http://www.semantic-kitti.org/assets/data_odometry_labels.zip", "labels, 179 MB"),
    ),
    kinds=("kitti",),
)
PSB_PARTS = Card(
    name="psb-parts",
    title="Part labels on the meshes of the Princeton segmentation benchmark",
    citation="Kalogerakis et al., Learning 3D Mesh Segmentation and Labeling, SIGGRAPH 2010; Chen et al.,"
    " A Benchmark for 3D Mesh Segmentation, SIGGRAPH 2009",
    homepage="https://people.cs.umass.edu/~kalo/papers/LabelMeshes/",
    licence="not stated; research use",
    num_classes=19,
    kinds=("psb_parts",),
)
