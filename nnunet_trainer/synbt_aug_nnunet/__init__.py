"""The nnU-Net v2 adapter: trainer, split transforms and start-up hook.

Empty in this version; it comes with version 0.2.
"""
