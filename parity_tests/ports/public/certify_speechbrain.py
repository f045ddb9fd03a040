"""SpeechBrain's ``speechbrain.lobes.features.Leaf``."""

from parity import Port, certify

PORT = Port("speechbrain", "og_leaf", "speechbrain.lobes.features:Leaf")
TestSpeechBrain = certify(PORT)
