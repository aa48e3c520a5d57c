"""The TorchIO adapter: SynBTTumor, PaintTumor and RecordIntensity.

Empty in this version; it comes with version 0.2.
"""
