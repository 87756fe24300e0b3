"""ModelNet and what was made from it."""

from pointlab.data.catalogue.card import Card, Download

STANFORD = "https://shapenet.cs.stanford.edu/media"
UNRELIABLE = "the first host, often unreachable"
MODELNET = Card(
    name="modelnet",
    title="ModelNet10 and ModelNet40: CAD models collected from the web",
    citation="Wu et al., 3D ShapeNets: A Deep Representation for Volumetric Shapes, CVPR 2015",
    homepage="https://modelnet.cs.princeton.edu",
    licence="academic research use only",
    terms="For academic research only; the copyright of the models is with their authors.",
    known_defects={
        "joined header": "the first word of some OFF files runs on into the counts, as in OFF490518 6 0: read"
        " all the same",
        "normals of other lengths": "some normals of the text files are not of unit length: made so, and"
        " counted",
    },
    downloads=(
        Download("http://modelnet.cs.princeton.edu/ModelNet40.zip", "OFF meshes"),
        Download("http://vision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip", "OFF meshes"),
        Download(f"{STANFORD}/modelnet40_ply_hdf5_2048.zip", f"HDF5 files; {UNRELIABLE}"),
        Download(
            "https://huggingface.co/datasets/Msun/modelnet40/resolve/main/modelnet40_ply_hdf5_2048.zip",
            "HDF5 files; a mirror",
        ),
        Download(f"{STANFORD}/modelnet40_normal_resampled.zip", f"text files with normals; {UNRELIABLE}"),
        Download(
            "https://huggingface.co/datasets/Pointcept/modelnet40_normal_resampled-compressed",
            "text files with normals; a mirror",
        ),
    ),
    files={
        "ply_data_train0.h5": "3176385ffc31a7b6b5af22191fd920d1",
        "ply_data_train1.h5": "e3f613fb500559403b34925112754dc4",
        "ply_data_train2.h5": "0c56e233a090ff87c3049d4ce08e7d8b",
        "ply_data_train3.h5": "9d2af465adfa33a3285c369f3ca66c45",
        "ply_data_train4.h5": "dff38de489b2c41bfaeded86c2208984",
        "ply_data_test0.h5": "e9732e6d83b09e79e9a7617df058adee",
        "ply_data_test1.h5": "aba4b12a67c34391cc3c015a6f08ed4b",
    },
    kinds=("modelnet_h5", "modelnet_txt", "modelnet_dat", "modelnet_off"),
)
