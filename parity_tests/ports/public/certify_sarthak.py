"""SarthakYadav/leaf-pytorch, which must be importable as ``leaf_pytorch``."""

from parity import Port, certify

PORT = Port("sarthak", "og_leaf", "leaf_pytorch.frontend:Leaf")
TestSarthak = certify(PORT)
