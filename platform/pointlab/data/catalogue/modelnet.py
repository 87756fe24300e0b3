"""ModelNet and what was made from it."""

from pointlab.data.catalogue.card import Card

MODELNET = Card(
    name="modelnet",
    title="ModelNet10 and ModelNet40: CAD models collected from the web",
    citation="Wu et al., 3D ShapeNets: A Deep Representation for Volumetric Shapes, CVPR 2015",
    homepage="https://modelnet.cs.princeton.edu",
    licence="academic research use only",
    terms="For academic research only; the copyright of the models is with their authors.",
)
