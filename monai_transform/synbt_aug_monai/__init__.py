"""The MONAI adapter: SynBTTumor, SynBTTumord and RecordIntensityd.

Empty in this version; it comes with version 0.2.
"""
